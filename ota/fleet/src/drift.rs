//! `drift`: the runtime's own judgement of drift, over decision records that lie in files (`stopline replay`, or out of a device).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use stopline_depot::drift::{Alarm, Drift, Settings};
use stopline_depot::manifest::Manifest;
use stopline_depot::record::{DecisionRecord, SCHEMA};

use crate::exit::{Exit, Failure, Result, Said};
use crate::files;

/// Bytes of a line, at most.
const MAX_LINE: u64 = 4 << 20;
/// Cameras judged at once, at most: each holds two weeks of hours.
const MAX_CAMERAS: usize = 1000;

/// Judges the records in these files, and in the `.jsonl` files of these folders, in their order: each camera for itself.
///
/// # Errors
/// A file cannot be read, or a line is no decision record.
pub fn run(places: &[PathBuf], manifest: Option<&Path>, settings: Settings) -> Result<Said> {
    let manifest = manifest.map(read_manifest).transpose()?;
    let mut cameras: BTreeMap<String, Camera> = BTreeMap::new();
    for path in files_of(places)? {
        let file =
            File::open(&path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        let mut lines = BufReader::new(file);
        for number in 1_u64.. {
            let mut line = Vec::new();
            let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            if read.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))? == 0 {
                break;
            }
            let wrong =
                |problem: String| Failure::refused(format!("{}, line {number}: {problem}", path.display()));
            let record = parse(&line).map_err(wrong)?;
            if cameras.len() >= MAX_CAMERAS && !cameras.contains_key(&record.source) {
                return Err(wrong(format!("more than {MAX_CAMERAS} cameras; judge fewer at once")));
            }
            let camera = cameras
                .entry(record.source.clone())
                .or_insert_with(|| Camera::new(settings, manifest.as_ref()));
            camera.take(&record);
        }
    }
    Ok(said(cameras))
}

struct Camera {
    drift: Drift,
    frames: u64,
    alarms: Vec<Alarm>,
}

impl Camera {
    fn new(settings: Settings, manifest: Option<&Manifest>) -> Self {
        let training = manifest.and_then(|manifest| manifest.training.as_ref());
        let labels = manifest.map_or(&[][..], |manifest| &manifest.labels);
        Self { drift: Drift::new(settings, training, labels), frames: 0, alarms: Vec::new() }
    }

    fn take(&mut self, record: &DecisionRecord) {
        self.frames += 1;
        self.alarms.extend(self.drift.observe(record, None));
    }
}

fn parse(line: &[u8]) -> Result<DecisionRecord, String> {
    if !line.ends_with(b"\n") && u64::try_from(line.len()).is_ok_and(|length| length >= MAX_LINE) {
        return Err(format!("longer than {MAX_LINE} bytes"));
    }
    let record: DecisionRecord = serde_json::from_slice(line).map_err(|error| {
        format!("{error}; decision records are expected, one a line, as `stopline replay` writes them")
    })?;
    if record.schema == SCHEMA {
        Ok(record)
    } else {
        Err(format!("schema {}, expected {SCHEMA}", record.schema))
    }
}

fn files_of(places: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for place in places {
        if place.is_dir() {
            let names = files::names(place)?;
            all.extend(names.iter().filter(|name| name.ends_with(".jsonl")).map(|name| place.join(name)));
        } else {
            all.push(place.clone());
        }
    }
    if all.is_empty() {
        return Err(Failure::usage(
            "no file of decision records: FILE.jsonl, or a folder of such, is expected",
        ));
    }
    Ok(all)
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let bytes = files::read(path, files::MAX_SMALL)?;
    let of = |error: &dyn std::fmt::Display| Failure::refused(format!("{}: {error}", path.display()));
    if path.extension().is_some_and(|ending| ending == "json") {
        return Manifest::from_json(&bytes).map_err(|error| of(&error));
    }
    let text = String::from_utf8(bytes).map_err(|error| of(&error))?;
    Manifest::from_toml(&text).map_err(|error| of(&error))
}

fn said(cameras: BTreeMap<String, Camera>) -> Said {
    let (mut words, mut told, mut any) = (Vec::new(), Vec::new(), false);
    for (source, mut camera) in cameras {
        while let Some(alarm) = camera.drift.finish() {
            camera.alarms.push(alarm);
        }
        words.push(format!("{source}: {} frames, {} alarms", camera.frames, camera.alarms.len()));
        words.extend(camera.alarms.iter().map(|alarm| format!("  {alarm}")));
        any |= !camera.alarms.is_empty();
        told.push(json!({"source": source, "frames": camera.frames, "alarms": camera.alarms}));
    }
    let mut said = Said::new(words, json!({"cameras": told}));
    if any {
        said.exit = Exit::Warning;
    }
    said
}
