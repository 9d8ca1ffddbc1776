use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;

const PICTURES: [&str; 2] = ["golden/a.png", "golden/b.jpg"];

fn manifest(golden: &[&str]) -> Vec<u8> {
    let golden: Vec<_> = golden
        .iter()
        .map(|image| {
            let tolerance = serde_json::json!({"score": 0.01, "iou": 0.9});
            serde_json::json!({"image": image, "input_sha256": "00", "detections": [], "tolerance": tolerance})
        })
        .collect();
    let manifest = serde_json::json!({
        "schema": 1, "name": "stop-sign", "version": "1.4.0", "task": "detect", "decoder": "yolox",
        "labels": ["stop sign"], "golden": golden,
        "input": {"width": 416, "height": 416, "colour": "bgr", "resize": {"mode": "letterbox"}},
    });
    serde_json::to_vec(&manifest).unwrap()
}

fn tar_of(bundle: &Bundle<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    write_tar(bundle, &mut tar).unwrap();
    tar
}

fn honest<'a>(manifest: &'a [u8], model: &'a [u8]) -> Bundle<'a> {
    let golden = PICTURES.iter().map(|name| ((*name).to_owned(), name.as_bytes())).collect();
    Bundle::new(manifest, model, Some(b"# Card"), golden).unwrap()
}

/// An archive of any files, as a thief would write it.
fn archive(files: &[(&str, &[u8])], change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in files {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        change(&mut header);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(bytes);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

#[test]
fn a_bundle_comes_back_as_it_went_in_and_its_bytes_are_fixed() {
    let manifest = manifest(&PICTURES);
    for length in [1, 511, 512, 513, 100_000] {
        let model = vec![7; length];
        let bundle = honest(&manifest, &model);
        let tar = tar_of(&bundle);
        assert_eq!(tar.len() as u64, bundle.tar_length());
        assert_eq!(Bundle::read(&tar).unwrap(), bundle);
        assert_eq!(tar_of(&Bundle::read(&tar).unwrap()), tar);
        assert_eq!(bundle.file_name(), "stop-sign-1.4.0.slb");
    }
}

#[test]
fn other_programs_read_it_too() {
    let manifest = manifest(&PICTURES);
    let tar = tar_of(&honest(&manifest, b"onnx"));
    let mut archive = tar::Archive::new(&tar[..]);
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["manifest.json", "model.onnx", "CARD.md", "golden/a.png", "golden/b.jpg"]
    );
}

/// CVE-2025-67903, CVE-2023-7216: files that nothing names, and names that lead elsewhere.
#[test]
fn nothing_is_in_a_bundle_that_the_manifest_does_not_name() {
    let manifest = manifest(&PICTURES);
    let good: [(&str, &[u8]); 4] = [
        ("manifest.json", &manifest),
        ("model.onnx", b"onnx"),
        ("golden/a.png", b"a"),
        ("golden/b.jpg", b"b"),
    ];
    Bundle::read(&archive(&good, |_| {})).unwrap();
    for extra in [
        "golden/c.png",
        "golden/../../x",
        "../x",
        "/etc/x",
        "golden/.x",
        "x",
        "manifest.json",
        "golden/b.jpg/x",
    ] {
        let mut files = good.to_vec();
        files.push((extra, b"x"));
        assert!(Bundle::read(&archive(&files, |_| {})).is_err(), "{extra}");
    }
    for without in 0..good.len() {
        let mut files = good.to_vec();
        files.remove(without);
        assert!(Bundle::read(&archive(&files, |_| {})).is_err(), "without {}", good[without].0);
        let mut files = good.to_vec();
        files.push(good[without]);
        assert!(Bundle::read(&archive(&files, |_| {})).is_err(), "{} twice", good[without].0);
    }
    let mut files = good.to_vec();
    files.swap(2, 3);
    assert!(Bundle::read(&archive(&files, |_| {})).is_err(), "out of order");
}

#[test]
fn only_plain_files_are_files() {
    let manifest = manifest(&[]);
    let files: [(&str, &[u8]); 2] = [("manifest.json", &manifest), ("model.onnx", b"onnx")];
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::GNULongName,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::GNUSparse,
        EntryType::Continuous,
    ] {
        assert!(Bundle::read(&archive(&files, |header| header.set_entry_type(kind))).is_err(), "{kind:?}");
    }
    let changes: [&dyn Fn(&mut Header); 4] = [
        &|header| header.set_mode(0o4755),
        &|header| header.set_mtime(1),
        &|header| header.set_uid(1),
        &|header| header.as_mut_bytes()[300] = b'x',
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(Bundle::read(&archive(&files, change)).is_err(), "change {number}");
    }
}

/// CVE-2026-34155: sizes at the limits of numbers.
#[test]
fn a_size_beyond_the_end_is_refused() {
    let manifest = manifest(&[]);
    for size in [513, 1 << 31, (1 << 32) + 4, (1 << 33) - 1, u64::MAX] {
        let files: [(&str, &[u8]); 2] = [("manifest.json", &manifest), ("model.onnx", b"onnx")];
        let tar = archive(&files, |header| {
            if header.path_bytes().as_ref() == b"model.onnx" {
                header.set_size(size);
            }
        });
        assert!(Bundle::read(&tar).is_err(), "{size}");
    }
}

#[test]
fn the_model_is_the_one_its_provenance_names() {
    let mut said: serde_json::Value = serde_json::from_slice(&manifest(&[])).unwrap();
    said["provenance"] = serde_json::json!({"sha256": Digest::of(b"onnx").to_string().to_uppercase()});
    let said = serde_json::to_vec(&said).unwrap();
    Bundle::new(&said, b"onnx", None, BTreeMap::new()).unwrap();
    let error = Bundle::new(&said, b"another", None, BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("provenance"), "{error}");
    assert!(Bundle::new(&said, b"", None, BTreeMap::new()).is_err());
}

