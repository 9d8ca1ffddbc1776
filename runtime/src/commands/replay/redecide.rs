//! `--detections`: decides on recorded detections, and looks at no picture. The same detections give the same records on
//! every machine.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::time::Nanos;
use stopline_depot::manifest::Manifest;
use stopline_depot::record::{DecisionRecord, RecordedDetection, SCHEMA};

use super::Args;
use super::diff::{self, Comparison};
use super::eyes::Looked;
use super::judge::{Decided, Judge};
use super::plan::{self, Plan};
use super::records::{Records, Verdict};
use crate::config::Config;
use crate::detection::{Detection, Keypoint};
use crate::exit::{Exit, Failure, OrExit};
use crate::guard::CameraFacts;
use crate::model;
use crate::observe::Roles;
use crate::pipeline::FrameFacts;
use crate::report::{Story, clock};

/// The longest record that is read, in bytes.
const LONGEST: u64 = 16 << 20;
/// Most labels of one file.
const MOST_LABELS: usize = 4096;

/// Decides on every record of `--detections`.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Some(path) = &args.detections else { return Ok(()) };
    let names = Names::of(path)?;
    let guess = Roles::of(&names.manifest(BTreeMap::new())?, &[]);
    let config = plan::config(args, guess.all().chain(usual(&names)))?;
    let roles = roles(&names, &config, args.engine.manifest.as_deref())?;
    let mut plan = Plan::new(args, config, None)?;
    plan.facts = CameraFacts { period: names.period, size: plan.facts.size, ..CameraFacts::default() };
    let mut run = Redecision {
        judge: Judge::new(&plan, Nanos::default())?,
        roles,
        held: VecDeque::new(),
        records: args.records.as_deref().map(Records::create).transpose()?,
        comparison: args.diff.open()?,
        story: Story::default(),
        last: Duration::ZERO,
    };
    let mut lines = Lines::open(path)?;
    while let Some(record) = lines.next()? {
        run.record(record, &names)?;
    }
    run.judge.finish();
    run.settle()?;
    if let Some(records) = run.records.take() {
        records.finish()?;
    }
    println!("{}: {} records, to {}", path.display(), lines.number, clock(run.last));
    print!("{}", run.story.text());
    diff::verdict(run.comparison)
}

struct Redecision {
    judge: Judge,
    roles: Roles,
    held: VecDeque<(DecisionRecord, Decided, Option<Cause>)>,
    records: Option<Records>,
    comparison: Option<Comparison>,
    story: Story,
    last: Duration,
}

impl Redecision {
    fn record(&mut self, record: DecisionRecord, names: &Names) -> Result<(), Failure> {
        let captured = Nanos(record.captured_ns);
        let position = Duration::from_micros(record.position_us.unwrap_or(record.captured_ns / 1000));
        let dropped = record.dropped.as_deref().and_then(Cause::from_code);
        let faults = record.faults.iter().filter_map(|code| Cause::from_code(code)).collect::<FaultSet>();
        let ego = self.judge.arrives_recorded(record.frame, (captured, position), faults, dropped);
        let facts = FrameFacts { camera: 0, number: record.frame, captured, size: record.image_size };
        let decided = if dropped.is_some() {
            self.judge.drop(&facts);
            Decided { ego, places: Vec::new() }
        } else {
            let found = record.detections.iter().map(|found| names.detection(found)).collect();
            let looked =
                Looked { by_model: vec![(0, found)], invalid: record.invalid.clone(), ..Looked::default() };
            self.judge.decide(&facts, &looked, |_| &self.roles, ego)
        };
        self.held.push_back((record, decided, dropped));
        self.settle()
    }

    fn settle(&mut self) -> Result<(), Failure> {
        while let Some(outcome) = self.judge.outcome() {
            let Some((mut record, decided, dropped)) = self.held.pop_front() else { break };
            let verdict = Verdict::new(&outcome, &decided, dropped);
            record.detections.iter_mut().for_each(|detection| detection.track = None);
            verdict.fill(&mut record);
            self.last = Duration::from_micros(record.position_us.unwrap_or(record.captured_ns / 1000));
            verdict.tell(self.last, &mut self.story);
            let line = serde_json::to_vec(&record).or_exit(Exit::Internal)?;
            self.records.as_mut().map_or(Ok(()), |records| records.write(&line))?;
            self.comparison.as_mut().map_or(Ok(()), |comparison| comparison.line(&line))?;
        }
        Ok(())
    }
}

/// Labels and keypoints that a file of records names, and how often its frames come.
struct Names {
    labels: Vec<String>,
    keypoints: Vec<String>,
    period: Option<Nanos>,
}

