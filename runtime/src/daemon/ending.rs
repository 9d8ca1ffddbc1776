//! The signals: one ends in order, a second one at once, SIGHUP reads the configuration again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Exit;

/// What was signalled.
#[derive(Clone, Debug)]
pub struct Signals {
    ending: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// From now on, signals set flags; the second that ends ends here and now.
    ///
    /// # Errors
    /// The system's answer.
    pub fn register() -> io::Result<Self> {
        let (ending, reload) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second one finds it up.
            flag::register_conditional_shutdown(signal, Exit::Forced as i32, Arc::clone(&ending))?;
            flag::register(signal, Arc::clone(&ending))?;
        }
        flag::register(SIGHUP, Arc::clone(&reload))?;
        Ok(Self { ending, reload })
    }

    /// Whether the process is to end.
    pub fn ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Whether the configuration is to be read again; asked once.
    pub fn reload_asked(&self) -> bool {
        self.reload.swap(false, Ordering::AcqRel)
    }
}
