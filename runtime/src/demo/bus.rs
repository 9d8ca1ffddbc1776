//! What would be on the bus: the `log` actuator's file, read as it grows, each frame checked by the reference receiver.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use stopline_decide::command::Row;
use stopline_decide::decision::WarnLevel;
use stopline_decide::e2e::{Check, Tally};
use stopline_decide::frame::{LENGTH, Payload};
use stopline_decide::receiver::{Receiver, ReceiverConfig};
use stopline_decide::time::Nanos;
use stopline_sensors::clock::Monotonic;

/// Most that is read at once.
const MOST: u64 = 1 << 20;

/// A line of the file, as far as it is needed.
#[derive(Deserialize)]
struct Line {
    t_us: u64,
    frame: String,
}

/// A frame that would have been sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// When.
    pub at: Monotonic,
    /// As `candump -L` writes it.
    pub text: String,
    /// What the reference receiver says of it.
    pub check: Check,
    /// What it asks for; `None` where it could not be used.
    pub payload: Option<Payload>,
}

/// The file, and the receiver.
pub struct Bus {
    path: PathBuf,
    file: Option<File>,
    /// Read and not yet a whole line.
    rest: Vec<u8>,
    receiver: Receiver,
    /// Frames so far.
    pub frames: u64,
    /// Strongest deceleration that was asked for, in m/s².
    pub strongest: f32,
}

impl Bus {
    /// Reads `path` from its beginning, once it is there.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        let receiver = Receiver::new(ReceiverConfig::default())
            .map_err(|misfit| anyhow::anyhow!("the reference receiver: {misfit:?}"))?;
        Ok(Self { path: path.to_owned(), file: None, rest: Vec::new(), receiver, frames: 0, strongest: 0.0 })
    }

    /// How often the receiver found what.
    pub fn tally(&self) -> Tally {
        self.receiver.tally()
    }

    /// The frames since the last call, in order.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is none.
    pub fn news(&mut self) -> anyhow::Result<Vec<Frame>> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        file.by_ref().take(MOST).read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| self.take(line)).collect()
    }

    fn take(&mut self, line: &[u8]) -> anyhow::Result<Frame> {
        let line: Line = serde_json::from_slice(line)?;
        let data = data(&line.frame)
            .ok_or_else(|| anyhow::anyhow!("{:?}: expected ID#{LENGTH} bytes in hexadecimal", line.frame))?;
        let at = Monotonic::from_nanos(line.t_us.saturating_mul(1000));
        let check = self.receiver.receive(Nanos(at.as_nanos()), &data);
        let usable = check.is_usable();
        let payload = self.receiver.payload().filter(|_| usable);
        self.frames += 1;
        self.strongest = payload.map_or(self.strongest, |payload| self.strongest.max(payload.deceleration));
        Ok(Frame { at, text: line.frame, check, payload })
    }
}

/// The bytes behind `#`.
fn data(frame: &str) -> Option<[u8; LENGTH]> {
    let (_, hex) = frame.split_once('#')?;
    if hex.len() != 2 * LENGTH || !hex.is_ascii() {
        return None;
    }
    let mut data = [0; LENGTH];
    for (byte, place) in data.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(data)
}

/// `2A0  7C 03 …`: identifier and bytes apart.
pub fn spaced(frame: &str) -> String {
    let Some((id, hex)) = frame.split_once('#') else { return frame.to_owned() };
    let bytes: Vec<&str> = (0..hex.len() / 2).filter_map(|at| hex.get(2 * at..2 * at + 2)).collect();
    format!("{id}  {}", bytes.join(" "))
}