impl Names {
    fn of(path: &Path) -> Result<Self, Failure> {
        let mut lines = Lines::open(path)?;
        let (mut labels, mut keypoints, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        let mut last: Option<u64> = None;
        while let Some(record) = lines.next()? {
            for found in record.detections {
                note(&mut labels, found.label);
                found.keypoints.into_iter().for_each(|point| note(&mut keypoints, point.name));
            }
            gaps.extend(last.map(|last| record.captured_ns.saturating_sub(last)));
            last = Some(record.captured_ns);
        }
        gaps.sort_unstable();
        let period = gaps.get(gaps.len() / 2).copied().filter(|gap| *gap > 0).map(Nanos);
        if lines.number == 0 {
            return Err(Failure::new(Exit::Input, anyhow!("{}: no record", path.display())));
        }
        Ok(Self { labels, keypoints, period })
    }

    /// As if of a model with these labels.
    fn manifest(&self, roles: BTreeMap<String, Vec<String>>) -> Result<Manifest, Failure> {
        let posed = !self.keypoints.is_empty();
        let words = |words: &[String]| toml::Value::from(words.to_vec()).to_string();
        // A manifest has labels; of what is never fed to a model the rest does not matter.
        let labels = if self.labels.is_empty() { vec!["nothing".to_owned()] } else { self.labels.clone() };
        let mut text =
            format!("schema = 1\nname = \"recorded\"\nversion = \"0.0.0\"\nlabels = {}\n", words(&labels));
        text.push_str(if posed {
            "task = \"pose\"\ndecoder = \"yolo-pose\"\n"
        } else {
            "task = \"detect\"\ndecoder = \"yolox\"\n"
        });
        if posed {
            text.push_str(&format!("keypoints = {}\n", words(&self.keypoints)));
        }
        text.push_str(
            "[input]\nwidth = 64\nheight = 64\ncolour = \"rgb\"\nresize = { mode = \"stretch\" }\n",
        );
        let mut manifest = Manifest::from_toml(&text).or_exit(Exit::Internal)?;
        manifest.roles = roles;
        Ok(manifest)
    }

    fn detection(&self, found: &RecordedDetection) -> Detection {
        let point = |name: &String| {
            let known = found.keypoints.iter().find(|point| point.name == *name);
            known.map_or(Keypoint { x: 0.0, y: 0.0, score: 0.0 }, |point| Keypoint {
                x: point.x,
                y: point.y,
                score: point.score,
            })
        };
        let posed = !found.keypoints.is_empty();
        Detection {
            class: self.labels.iter().position(|label| *label == found.label).unwrap_or(usize::MAX),
            score: found.score,
            bbox: found.bbox,
            keypoints: if posed { self.keypoints.iter().map(point).collect() } else { Vec::new() },
        }
    }
}

fn note(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) && names.len() < MOST_LABELS {
        names.push(name);
    }
}

/// The parts that plain labels play.
fn usual(names: &Names) -> impl Iterator<Item = stopline_decide::observe::Role> {
    let roles = model::usual_roles(&names.labels);
    let manifest = names.manifest(roles).ok();
    manifest
        .map(|manifest| Roles::of(&manifest, &[]).all().collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
}

/// The parts that labels play: as `--manifest` says, else the manifests of the configuration's models, else by their plain
/// meaning.
fn roles(names: &Names, config: &Config, manifest: Option<&Path>) -> Result<Roles, Failure> {
    let of_models = config.models.iter().filter(|model| model.bundle.is_none());
    let of_models = of_models.filter(|model| model.onnx != Path::new("replay"));
    let paths = match manifest {
        Some(path) => vec![path.to_owned()],
        None => of_models
            .map(|model| model.manifest.clone().unwrap_or_else(|| model.onnx.with_extension("toml")))
            .collect(),
    };
    let mut said = BTreeMap::<String, Vec<String>>::new();
    for path in paths {
        let text = std::fs::read_to_string(&path);
        let text =
            text.map_err(|error| anyhow!("{}: cannot read: {error}", path.display())).or_exit(Exit::Model)?;
        let manifest = Manifest::from_toml(&text);
        let manifest =
            manifest.map_err(|error| anyhow!("{}: {error}", path.display())).or_exit(Exit::Model)?;
        for (role, labels) in manifest.roles {
            said.entry(role).or_default().extend(labels);
        }
    }
    let roles = if said.is_empty() { model::usual_roles(&names.labels) } else { said };
    Ok(Roles::of(&names.manifest(roles)?, &Plan::watched(config)))
}

/// Records of a file, one at a time.
struct Lines {
    path: String,
    from: BufReader<File>,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let file = File::open(path).map_err(|error| anyhow!("{shown}: cannot read: {error}"));
        Ok(Self { from: BufReader::new(file.or_exit(Exit::Input)?), path: shown, number: 0 })
    }

    fn next(&mut self) -> Result<Option<DecisionRecord>, Failure> {
        let mut line = Vec::new();
        let read = (&mut self.from).take(LONGEST + 1).read_until(b'\n', &mut line);
        let wrong = |what: String| anyhow!("{}, record {}: {what}", self.path, self.number + 1);
        read.map_err(|error| wrong(error.to_string())).or_exit(Exit::Input)?;
        if line.len() as u64 > LONGEST {
            return Err(Failure::new(Exit::Input, wrong(format!("more than {LONGEST} bytes in a line"))));
        }
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let record: DecisionRecord =
            serde_json::from_slice(&line).map_err(|error| wrong(error.to_string())).or_exit(Exit::Input)?;
        if record.schema != SCHEMA {
            let told = wrong(format!("schema {}, expected {SCHEMA}", record.schema));
            return Err(Failure::new(Exit::Input, told));
        }
        self.number += 1;
        Ok(Some(record))
    }
}
