//! A depot made by hand: bundles, their evidence, offers, trust, a factory; as an operator and an agent leave them, without
//! either.

#[path = "../../ota/depot/tests/workshop/mod.rs"]
mod workshop;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stopline_depot::bundle::{Bundle, write_tar};
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::manifest::Manifest;
use stopline_depot::rollout::State;
use stopline_depot::slots::{
    self, Deny, DepotPaths, Floor, Offer, Progress, ServiceRecord, SlotRecord, StatePaths, TrustPaths,
};
use stopline_depot::versioned::Versioned;
use stopline_sensors::clock::{Clock as _, SystemClock};

pub use workshop::{Workshop, key, release};

/// Folders of a device, below one.
pub struct Device {
    folder: PathBuf,
    /// Who signs for it.
    pub workshop: Workshop,
}

impl Device {
    /// With the model `bundle` from the factory.
    pub fn new(folder: &Path, model: &str, bundle: &[u8]) -> Self {
        let device = Self { folder: folder.to_owned(), workshop: Workshop::default() };
        for name in ["depot/slots", "depot/offers", "trust", &format!("factory/{model}")] {
            std::fs::create_dir_all(folder.join(name)).expect("makes a folder");
        }
        let trust = TrustPaths::new(folder.join("trust"));
        std::fs::write(trust.root(), device.workshop.first_root()).expect("writes");
        device.put(&trust.floor(), &Floor { schema: 1, ..Floor::default() });
        device.put(&trust.deny(), &Deny { schema: 1, ..Deny::default() });
        std::fs::write(folder.join("factory").join(model).join("bundle.tar"), bundle).expect("writes");
        device
    }

    /// `[depot]` for it; every count of a trial is small.
    pub fn section(&self, shadow_frames: u32, trial_frames: u32) -> String {
        let at = |name: &str| self.folder.join(name).display().to_string();
        format!(
            "[depot]\ndirectory = {:?}\nstate = {:?}\ntrust = {:?}\nfactory = {:?}\nhardware = \"board\"\n\
             [depot.selftest]\nruns = 3\n[depot.shadow]\nframes = {shadow_frames}\n\
             [depot.trial]\nframes = {trial_frames}\nactive_hours = 0.0\nignition_cycles = 0\n",
            at("depot"),
            at("state"),
            at("trust"),
            at("factory"),
        )
    }

    /// Writes a file of the contract.
    pub fn put<T: Versioned>(&self, path: &Path, value: &T) {
        slots::write(&mut RealDisk, path, value).expect("writes");
    }

    /// The agent's depot.
    pub fn depot(&self) -> DepotPaths {
        DepotPaths::new(self.folder.join("depot"))
    }

    /// The runtime's state.
    pub fn state(&self) -> StatePaths {
        StatePaths::new(self.folder.join("state"))
    }

    /// Stages a bundle as release `seq`.
    pub fn stage(&self, bundle: &[u8], seq: u64) -> Digest {
        let manifest = Bundle::read(bundle).expect("a bundle").manifest;
        let release = release(&manifest.name, &manifest.version.to_string(), seq, bundle);
        self.fill(bundle, &self.workshop.record(bundle, &release))
    }

    /// Fills a slot with whatever.
    pub fn fill(&self, bundle: &[u8], record: &SlotRecord) -> Digest {
        std::fs::create_dir_all(self.depot().slot(&record.digest)).expect("makes a folder");
        std::fs::write(self.depot().bundle(&record.digest), bundle).expect("writes");
        self.put(&self.depot().slot_record(&record.digest), record);
        record.digest
    }

    /// Offers a bundle, verified a moment ago.
    pub fn offer(&self, model: &str, rollout_id: &str, digest: Digest, state: State) {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux says its boot");
        let since = SystemClock.monotonic().as_nanos() / 1_000_000_000 + SystemClock.suspended().as_secs();
        let offer = Offer {
            schema: 1,
            rollout_id: rollout_id.into(),
            model: model.into(),
            digest,
            state,
            abort_to: None,
            verified_at: Some(1_800_000_000),
            verified_since_boot: Some((boot.trim().to_owned(), since)),
            attended: false,
            forgiven: false,
        };
        self.put(&self.depot().offer(model), &offer);
    }

    /// What the runtime has told of an offer.
    pub fn progress(&self, model: &str) -> Option<Progress> {
        slots::read(&RealDisk, &self.state().progress(model)).ok().flatten()
    }

    /// What the runtime has counted of the bundle that decides.
    pub fn service(&self, model: &str) -> Option<ServiceRecord> {
        slots::read(&RealDisk, &self.state().service(model)).ok().flatten()
    }
}

/// A bundle of an ONNX file and a manifest, changed by `change`, with golden pictures.
pub fn bundle(
    onnx: &[u8],
    manifest: &str,
    golden: &BTreeMap<String, Vec<u8>>,
    change: impl FnOnce(&mut Manifest),
) -> Vec<u8> {
    let mut manifest = Manifest::from_toml(manifest).expect("a manifest");
    change(&mut manifest);
    let json = serde_json::to_vec(&manifest).expect("writes");
    let golden = golden.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())).collect();
    let bundle = Bundle::new(&json, onnx, None, golden).expect("fits together");
    let mut tar = Vec::new();
    write_tar(&bundle, &mut tar).expect("writes");
    tar
}