/// What a frame asks for, in words.
pub fn request(payload: &Payload) -> String {
    let mut words: Vec<String> = Vec::new();
    match payload.row {
        Row::Braking => words.push(format!("brake {:.2} m/s²", payload.deceleration)),
        Row::Holding => words.push(format!("hold at standstill, {:.2} m/s²", payload.deceleration)),
        Row::Overridden => words.push("overridden by the driver".to_owned()),
        Row::Idle | Row::Warning => {}
    }
    match payload.warn {
        Some(WarnLevel::Inform) => words.push("inform the driver".to_owned()),
        Some(WarnLevel::Warn) => words.push("warn the driver".to_owned()),
        None => {}
    }
    let flags = [
        (payload.parking_brake, "engage the parking brake"),
        (payload.disengage, "autopilot hands over"),
        (payload.monitoring_lost, "nobody watches for falls"),
    ];
    words.extend(flags.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()));
    if payload.persons_down > 0 {
        words.push(format!("persons down: {}", payload.persons_down));
    }
    if words.is_empty() {
        words.push(
            if payload.valid { "nothing asked for" } else { "not valid: nothing asked for" }.to_owned(),
        );
    }
    words.extend(payload.cause.map(|cause| format!("cause {}", cause.code())));
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use stopline_decide::e2e::{Protection, Sender};

    use super::*;

    fn line(at: u64, sender: &mut Sender, payload: &Payload) -> String {
        let mut data = payload.pack();
        assert!(sender.protect(&mut data));
        let hex: String = data.iter().map(|byte| format!("{byte:02X}")).collect();
        format!("{{\"t_us\":{at},\"row\":\"braking\",\"frame\":\"2A0#{hex}\"}}\n")
    }

    #[test]
    fn frames_come_as_they_are_written_and_a_half_line_waits_for_its_end() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let mut bus = Bus::new(file.path()).expect("a receiver");
        let mut sender = Sender::new(Protection::default(), LENGTH).expect("fits");
        let payload = Payload { valid: true, row: Row::Braking, deceleration: 2.5, ..Payload::default() };
        let lines: Vec<String> = (0..6).map(|period| line(period * 20_000, &mut sender, &payload)).collect();
        let (first, second) = (lines[..5].concat(), &lines[5]);
        file.write_all(first.as_bytes()).expect("writes");
        file.write_all(&second.as_bytes()[..9]).expect("writes");
        let checks: Vec<Check> = bus.news().expect("reads").iter().map(|frame| frame.check).collect();
        assert_eq!(checks, [Check::Initial, Check::Ok, Check::Ok, Check::Ok, Check::Ok]);
        assert!(bus.news().expect("reads").is_empty());
        file.write_all(&second.as_bytes()[9..]).expect("writes");
        let frames = bus.news().expect("reads");
        assert_eq!(frames[0].payload.map(|payload| payload.deceleration), Some(2.5));
        assert_eq!((bus.frames, bus.strongest, bus.tally().wrong_crc), (6, 2.5, 0));
    }

    #[test]
    fn a_changed_byte_is_told_and_garbage_ends_it() {
        let mut sender = Sender::new(Protection::default(), LENGTH).expect("fits");
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let mut bus = Bus::new(file.path()).expect("a receiver");
        let good = line(0, &mut sender, &Payload::default());
        let at = good.find('#').expect("a frame") + 5;
        let mut bad = good.clone();
        bad.replace_range(at..at + 2, "5A");
        file.write_all(bad.as_bytes()).expect("writes");
        assert_eq!(bus.news().expect("reads")[0].check, Check::WrongCrc);
        file.write_all(b"{\"t_us\":1,\"frame\":\"2A0#12\"}\n").expect("writes");
        assert!(bus.news().expect_err("refused").to_string().contains("2A0#12"));
    }

    #[test]
    fn a_request_is_told_in_words() {
        let idle = Payload { valid: true, ..Payload::default() };
        assert_eq!(request(&idle), "nothing asked for");
        let braking = Payload { row: Row::Braking, deceleration: 3.1, warn: Some(WarnLevel::Warn), ..idle };
        assert_eq!(request(&braking), "brake 3.10 m/s², warn the driver");
        let down = Payload { persons_down: 1, ..idle };
        assert_eq!(request(&down), "persons down: 1");
        assert_eq!(spaced("2A0#7C03"), "2A0  7C 03");
    }
}