proptest! {
    #[test]
    fn what_is_read_is_what_would_be_written(at in 0_usize..6000, byte in any::<u8>(), cut in any::<bool>()) {
        let manifest = manifest(&PICTURES);
        let mut tar = tar_of(&honest(&manifest, &[9; 700]));
        let at = at % tar.len();
        if cut { tar.truncate(at) } else { tar[at] = byte }
        // Model, card and pictures may say anything; all else has one form.
        if let Ok(bundle) = Bundle::read(&tar) {
            prop_assert_eq!(tar_of(&bundle), tar);
        }
    }

    #[test]
    fn bytes_from_anywhere_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = Bundle::read(&bytes);
    }
}

#[cfg(feature = "packed")]
mod packing {
    use super::super::packed::*;
    use super::*;

    fn packed(model: &[u8]) -> (Vec<u8>, Packed, Vec<u8>) {
        let manifest = manifest(&PICTURES);
        let bundle = honest(&manifest, model);
        let mut slb = Vec::new();
        let measures = pack(&bundle, &mut slb).unwrap();
        (slb, measures, tar_of(&bundle))
    }

    fn unpacked(slb: &[u8]) -> Result<(Vec<u8>, Measure), BundleError> {
        let mut tar = Vec::new();
        let measure = unpack(slb, slb.len() as u64, &mut tar)?;
        Ok((tar, measure))
    }

    /// Bytes that do not pack.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn a_packed_bundle_unpacks_to_what_was_measured() {
        for length in [1, 1000, 300_000] {
            let (slb, measures, tar) = packed(&noise(length));
            assert_eq!(measures.packed.length, slb.len() as u64);
            assert_eq!(measures.packed.sha256, *Digest::of(&slb).as_bytes());
            let (again, measure) = unpacked(&slb).unwrap();
            assert!(again == tar && measure == measures.unpacked);
            assert_eq!(packed(&noise(length)).0, slb, "deterministic");
        }
    }

    #[test]
    fn a_damaged_cut_or_lengthened_bundle_is_refused() {
        let (slb, measures, _) = packed(&noise(3000));
        let mut harmless = 0;
        for at in 0..slb.len() {
            let mut bad = slb.clone();
            bad[at] ^= 1 << (at % 8);
            // Some bits of a frame say nothing, and another window is large enough: then the content is the same.
            if let Ok((_, measure)) = unpacked(&bad) {
                assert_eq!(measure, measures.unpacked, "a flipped bit in byte {at}");
                harmless += 1;
            }
            assert!(unpacked(&slb[..at]).is_err(), "cut at {at}");
        }
        assert!(harmless * 100 < slb.len(), "{harmless} flipped bits of {} bytes without effect", slb.len());
        for more in [&b"\0"[..], &slb, &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]] {
            assert!(unpacked(&[&slb[..], more].concat()).is_err(), "{} bytes more", more.len());
        }
    }

    #[test]
    fn a_window_or_content_that_costs_memory_is_refused_before_decoding() {
        // magic, descriptor: content size of 8 bytes, checksum; window descriptor; content size.
        let frame = |descriptor: u8, window: &[u8], size: u64, width: usize| {
            [&[0x28, 0xb5, 0x2f, 0xfd, descriptor][..], window, &size.to_le_bytes()[..width]].concat()
        };
        let window = |log: u8| (log - 10) << 3;
        assert_eq!(content_size(&frame(0xc4, &[window(23)], 77, 8)), Ok(77));
        for (log, eighths) in [(23, 1), (24, 0), (27, 0), (31, 0), (41, 7)] {
            let error = content_size(&frame(0xc4, &[window(log) | eighths], 77, 8)).unwrap_err();
            assert!(error.contains("window"), "{error}");
        }
        // A single segment's window is its content.
        assert_eq!(content_size(&frame(0xe4, &[], 1 << 23, 8)), Ok(1 << 23));
        assert!(content_size(&frame(0xe4, &[], (1 << 23) + 1, 8)).unwrap_err().contains("window"));
        assert_eq!(content_size(&frame(0x64, &[], 0xff_ff, 2)), Ok(0xff_ff + 256));
        assert_eq!(content_size(&frame(0x24, &[], 9, 1)), Ok(9));
        // No checksum, a dictionary, a reserved bit, no size, another kind of frame.
        for descriptor in [0xc0, 0xc5, 0xcc, 0x04] {
            assert!(content_size(&frame(descriptor, &[window(20)], 77, 8)).is_err(), "{descriptor:#x}");
        }
        assert!(content_size(b"\x50\x2a\x4d\x18\0\0\0\0").is_err());
        assert!(content_size(&frame(0xc4, &[window(20)], 77, 3)).is_err());
        for size in [MAX_UNPACKED + 1, u64::MAX] {
            let error = unpacked(&frame(0xc4, &[window(20)], size, 8)).unwrap_err().to_string();
            assert!(error.contains("would unpack"), "{error}");
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_ratio() {
        let manifest = manifest(&PICTURES);
        let model = vec![0; 50 << 20];
        let bundle = honest(&manifest, &model);
        let mut slb = Vec::new();
        pack(&bundle, &mut slb).unwrap();
        let error = unpacked(&slb).unwrap_err().to_string();
        assert!(error.contains("would unpack"), "{error}");
    }

    proptest! {
        #[test]
        fn a_frame_from_anywhere_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = unpacked(&bytes);
            let _ = unpacked(&[&[0x28, 0xb5, 0x2f, 0xfd][..], &bytes].concat());
        }
    }
}
