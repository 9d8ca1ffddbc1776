//! Champion and challenger: how good a model is on a frozen test set, written down so that it can be checked again.
//!
//! A record binds the digests of bundle, test set and detections, and the runtime's version. Publishing believes none of it:
//! it computes the figures again from the recorded detections, and runs the model again on a random tenth of the pictures.
//! A changed figure, changed detections, another model's record, another test set and an old record are each refused.

mod rerun;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stopline_depot::bundle::{Bundle, packed};
use stopline_depot::digest::Digest;
use stopline_depot::versioned::{self, Versioned};

use crate::child::Stopline;
use crate::exit::{Failure, Result, Said};
use crate::files;

/// Figures compared, by their names in `stopline eval --json`, and by how much a challenger may fall behind.
pub const MARGINS: [(&str, f64); 4] = [
    ("summary.mAP", 0.01),
    ("summary.mAP50", 0.01),
    ("operating.recall", 0.01),
    ("operating.precision", 0.01),
];
/// Days after which a record is stale.
pub const MAX_AGE_DAYS: i64 = 30;
/// Share of pictures that are run again: one in this many.
pub const RERUN_ONE_IN: usize = 10;
/// Bytes of annotations or detections, at most.
const MAX_JSON: u64 = 1 << 30;

/// How good a bundle is on a test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The model's name.
    pub model: String,
    /// Of `bundle.tar`.
    pub bundle: Digest,
    /// Of the annotations and every picture they name.
    pub test_set: Digest,
    /// Pictures measured.
    pub pictures: u64,
    /// Version of the runtime that measured.
    pub runtime: String,
    /// When, seconds since 1970.
    pub made_at: i64,
    /// Of the file of detections beside this record.
    pub detections: Digest,
    /// Figures by name.
    pub figures: BTreeMap<String, f64>,
}

impl Versioned for Evaluation {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "evaluation record";
    const LIMIT: usize = 64 << 10;

    fn check(&self) -> Result<(), String> {
        versioned::check_name("model", &self.model)?;
        match MARGINS.iter().find(|(name, _)| !self.figures.contains_key(*name)) {
            Some((name, _)) => Err(format!("figures: {name} is missing")),
            None => Ok(()),
        }
    }
}

/// A frozen test set: COCO annotations and the folder of their pictures.
#[derive(Debug, Clone)]
pub struct TestSet {
    /// Annotations.
    pub annotations: PathBuf,
    /// Pictures.
    pub images: PathBuf,
}

impl TestSet {
    /// Names of its pictures, in the order of the annotations.
    pub fn pictures(&self) -> Result<Vec<String>> {
        let annotations = self.read()?;
        let images = annotations["images"].as_array().cloned().unwrap_or_default();
        let names = images.iter().map(|image| {
            let name = image["file_name"].as_str().unwrap_or_default();
            let plain =
                !name.is_empty() && !name.starts_with('/') && !name.split('/').any(|part| part == "..");
            plain.then(|| name.to_owned()).ok_or_else(|| {
                Failure::refused(format!("{}: file_name {name:?}", self.annotations.display()))
            })
        });
        names.collect()
    }

    /// The annotations.
    pub fn read(&self) -> Result<Value> {
        let bytes = files::read(&self.annotations, MAX_JSON)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::refused(format!("{}: {error}", self.annotations.display())))
    }

    /// Of everything that belongs to it: SHA-256 over the digests of the annotations and of each picture, by name.
    pub fn digest(&self) -> Result<Digest> {
        let annotations = Digest::of(&files::read(&self.annotations, MAX_JSON)?);
        let mut names = self.pictures()?;
        names.sort();
        let mut listing = format!("stopline/test-set/v1\n{annotations}\n");
        for name in names {
            let picture = Digest::of(&files::read(&self.images.join(&name), MAX_JSON)?);
            listing.push_str(&format!("{picture}  {name}\n"));
        }
        Ok(Digest::of(listing.as_bytes()))
    }
}

/// A bundle unpacked for the runtime to run.
pub struct Unpacked {
    /// Of `bundle.tar`.
    pub digest: Digest,
    /// The model's name.
    pub model: String,
    /// Score from which its detections count: precision and recall are told there, for its detections alone as well.
    at: String,
    folder: PathBuf,
}

