//! DBC packing beside Python's cantools: random messages with random signals, random frames decoded by both, random values
//! encoded by both; values equal, bytes equal.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stopline_sensors::dbc::Database;
use stopline_tests::{count, python};

/// Frames per message.
const FRAMES: usize = 5;

#[test]
fn frames_are_packed_as_cantools_packs_them() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let messages = count("DBC frames beside cantools", 1_000, 1_000) / FRAMES;
    let mut random = Random(20_260_301);
    let described: Vec<Described> =
        (0..messages).map(|number| Described::random(number, &mut random)).collect();
    let mut text = String::from("VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: ECU\n\n");
    described.iter().for_each(|message| message.write(&mut text));
    described.iter().for_each(|message| message.write_types(&mut text));
    std::fs::write(folder.path().join("random.dbc"), &text).unwrap();
    let database = Database::read(&folder.path().join("random.dbc")).unwrap();

    let cases: Vec<Value> = described
        .iter()
        .flat_map(|message| (0..FRAMES).map(|_| message.clone()).collect::<Vec<_>>())
        .map(|message| message.case(&database, &mut random))
        .collect();
    std::fs::write(folder.path().join("cases.json"), serde_json::to_vec(&cases).unwrap()).unwrap();
    judge(&python, folder.path(), &cases);
}

fn judge(python: &Path, folder: &Path, cases: &[Value]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("promises/dbc_reference.py");
    let done = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let found: Value = serde_json::from_slice(&done.stdout).unwrap();
    let wrong = found["wrong"].as_array().unwrap();
    println!(
        "{} frames, {} signals decoded, {} encoded; {} differ",
        found["frames"],
        found["decoded"],
        found["encoded"],
        wrong.len()
    );
    assert_eq!(found["frames"], cases.len());
    assert!(
        found["decoded"].as_u64() > Some(cases.len() as u64)
            && found["encoded"].as_u64() > Some(cases.len() as u64)
    );
    assert!(wrong.is_empty(), "{} frames differ, the first: {:#}", wrong.len(), wrong[0]);
}

/// A message as the test makes it up.
#[derive(Clone)]
struct Described {
    name: String,
    id: u32,
    bytes: usize,
    /// The selector's values that have signals.
    selected: Vec<u64>,
    signals: Vec<Made>,
}

#[derive(Clone)]
struct Made {
    name: String,
    start: usize,
    size: usize,
    motorola: bool,
    signed: bool,
    float: bool,
    factor: f64,
    offset: f64,
    /// `None`: always there; `Some(None)`: the selector.
    switched: Option<Option<u64>>,
}

impl Described {
    fn random(number: usize, random: &mut Random) -> Self {
        let bytes = random.pick(&[1, 2, 4, 7, 8, 8, 8, 8, 12, 64]);
        let id =
            if random.below(3) == 0 { 0x8000_0000 | (0x1_0000 + number as u32) } else { 1 + number as u32 };
        let multiplexed = bytes >= 4 && random.below(3) == 0;
        let mut message =
            Self { name: format!("M{number}"), id, bytes, selected: Vec::new(), signals: Vec::new() };
        let mut taken = vec![false; bytes * 8];
        if multiplexed {
            message.selected = vec![0, 1, 3];
            message.add(random, &mut taken, Some(None));
        }
        let shared = taken.clone();
        for _ in 0..1 + random.below(6) {
            message.add(random, &mut taken, None);
        }
        for value in message.selected.clone() {
            // Signals of different selector values share bits, as they do on real buses.
            let mut own = taken.clone();
            debug_assert!(shared.len() == own.len());
            for _ in 0..1 + random.below(3) {
                message.add(random, &mut own, Some(Some(value)));
            }
        }
        message
    }

    /// Adds a signal where there is room; tries a few places.
    fn add(&mut self, random: &mut Random, taken: &mut [bool], switched: Option<Option<u64>>) {
        for _ in 0..40 {
            let selector = switched == Some(None);
            let float = !selector && random.below(12) == 0;
            let size = if float {
                random.pick(&[32, 64])
            } else if selector {
                3
            } else {
                let most = if random.below(4) == 0 { 64 } else { 16 };
                1 + random.below(most) as usize
            };
            let motorola = random.below(2) == 0;
            let start = random.below(taken.len() as u64) as usize;
            let Some(bits) = bits(start, size, motorola, taken.len()) else { continue };
            if bits.iter().any(|bit| taken[*bit]) {
                continue;
            }
            bits.iter().for_each(|bit| taken[*bit] = true);
            let plain = selector || random.below(3) == 0;
            let factor = if plain { 1.0 } else { random.pick(&[0.01, 0.5, 2.0, 0.125, -1.0, 0.05, 3.0]) };
            let offset = if plain { 0.0 } else { random.pick(&[0.0, -40.0, 0.5, 100.0]) };
            let name = format!("S{}", self.signals.len());
            let signed = !selector && random.below(2) == 0;
            self.signals.push(Made { name, start, size, motorola, signed, float, factor, offset, switched });
            return;
        }
    }

