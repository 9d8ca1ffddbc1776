use proptest::prelude::*;

use super::*;

const DEVICE: &str = "0123456789abcdef0123456789abcdef";

fn entry(content: &[u8], class: u8) -> Entry {
    let length = u64::try_from(content.len()).unwrap();
    Entry::signed(DEVICE, (Digest::of(content), length, class, 1_800_000_000), |_| {
        Ok::<_, VersionedError>([7; 64])
    })
    .unwrap()
}

fn manifest(contents: &[Vec<u8>]) -> BatchManifest {
    let records = contents.iter().map(|content| entry(content, 3)).collect();
    BatchManifest { schema: 1, device: DEVICE.into(), boot_id: "boot-1".into(), seq: 9, records }
}

fn packed(contents: &[Vec<u8>]) -> Vec<u8> {
    pack_of(&manifest(contents), contents).unwrap()
}

fn pack_of(manifest: &BatchManifest, contents: &[Vec<u8>]) -> Result<Vec<u8>, BatchError> {
    let mut contents = contents.iter();
    pack(manifest, |_| contents.next().cloned().ok_or_else(|| BatchError::Content("none left".into())))
}

fn contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let content = prop::collection::vec(any::<u8>(), 1..2_000);
    prop::collection::vec(content, 1..12).prop_map(|mut all| {
        all.sort();
        all.dedup();
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_comes_back_as_it_went_in(contents in contents()) {
        let tar = packed(&contents);
        prop_assert_eq!(&tar, &packed(&contents), "the same bytes from the same records");
        let batch = Batch::read(&tar).unwrap();
        prop_assert_eq!(batch.manifest(), &manifest(&contents));
        let read: Vec<&[u8]> = batch.records().map(|(_, content)| content).collect();
        prop_assert_eq!(read, contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let room: usize = contents.iter().map(|content| room(content.len() as u64)).sum();
        prop_assert!(tar.len() <= EMPTY + room, "{} in {}", tar.len(), EMPTY + room);
    }

    #[test]
    fn foreign_bytes_are_a_refusal_and_nothing_else(bytes in prop::collection::vec(any::<u8>(), 0..4_096)) {
        prop_assert!(Batch::read(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_is_refused_or_shows_in_its_record(contents in contents(), at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut tar = packed(&contents);
        let at = at.index(tar.len());
        tar[at] ^= change;
        if let Ok(batch) = Batch::read(&tar) {
            // What is still read differs in one record's bytes, which its digest shows, or in the manifest, which names
            // another device or bears another signature: the batch's own digest is then another.
            let spoilt = batch.records().any(|(entry, content)| Digest::of(content) != entry.digest);
            prop_assert!(spoilt || batch.manifest() != &manifest(&contents));
        }
    }

    #[test]
    fn a_batch_that_ends_early_is_refused(contents in contents(), at in any::<prop::sample::Index>()) {
        let tar = packed(&contents);
        prop_assert!(Batch::read(&tar[..at.index(tar.len())]).is_err());
    }
}

#[test]
fn what_is_signed_of_a_record_is_these_bytes() {
    let entry = entry(b"sealed", 9);
    let text = String::from_utf8(record_message(DEVICE, &entry).unwrap()).unwrap();
    let expected = format!(
        "stopline/record/v1\0{{\"class\":9,\"device\":\"{DEVICE}\",\"digest\":\"{}\",\"expires\":1800000000,\"length\":6}}",
        Digest::of(b"sealed")
    );
    assert_eq!(text, expected);
    assert!(!entry.is_signed_by(DEVICE, &[1; 32]), "a signature of nobody");
}

#[test]
fn other_bytes_another_device_or_another_key_are_told_apart() {
    let bad = entry(b"sealed", 9);
    assert_eq!(judge(DEVICE, &[1; 32], &bad, b"opened"), Err(BadRecord::Digest));
    assert_eq!(judge(DEVICE, &[1; 32], &bad, b"sealed"), Err(BadRecord::Signature));
}

#[test]
fn what_a_manifest_may_not_say_is_refused_by_its_key() {
    let good = manifest(&[b"a".to_vec(), b"b".to_vec()]);
    let refused = |change: fn(&mut BatchManifest), key: &str| {
        let mut manifest = good.clone();
        change(&mut manifest);
        let problem = manifest.check().unwrap_err();
        assert!(problem.contains(key), "{key}: {problem}");
        assert!(pack_of(&manifest, &[b"a".to_vec(), b"b".to_vec()]).is_err());
    };
    refused(|manifest| manifest.records.clear(), "records");
    refused(|manifest| manifest.records[1] = manifest.records[0].clone(), "twice");
    refused(|manifest| manifest.records[0].class = 10, "class");
    refused(|manifest| manifest.records[0].length = 0, "length");
    refused(|manifest| manifest.records[0].length = MAX_RECORD + 1, "length");
    refused(|manifest| manifest.records[0].expires = u64::MAX, "expires");
    refused(|manifest| manifest.records[0].signature = "A".repeat(128), "signature");
    refused(|manifest| manifest.device = "../x".into(), "device");
    refused(|manifest| manifest.boot_id = String::new(), "boot_id");
    assert!(pack_of(&good, &[b"a".to_vec()]).is_err(), "a record that is missing");
    assert!(pack_of(&good, &[b"a".to_vec(), b"bb".to_vec()]).is_err(), "a record of another length");
}

#[test]
fn only_a_record_of_its_own_may_be_longer_than_a_batch() {
    let long = vec![1; MAX_BATCH];
    let alone = packed(std::slice::from_ref(&long));
    assert!(alone.len() > MAX_BATCH && alone.len() <= MAX_BYTES);
    Batch::read(&alone).unwrap();
    let two = manifest(&[long.clone(), b"b".to_vec()]);
    let error = pack_of(&two, &[long, b"b".to_vec()]).unwrap_err();
    assert!(matches!(error, BatchError::TooLong { limit: MAX_BATCH, .. }), "{error}");
    let longest = vec![1; usize::try_from(MAX_RECORD).unwrap()];
    assert!(packed(&[longest]).len() <= MAX_BYTES);
    assert!(matches!(Batch::read(&vec![0; MAX_BYTES + 1]), Err(BatchError::TooLong { .. })));
}

#[test]
fn many_stored_records_share_one_word_and_the_others_keep_theirs() {
    let contents: Vec<Vec<u8>> = (0_u8..20).map(|byte| vec![byte; 3]).collect();
    let records = manifest(&contents).records;
    let result = |at: usize| if at == 7 { Received::NotWanted } else { Received::Stored };
    let receipts: Vec<Receipt> = records
        .iter()
        .enumerate()
        .map(|(at, entry)| Receipt { digest: entry.digest, result: result(at) })
        .collect();
    let whole = BatchState::committed(100, receipts.clone());
    assert_eq!(whole.receipts.as_deref(), Some(&receipts[7..8]));
    let read: BatchState = versioned::read(&versioned::write(&whole).unwrap()).unwrap();
    assert_eq!(read.receipts_of(&records), Some(receipts.clone()));
    // Few are named each, and one that nothing was said of has no receipt.
    let few = BatchState::committed(100, receipts[..3].to_vec());
    assert_eq!((few.receipts.as_deref(), few.rest), (Some(&receipts[..3]), None));
    assert_eq!(few.receipts_of(&records), Some(receipts[..3].to_vec()));
    assert_eq!(BatchState::at(50).receipts_of(&records), None);
    let loose = BatchState { rest: Some(Received::Stored), ..BatchState::at(50) };
    assert!(loose.check().unwrap_err().contains("rest"));
}
