//! Who captures: real sealed records into a real spool, at a steady pace, whatever the disk says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use stopline::capture::seal::Seal;
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::record::{DecisionRecord, ModelIdentity, ModelRole, RecordedDetection, StageLatencies};
use stopline_depot::spool::{
    CameraSettings, CaptureRecord, Class, Limits, Picture, Put, Reason, Redaction, RedactionMethod, Rule,
    Spool,
};
use stopline_tests::scenario::random::Random;

/// Seconds for which most records are wanted.
const LONG_S: u64 = 7 * 86_400;

/// What it did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The spool said that it has them.
    pub(super) accepted: BTreeSet<Digest>,
    /// The disk did not take them.
    pub(super) refused: usize,
}

/// A sealed record, and how long it is wanted.
struct Sealed {
    bytes: Vec<u8>,
    class: Class,
    wanted_s: u64,
}

/// The records of one run.
pub(super) struct Records {
    records: Vec<Sealed>,
}

impl Records {
    /// So many, sealed to `recipient`; the eighth part of them is wanted for some seconds only.
    pub(super) fn new(seed: u64, count: usize, recipient: &str) -> Self {
        let mut random = Random::of(&[seed, 0x5EA1]);
        let seal = Seal::new(&[recipient.to_owned()]).unwrap();
        let records = (0..count).map(|number| {
            let wanted_s = if random.unit() < 0.125 { 2 + number as u64 % 5 } else { LONG_S };
            let class = Class::new((random.unit() * 10.0) as u8).unwrap();
            Sealed {
                bytes: seal.seal(&side_car(number as u64), &picture(&mut random)).unwrap(),
                class,
                wanted_s,
            }
        });
        Self { records: records.collect() }
    }

    /// Some of them, spread over all: those that the operator has forgotten before they arrive.
    pub(super) fn some(&self, count: usize) -> Vec<Digest> {
        let step = (self.records.len() / count).max(1);
        self.records.iter().step_by(step).map(|record| Digest::of(&record.bytes)).collect()
    }
}

/// The thread.
pub(super) struct Producer(JoinHandle<Done>);

impl Producer {
    /// Puts all records within about `lasts`.
    pub(super) fn start(records: Records, spool: PathBuf, limits: Limits, lasts: Duration) -> Self {
        Self(std::thread::spawn(move || capture(records, &spool, limits, lasts)))
    }

    pub(super) fn join(self) -> Done {
        self.0.join().unwrap()
    }
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap()
}

fn capture(records: Records, folder: &Path, limits: Limits, lasts: Duration) -> Done {
    let mut done = Done::default();
    let mut spool = Spool::open(RealDisk, folder, limits, now()).unwrap();
    let pause = lasts / u32::try_from(records.records.len()).unwrap();
    for (number, record) in records.records.into_iter().enumerate() {
        match spool.put(&record.bytes, record.class, now() + record.wanted_s, now()) {
            Ok(Put::Waiting(digest) | Put::Known(digest) | Put::Evicted(digest)) => {
                done.accepted.insert(digest);
            }
            // The loop goes on, and so does this.
            Err(_) => done.refused += 1,
        }
        if number % 20 == 0 {
            let _ = spool.expire(now());
        }
        std::thread::sleep(pause);
    }
    // The disk is whole again when the run ends; what was begun is finished then.
    for _ in 0..600 {
        if spool.expire(now()).is_ok() {
            return done;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the spool stays unusable: {:?}", spool.expire(now()));
}

/// Some kilobytes of noise, as a JPEG.
fn picture(random: &mut Random) -> Vec<u8> {
    let pixels: Vec<u8> = (0..64 * 48).map(|_| (random.unit() * 256.0) as u8).collect();
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, 75)
        .encode(&pixels, 64, 48, jpeg_encoder::ColorType::Luma)
        .unwrap();
    bytes
}

fn side_car(number: u64) -> CaptureRecord {
    let found = RecordedDetection {
        label: "person".into(),
        class: 0,
        score: 0.5,
        bbox: [4.0, 4.0, 20.0, 40.0],
        track: None,
        keypoints: Vec::new(),
    };
    let decision = DecisionRecord {
        schema: 1,
        frame: number,
        source: "front".into(),
        captured_ns: number * 1_000_000,
        captured_wall: "2026-11-22T12:00:00.000000Z".parse().unwrap(),
        position_us: None,
        image_size: [64, 48],
        model: ModelIdentity {
            name: "street".into(),
            version: "1.2.0".parse().unwrap(),
            digest: "ab".repeat(32),
            role: ModelRole::Active,
        },
        detections: vec![found],
        invalid: None,
        dropped: None,
        looked: None,
        faults: Vec::new(),
        ego: None,
        tracks: None,
        situations: None,
        state: None,
        command: None,
        latency_us: StageLatencies::default(),
    };
    CaptureRecord {
        schema: 1,
        decision,
        reason: Reason {
            rule: Rule::Random,
            group: format!("random-{number}"),
            detail: None,
            offset_ms: 0,
            value: Some(0.1),
        },
        redaction: Redaction {
            method: RedactionMethod::Fill,
            from_score: 0.05,
            enlarged: 0.3,
            tracks_s: 1.0,
            heads: Vec::new(),
            regions: Vec::new(),
        },
        picture: Picture { width: 64, height: 48, quality: 75 },
        camera: CameraSettings::default(),
    }
}
