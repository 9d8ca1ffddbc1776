//! Manifests: whatever is accepted says the same after it was written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stopline_depot::manifest::Manifest;

fuzz_target!(init: stopline_fuzz::seeds::manifests(), |bytes: &[u8]| {
    let from_toml = std::str::from_utf8(bytes).ok().and_then(|text| Manifest::from_toml(text).ok());
    for manifest in from_toml.into_iter().chain(Manifest::from_json(bytes).ok()) {
        let json = serde_json::to_vec(&manifest).expect("a checked manifest can be written");
        assert_eq!(Manifest::from_json(&json).expect("what was written is accepted"), manifest);
    }
});
