//! The suite itself must be able to fail: each test breaks one promise and expects to be told.

use std::sync::Arc;
use std::time::SystemTime;

use stopline_sensors::frame::{BufferPool, Colour, FrameMeta};

use super::*;

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    SequenceStandsStill,
    StampGoesBack,
    OtherSize,
    TwoCopies,
    SilentGap,
    Hangs,
    EndIsNotFinal,
    WrongCounters,
    NeverTheSame,
}

/// A recording of ten grey frames with one flaw.
struct Flawed {
    flaw: Flaw,
    info: SourceInfo,
    at: u64,
    counters: Counters,
    pool: BufferPool,
    salt: u8,
}

impl Flawed {
    fn open(flaw: Flaw, salt: u8) -> Box<dyn FrameSource> {
        let info = SourceInfo {
            name: "ten".into(),
            kind: "pattern",
            live: false,
            size: (8, 4),
            period: Some(Duration::from_millis(40)),
            frames: Some(10),
            duration: None,
            device: None,
        };
        Box::new(Self { flaw, info, at: 0, counters: Counters::default(), pool: BufferPool::default(), salt })
    }

    fn frame(&mut self) -> Frame {
        let sequence = match self.flaw {
            Flaw::SequenceStandsStill if self.at > 5 => 5,
            Flaw::SilentGap if self.at > 5 => self.at + 1,
            _ => self.at,
        };
        let position = Duration::from_millis(40) * u32::try_from(self.at).unwrap();
        let back = self.flaw == Flaw::StampGoesBack && self.at == 5;
        let meta = FrameMeta {
            source: Arc::clone(&self.info.name),
            sequence,
            captured: Monotonic::from_nanos(1 << 40).plus(if back { Duration::ZERO } else { position }),
            stamp: Stamp::Recording,
            wall: SystemTime::UNIX_EPOCH,
            position: Some(position),
            path: None,
            copies: if self.flaw == Flaw::TwoCopies { 2 } else { 1 },
        };
        let size = if self.flaw == Flaw::OtherSize && self.at == 5 { (4, 8) } else { (8, 4) };
        let mut buffer = self.pool.take(32);
        buffer.bytes_mut().fill(self.at as u8 + if self.flaw == Flaw::NeverTheSame { self.salt } else { 0 });
        Frame::packed(meta, PixelFormat::Grey, Colour::default(), size, buffer).unwrap()
    }
}

impl FrameSource for Flawed {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self, timeout: Duration) -> Result<Event, SourceError> {
        if self.flaw == Flaw::Hangs && self.at == 5 {
            SystemClock.sleep(timeout + Duration::from_millis(300));
        }
        if self.at >= 10 {
            self.at += 1;
            let wakes = self.flaw == Flaw::EndIsNotFinal && self.at == 12;
            return Ok(if wakes { Event::Nothing } else { Event::End });
        }
        let frame = self.frame();
        self.at += 1;
        self.counters.copies += 1;
        self.counters.delivered += if self.flaw == Flaw::WrongCounters && self.at == 5 { 2 } else { 1 };
        Ok(Event::Frame(frame))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

fn judged(flaw: Flaw, expect: &Expect) -> Result<Report, String> {
    let mut salt = 0;
    conforms(
        &mut || {
            salt += 1;
            Ok(Flawed::open(flaw, salt))
        },
        expect,
    )
}

fn ten() -> Expect {
    Expect { slack: Duration::from_millis(200), ..Expect::recording("pattern", Some((8, 4)), 10) }
}

#[test]
fn a_source_that_keeps_every_promise_passes() {
    let report = judged(Flaw::None, &ten()).unwrap();
    assert_eq!((report.counters.delivered, report.counters.copies), (10, 10));
    assert_eq!(report.sequences, Some((0, 9)));
    assert_eq!(report.span, Duration::from_millis(360));
}

#[test]
fn each_broken_promise_is_named() {
    let flaws = [
        (Flaw::SequenceStandsStill, "must rise"),
        (Flaw::StampGoesBack, "went back"),
        (Flaw::OtherSize, "was announced"),
        (Flaw::TwoCopies, "copied 2 times"),
        (Flaw::SilentGap, "sequence numbers are missing"),
        (Flaw::Hangs, "came back after"),
        (Flaw::EndIsNotFinal, "after End came"),
        (Flaw::WrongCounters, "counters say"),
        (Flaw::NeverTheSame, "read twice"),
    ];
    for (flaw, words) in flaws {
        let broken = judged(flaw, &ten()).unwrap_err();
        assert!(broken.contains(words), "expected `{words}` in: {broken}");
    }
}

#[test]
fn a_wrong_number_of_frames_is_named() {
    let broken = judged(Flaw::None, &Expect { frames: 11, ..ten() }).unwrap_err();
    assert_eq!(broken, "10 frames, 11 expected");
    let broken = judged(Flaw::None, &Expect { skipped: 1, ..ten() }).unwrap_err();
    assert_eq!(broken, "0 skipped, 1 expected");
}