    fn write(&self, text: &mut String) {
        writeln!(text, "BO_ {} {}: {} ECU", self.id, self.name, self.bytes).unwrap();
        for made in &self.signals {
            let switched = match made.switched {
                None => String::new(),
                Some(None) => " M".into(),
                Some(Some(value)) => format!(" m{value}"),
            };
            let (order, sign) = (u8::from(!made.motorola), if made.signed { '-' } else { '+' });
            let Made { name, start, size, factor, offset, .. } = made;
            writeln!(
                text,
                " SG_ {name}{switched} : {start}|{size}@{order}{sign} ({factor},{offset}) [0|0] \"\" ECU"
            )
            .unwrap();
        }
        text.push('\n');
    }

    fn write_types(&self, text: &mut String) {
        for made in self.signals.iter().filter(|made| made.float) {
            let kind = if made.size == 32 { 1 } else { 2 };
            writeln!(text, "SIG_VALTYPE_ {} {} : {kind};", self.id, made.name).unwrap();
        }
    }

    /// A random frame decoded here, and random values encoded here.
    fn case(&self, database: &Database, random: &mut Random) -> Value {
        let message = database.message(&self.name).unwrap();
        let selected = if self.selected.is_empty() { None } else { Some(random.pick(&self.selected)) };
        let there =
            |made: &&Made| matches!(made.switched, None | Some(None)) || made.switched == Some(selected);
        let number = |made: &Made| message.signal(&made.name).unwrap();

        let mut data: Vec<u8> = (0..self.bytes).map(|_| random.below(256) as u8).collect();
        for made in &self.signals {
            // cantools refuses a selector value that has no signals, and random floats may be no numbers.
            if made.switched == Some(None) {
                assert!(message.write_raw(number(made), selected.unwrap(), &mut data));
            } else if made.float && there(&made) {
                message.write(number(made), random.below(2_000) as f64 - 1_000.0, &mut data).unwrap();
            }
        }
        let mut decoded = serde_json::Map::new();
        for made in &self.signals {
            let value = message.value(number(made), &data);
            assert_eq!(value.is_some(), there(&made), "{} of {}", made.name, self.name);
            if let Some(value) = value {
                decoded.insert(made.name.clone(), json!(value));
            }
        }

        let (mut values, mut encoded) = (serde_json::Map::new(), vec![0_u8; self.bytes]);
        for made in self.signals.iter().filter(there) {
            let signal = &message.signals()[number(made)];
            let (least, most) = signal.bounds();
            let share = random.below(1_000_001) as f64 / 1_000_000.0;
            let value = match made.switched {
                Some(None) => selected.unwrap() as f64,
                _ if made.float => random.below(2_000_000) as f64 / 64.0 - 10_000.0,
                // Beyond 2^53 the two sides would have to round alike; a little inside, so that neither refuses.
                _ if made.size > 50 => {
                    ((random.below(1 << 40) as f64) * made.factor + made.offset).clamp(least, most)
                }
                _ => least + (most - least) * share,
            };
            message.write(number(made), value, &mut encoded).unwrap();
            values.insert(made.name.clone(), json!(value));
        }
        json!({
            "message": self.name, "id": self.id & 0x1FFF_FFFF, "data": hex(&data), "decoded": decoded,
            "values": values, "encoded": hex(&encoded),
        })
    }
}

fn hex(data: &[u8]) -> String {
    data.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The bits of a signal as DBC counts them, by counting; `None`: not all within the message.
fn bits(start: usize, size: usize, motorola: bool, total: usize) -> Option<Vec<usize>> {
    let mut bits = Vec::new();
    let mut bit = start;
    for _ in 0..size {
        if bit >= total {
            return None;
        }
        bits.push(bit);
        bit = match (motorola, bit % 8) {
            (false, _) => bit + 1,
            (true, 0) => bit + 15,
            (true, _) => bit - 1,
        };
    }
    Some(bits)
}

/// Numbers that are the same on every run (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