impl Unpacked {
    /// Unpacks `slb` into `folder`, which is made and removed with it.
    pub fn new(slb: &[u8], folder: PathBuf) -> Result<Self> {
        let mut tar = Vec::new();
        let length = u64::try_from(slb.len()).unwrap_or(u64::MAX);
        let measure = packed::unpack(slb, length, &mut tar).map_err(Failure::refused)?;
        let bundle = Bundle::read(&tar).map_err(Failure::refused)?;
        let unpacked = Self {
            digest: Digest::from_bytes(measure.sha256),
            model: bundle.manifest.name.clone(),
            at: bundle.manifest.thresholds.score.to_string(),
            folder,
        };
        let manifest = toml::to_string(&bundle.manifest).map_err(Failure::failed)?;
        files::write(&unpacked.onnx(), bundle.model)?;
        files::write(&unpacked.manifest(), manifest.as_bytes())?;
        Ok(unpacked)
    }

    fn onnx(&self) -> PathBuf {
        self.folder.join("model.onnx")
    }

    fn manifest(&self) -> PathBuf {
        self.folder.join("model.toml")
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // What is left over in a folder for passing things is no harm.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Measures a bundle and writes its record and detections into `folder`.
pub fn run(
    bundle: &Path,
    test_set: &TestSet,
    folder: &Path,
    stopline: &Stopline,
    now: Timestamp,
) -> Result<Said> {
    let slb = files::read(bundle, stopline_depot::bundle::MAX_UNPACKED)?;
    let unpacked = Unpacked::new(&slb, folder.join(format!(".evaluating-{}", std::process::id())))?;
    let detections = folder.join(format!("{}.detections.json", unpacked.digest));
    let report = measure(&unpacked, test_set, &detections, stopline)?;
    let record = Evaluation {
        schema: Evaluation::SCHEMA,
        model: unpacked.model.clone(),
        bundle: unpacked.digest,
        test_set: test_set.digest()?,
        pictures: report["dataset"]["images"].as_u64().unwrap_or_default(),
        runtime: stopline.version()?,
        made_at: now.as_second(),
        detections: Digest::of(&files::read(&detections, MAX_JSON)?),
        figures: figures(&report)?,
    };
    let path = folder.join(format!("{}.json", unpacked.digest));
    files::write(&path, &versioned::write(&record)?)?;
    let mut words = vec![format!("{}: measured on {} pictures", record.model, record.pictures)];
    words.extend(record.figures.iter().map(|(name, value)| format!("  {name}: {value:.4}")));
    words.push(format!("  record: {}", path.display()));
    Ok(Said::new(words, json!({"record": path, "evaluation": record})))
}

/// Runs the model on the test set; the detections go into a file, the report comes back.
fn measure(unpacked: &Unpacked, test_set: &TestSet, detections: &Path, stopline: &Stopline) -> Result<Value> {
    if let Some(folder) = detections.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?;
    }
    let (onnx, manifest) = (unpacked.onnx(), unpacked.manifest());
    let arguments: [&std::ffi::OsStr; 13] = [
        "eval".as_ref(),
        test_set.annotations.as_ref(),
        "--images".as_ref(),
        test_set.images.as_ref(),
        "--model".as_ref(),
        onnx.as_ref(),
        "--manifest".as_ref(),
        manifest.as_ref(),
        "--results".as_ref(),
        detections.as_ref(),
        "--at".as_ref(),
        unpacked.at.as_ref(),
        "--json".as_ref(),
    ];
    parse_report(&stopline.run(arguments)?.stdout)
}

/// What the runtime computes from detections alone.
fn measure_again(
    unpacked: &Unpacked,
    test_set: &TestSet,
    detections: &Path,
    stopline: &Stopline,
) -> Result<Value> {
    let arguments: [&std::ffi::OsStr; 9] = [
        "eval".as_ref(),
        test_set.annotations.as_ref(),
        "--images".as_ref(),
        test_set.images.as_ref(),
        "--detections".as_ref(),
        detections.as_ref(),
        "--at".as_ref(),
        unpacked.at.as_ref(),
        "--json".as_ref(),
    ];
    parse_report(&stopline.run(arguments)?.stdout)
}

fn parse_report(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| Failure::failed(format!("stopline eval --json: {error}")))
}

