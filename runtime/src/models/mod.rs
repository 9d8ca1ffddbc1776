//! **Models over the air: which bundle may decide, and when.** The agent only offers; whatever moves to the brake is moved
//! here, on what this process itself has read, judged and seen.
//!
//! In walk order:
//! - [`vault`]: a bundle's bytes, read once into private memory, judged by one's own root; current, previous, factory.
//! - [`store`]: pointers, verdicts, approvals, progress: the files that the runtime alone writes.
//! - [`recover`]: what a start after a crash, a power cut or an end in order makes of the pointers.
//! - [`selftest`]: golden vectors, latency, memory, in a child under [`limits`].
//! - [`shadow`]: a child that sees what the active model sees, and what it found held against the active one's.
//! - [`deployer`]: Staged → Tested → Shadow → Armed → Trial → Good, and the ways back: pure.
//! - [`parked`]: whether now is a moment to change what decides.
//!
//! The thread that carries it out is [`crate::daemon::deploying`]; the exchange itself, between two frames, is
//! [`crate::daemon::exchange`].

pub mod deployer;
pub mod limits;
pub mod parked;
pub mod recover;
pub mod selftest;
pub mod shadow;
pub mod store;
pub mod vault;

use std::path::PathBuf;

use semver::Version;

use crate::detector::DetectorOptions;
use crate::infer::BackendKind;

/// The engine that a bundle is run by.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Which.
    pub backend: BackendKind,
    /// libonnxruntime.so.
    pub library: Option<PathBuf>,
    /// Threads one inference may use.
    pub threads: u16,
    /// Execution providers to try before the CPU.
    pub providers: Vec<String>,
}

impl Default for Engine {
    fn default() -> Self {
        Self { backend: BackendKind::default(), library: None, threads: 1, providers: Vec::new() }
    }
}

impl Engine {
    /// The same as arguments of a child's command line.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec![format!("--backend={}", self.backend.name()), format!("--threads={}", self.threads)];
        if let Some(library) = &self.library {
            arguments.push(format!("--ort-library={}", library.display()));
        }
        arguments.extend(self.providers.iter().map(|provider| format!("--provider={provider}")));
        arguments
    }
}

/// Options of a detector for a bundle called `name` in messages.
pub fn engine(name: &str, engine: &Engine) -> DetectorOptions {
    DetectorOptions {
        model: PathBuf::from(name),
        manifest: None,
        backend: engine.backend,
        library: engine.library.clone(),
        threads: usize::from(engine.threads),
        draft: false,
        providers: engine.providers.clone(),
    }
}

/// The version of this runtime.
pub fn runtime_version() -> Version {
    Version::parse(env!("CARGO_PKG_VERSION")).expect("cargo holds versions to semver")
}
