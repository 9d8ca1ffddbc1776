//! From a record, and what its picture looked like, to bins.

use super::signal::{BINS, Signal};
use super::window::Window;
use crate::record::{DecisionRecord, WallTime};

/// Objects followed at once that are timed; further ones are not.
const LIVE: usize = 64;
/// Classes with a bin of their own; those met later share the last.
pub const CLASSES: usize = BINS - 1;
/// Nanoseconds after which an object that is no longer followed has ended.
const GONE: u64 = 1_000_000_000;

/// What a picture looked like, by whoever has it: the runtime's guard, or a decoder of JPEG.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameStatistics {
    /// Mean luma, 0 to 255, full range.
    pub luma: Option<f32>,
    /// Mean distance of chroma from grey (128), 0 to 128: below 3 the picture is taken to be infrared.
    pub chroma: Option<f32>,
    /// Sharpness on any scale that rises with it and stays the same for a device; around 0.5 by the guard's measure.
    pub sharpness: Option<f32>,
    /// Detail in each of 4 × 4 cells, row by row, on any scale: only shares count.
    pub detail: Option<[f32; BINS]>,
}

/// Turns records into counts; remembers what lasts longer than a frame.
pub struct Reader {
    at: Option<WallTime>,
    counted_ns: Option<u64>,
    model: String,
    classes: [Option<usize>; CLASSES],
    live: [Option<Live>; LIVE],
}

#[derive(Clone, Copy)]
struct Live {
    id: u32,
    first_ns: u64,
    last_ns: u64,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            at: None,
            counted_ns: None,
            model: String::new(),
            classes: [None; CLASSES],
            live: [None; LIVE],
        }
    }
}

impl Reader {
    /// Wall time of the last record; 1970 before the first.
    pub fn at(&self) -> WallTime {
        self.at.unwrap_or_else(|| std::time::UNIX_EPOCH.into())
    }

    /// Whether another model looked than before. The first is no change.
    pub fn model_changed(&mut self, record: &DecisionRecord) -> bool {
        if self.model == record.model.digest {
            return false;
        }
        let first = self.model.is_empty();
        self.model.clone_from(&record.model.digest);
        if !first {
            self.live = [None; LIVE];
            self.classes = [None; CLASSES];
        }
        !first
    }

    /// What lasts over a restart: the model, and which classes have a bin.
    pub fn memory(&self) -> (String, [Option<usize>; CLASSES]) {
        (self.model.clone(), self.classes)
    }

    /// Goes on from there. Objects that were followed are not: another boot numbers them anew.
    pub fn restore(&mut self, model: String, classes: [Option<usize>; CLASSES]) {
        *self = Self { model, classes, ..Self::default() };
    }

    /// The bin of a class.
    pub fn bin_of(&self, class: usize) -> usize {
        self.classes.iter().position(|known| *known == Some(class)).unwrap_or(BINS - 1)
    }

    /// Counts a record.
    pub fn read(
        &mut self,
        record: &DecisionRecord,
        frame: Option<&FrameStatistics>,
        every_ms: u64,
        window: &mut Window,
    ) {
        self.at = Some(record.captured_wall);
        let now = record.captured_ns;
        if self.counted_ns.is_some_and(|last| now < last) {
            // Another boot: its clock began anew.
            self.live = [None; LIVE];
            self.counted_ns = None;
        }
        self.follow(record, window);
        let due = |last: u64| now - last >= every_ms.saturating_mul(1_000_000);
        if !self.counted_ns.is_none_or(due) {
            return;
        }
        self.counted_ns = Some(now);
        window.frames = window.frames.saturating_add(1);
        if let Some(frame) = frame {
            look(frame, window);
        }
        if record.invalid.is_none() {
            self.detections(record, window);
        }
        let latency = record.latency_us.total();
        // A replay on virtual time has none.
        if latency > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a bin is asked for")]
            window.count(Signal::Latency, latency as f32 / 1000.0);
        }
    }

    fn detections(&mut self, record: &DecisionRecord, window: &mut Window) {
        window.add(Signal::Presence, record.detections.len().min(BINS - 1), 1.0);
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let height = record.image_size[1].max(1) as f32;
        for found in &record.detections {
            let bin = self.learn(found.class);
            window.add(Signal::Classes, bin, 1.0);
            window.count(Signal::Scores, found.score);
            window.count(Signal::BoxSizes, ((found.bbox[3] - found.bbox[1]) / height).max(1e-4));
        }
    }

    fn learn(&mut self, class: usize) -> usize {
        if !self.classes.contains(&Some(class))
            && let Some(free) = self.classes.iter_mut().find(|slot| slot.is_none())
        {
            *free = Some(class);
        }
        self.bin_of(class)
    }

    /// Times the objects that are followed, frame by frame.
    fn follow(&mut self, record: &DecisionRecord, window: &mut Window) {
        let Some(tracks) = &record.tracks else { return };
        let now = record.captured_ns;
        for track in tracks {
            let known = self.live.iter_mut().flatten().find(|live| live.id == track.id);
            match known {
                Some(live) => live.last_ns = now,
                None => {
                    let live = Live { id: track.id, first_ns: now, last_ns: now };
                    if let Some(free) = self.live.iter_mut().find(|slot| slot.is_none()) {
                        *free = Some(live);
                    }
                }
            }
        }
        for slot in &mut self.live {
            if let Some(live) = slot.take_if(|live| now.saturating_sub(live.last_ns) > GONE) {
                let length = live.last_ns.saturating_sub(live.first_ns);
                #[expect(clippy::cast_precision_loss, reason = "a bin is asked for")]
                window.count(Signal::TrackLengths, length as f32 / 1e9);
            }
        }
    }
}

fn look(frame: &FrameStatistics, window: &mut Window) {
    let values = [
        (Signal::Exposure, frame.luma),
        (Signal::Colour, frame.chroma),
        (Signal::Sharpness, frame.sharpness),
    ];
    for (signal, value) in values {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            window.count(signal, value);
        }
    }
    let Some(detail) = frame.detail else { return };
    let detail = detail.map(|cell| if cell.is_finite() { cell.max(0.0) } else { 0.0 });
    let sum: f32 = detail.iter().sum();
    if sum > 0.0 {
        detail.iter().enumerate().for_each(|(at, cell)| window.add(Signal::Background, at, cell / sum));
    }
}
