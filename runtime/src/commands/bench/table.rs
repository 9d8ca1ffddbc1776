//! The result of a measurement, as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::operators::Operators;
use super::{Args, Measured};
use crate::detector::Detector;
use crate::percentiles::{Samples, micros, millis_text};

/// All that is told of a measurement.
pub(super) struct Table<'a> {
    pub(super) args: &'a Args,
    pub(super) detector: &'a Detector,
    pub(super) measured: &'a Measured,
    /// From the model's path to a detector ready to run.
    pub(super) load: Duration,
    /// Most memory resident, in bytes.
    pub(super) peak: Option<u64>,
    pub(super) operators: Option<Operators>,
}

impl Table<'_> {
    /// For a person.
    pub(super) fn text(&self) -> String {
        let Measured { size: (width, height), format, detections, invalid, skipped, .. } = self.measured;
        let manifest = self.detector.manifest();
        let backend = format!("{:?}", self.args.model.engine.on.backend).to_lowercase();
        let core = self.args.core.map_or_else(|| "any core".to_owned(), |core| format!("core {core}"));
        let mut text = format!(
            "{} {} by {backend}, {} thread(s), {core}\n{}: {} frames of {width}x{height} {format} after {} to warm up\n\n",
            manifest.name,
            manifest.version,
            self.args.model.engine.on.threads,
            self.args.source,
            self.measured.total.len(),
            self.args.warm_up,
        );
        let _ = writeln!(text, "{:<10}{:>10}{:>10}{:>10}{:>10}", "ms", "min", "median", "p99", "max");
        for (stage, samples) in self.stages() {
            let figures = samples.percentiles();
            let [min, median, p99, max] =
                [figures.min, figures.p50, figures.p99, figures.max].map(millis_text);
            let _ = writeln!(text, "{stage:<10}{min:>10}{median:>10}{p99:>10}{max:>10}");
        }
        let peak = self
            .peak
            .map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes.div_ceil(1 << 20)));
        let load = millis_text(micros(self.load));
        let _ = writeln!(text, "\nmodel loaded in {load} ms; peak memory {peak}; {detections} detections");
        if *invalid + *skipped > 0 {
            let _ = writeln!(text, "{invalid} frames gave no numbers, {skipped} could not be read");
        }
        if let Some(operators) = &self.operators {
            text.push_str(&operators.text());
        }
        text
    }

    /// For a program: times in microseconds, memory in bytes.
    pub(super) fn json(&self) -> String {
        let stages: Map<String, Value> = self
            .stages()
            .into_iter()
            .map(|(stage, samples)| {
                let figures = samples.percentiles();
                let value = json!({
                    "min": figures.min, "median": figures.p50, "p90": figures.p90, "p99": figures.p99, "max": figures.max,
                });
                (stage.to_owned(), value)
            })
            .collect();
        let Measured { size: (width, height), format, detections, invalid, skipped, .. } = self.measured;
        let manifest = self.detector.manifest();
        let mut value = json!({
            "schema": 1,
            "model": manifest.name,
            "version": manifest.version.to_string(),
            "sha256": self.detector.digest(),
            "backend": format!("{:?}", self.args.model.engine.on.backend).to_lowercase(),
            "threads": self.args.model.engine.on.threads,
            "core": self.args.core,
            "source": self.args.source,
            "width": width,
            "height": height,
            "format": format,
            "warm_up": self.args.warm_up,
            "frames": self.measured.total.len(),
            "invalid": invalid,
            "skipped": skipped,
            "detections": detections,
            "load_us": micros(self.load),
            "peak_memory_bytes": self.peak,
            "stages_us": stages,
        });
        if let Some(operators) = &self.operators {
            value["operators"] = operators.json();
        }
        format!("{value:#}\n")
    }

    fn stages(&self) -> [(&'static str, &Samples); 5] {
        let Measured { capture, prepare, infer, decode, total, .. } = self.measured;
        [("capture", capture), ("prepare", prepare), ("infer", infer), ("decode", decode), ("total", total)]
    }
}