/// The compared figures of a report.
fn figures(report: &Value) -> Result<BTreeMap<String, f64>> {
    let figure = |(name, _): &(&str, f64)| {
        let pointer = format!("/{}", name.replace('.', "/"));
        let value = report.pointer(&pointer).and_then(Value::as_f64);
        let value =
            value.ok_or_else(|| Failure::failed(format!("stopline eval --json: {name} is missing")))?;
        Ok(((*name).to_owned(), value))
    };
    MARGINS.iter().map(figure).collect()
}

/// What publishing asks of a challenger.
pub struct Trial<'a> {
    /// The frozen test set.
    pub test_set: &'a TestSet,
    /// Folder of records and detections.
    pub folder: &'a Path,
    /// The runtime.
    pub stopline: &'a Stopline,
    /// When it is.
    pub now: Timestamp,
    /// Publish although it falls behind.
    pub worse_is_wanted: bool,
}

/// Checks both records and compares them. What comes back is told.
///
/// # Errors
/// The first thing that does not hold.
pub fn compare(
    trial: &Trial<'_>,
    challenger: &Unpacked,
    champion: &Unpacked,
) -> Result<(Evaluation, Vec<String>)> {
    let test_set = trial.test_set.digest()?;
    let runtime = trial.stopline.version()?;
    let mut records = Vec::new();
    let mut words = Vec::new();
    for (who, unpacked) in [("champion", champion), ("challenger", challenger)] {
        let of = |failure: Failure| failure.of(format!("evaluation of the {who} ({})", unpacked.digest));
        let record = read_record(trial, unpacked, &test_set, &runtime).map_err(of)?;
        let again = rerun::check(trial, unpacked, &record).map_err(of)?;
        words.push(format!(
            "{who}: record holds; {again} of {} pictures run again, the same",
            record.pictures
        ));
        records.push(record);
    }
    let (Some(challenger), Some(champion)) = (records.pop(), records.pop()) else {
        return Err(Failure::failed("two records are compared"));
    };
    for (name, margin) in MARGINS {
        let (old, new) = (champion.figures[name], challenger.figures[name]);
        words.push(format!("  {name}: {old:.4} -> {new:.4}"));
        if new < old - margin && !trial.worse_is_wanted {
            return Err(Failure::refused(format!(
                "{name} falls from {old:.4} to {new:.4}, by more than the {margin} allowed: the challenger is worse"
            )));
        }
    }
    Ok((challenger, words))
}

fn read_record(
    trial: &Trial<'_>,
    unpacked: &Unpacked,
    test_set: &Digest,
    runtime: &str,
) -> Result<Evaluation> {
    let path = trial.folder.join(format!("{}.json", unpacked.digest));
    let bytes = files::read(&path, MAX_JSON)
        .map_err(|failure| failure.of("make it with `evaluate`, with the same test set and runtime"))?;
    let record: Evaluation = versioned::read(&bytes)?;
    let foreign = |what: &str, found: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
        Failure::refused(format!("{}: foreign: its {what} is {found}, expected {expected}", path.display()))
    };
    if record.bundle != unpacked.digest {
        return Err(foreign("bundle", &record.bundle, &unpacked.digest));
    }
    if record.model != unpacked.model {
        return Err(foreign("model", &record.model, &unpacked.model));
    }
    if record.test_set != *test_set {
        return Err(foreign("test set", &record.test_set, test_set));
    }
    let made = Timestamp::from_second(record.made_at).map_err(Failure::refused)?;
    let oldest =
        trial.now.checked_sub(SignedDuration::from_hours(24 * MAX_AGE_DAYS)).map_err(Failure::failed)?;
    if made < oldest || made > trial.now {
        return Err(Failure::refused(format!(
            "{}: stale: made at {made}; evaluate it again",
            path.display()
        )));
    }
    if record.runtime != runtime {
        return Err(Failure::refused(format!(
            "{}: stale: made with runtime {}, and {runtime} is here; evaluate it again",
            path.display(),
            record.runtime
        )));
    }
    Ok(record)
}
