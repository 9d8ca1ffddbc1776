//! From a frame worth learning from to a dataset: the three programs as they are installed. The runtime looks at a recorded
//! crossing and keeps frames, redacted and encrypted; the agent brings them to the operator's server over a link that goes
//! away in between; the operator opens them and gets pictures and boxes that other tools read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use stopline_depot::record::DecisionRecord;
use stopline_tests::daemon::now;
use stopline_tests::operator::Desk;
use stopline_tests::uploading::{AGENT, Running, agent, json, published, serve};
use stopline_tests::{python, skip, stopline};

/// How long a step may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// A link between agent and server that can go away.
struct Link {
    address: SocketAddr,
    away: Arc<AtomicBool>,
    /// Bytes that went to the server.
    carried: Arc<AtomicUsize>,
}

impl Link {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, away) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let carried = Arc::new(AtomicUsize::new(0));
        let link = Self { address, away: away.clone(), carried: carried.clone() };
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(server) else { continue };
                for (from, to, counts) in [(&near, &far, true), (&far, &near, false)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (away, carried) = (away.clone(), counts.then(|| carried.clone()));
                    std::thread::spawn(move || carry(from, to, &away, carried.as_deref()));
                }
            }
        });
        link
    }
}

/// Until either side ends, or the link goes away: then both are cut.
fn carry(mut from: TcpStream, mut to: TcpStream, away: &AtomicBool, carried: Option<&AtomicUsize>) {
    use std::io::{Read as _, Write as _};
    let mut bytes = [0; 16 << 10];
    let _ = from.set_read_timeout(Some(Duration::from_millis(50)));
    loop {
        let read = from.read(&mut bytes);
        let waits = |error: &std::io::Error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        };
        match read {
            _ if away.load(Ordering::SeqCst) => break,
            Err(error) if waits(&error) => {}
            Err(_) | Ok(0) => break,
            Ok(length) => {
                if to.write_all(&bytes[..length]).is_err() {
                    break;
                }
                if let Some(carried) = carried {
                    carried.fetch_add(length, Ordering::SeqCst);
                }
            }
        }
    }
    // The other direction's thread finds its end closed.
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}

/// Board and operator, in one folder.
struct World {
    desk: Desk,
    link: Link,
    _server: Running,
}

impl World {
    fn new() -> Self {
        let desk = published();
        let (server, address) = serve(&desk);
        Self { link: Link::to(address), desk, _server: server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path(name)
    }

    fn json(&self, line: &str) -> Value {
        json(&self.desk, line)
    }

    /// The crossing through the daemon, with capture, until the recording is over.
    fn drive(&self, recipient: &str) {
        let config = self.path("stopline.toml");
        let text = CONFIG
            .replace("KIT", kit().to_str().unwrap())
            .replace("HERE", self.path("board").to_str().unwrap())
            .replace("RECIPIENT", recipient);
        std::fs::write(&config, text).unwrap();
        std::fs::create_dir_all(self.path("board/spool")).unwrap();
        let said = self.path("daemon.log");
        let log = std::fs::File::create(&said).unwrap();
        let child =
            Command::new(stopline()).args(["run", "--config"]).arg(&config).stderr(log).spawn().unwrap();
        let mut daemon = Running(child);
        let over = || std::fs::read_to_string(&said).unwrap().contains("the recording is over");
        self.wait("the recording's end", over);
        // What was taken last is still on its way to the spool.
        std::thread::sleep(Duration::from_secs(3));
        daemon.signal(Signal::TERM);
        let status = daemon.0.wait().unwrap();
        assert!(status.success(), "{}", std::fs::read_to_string(said).unwrap());
    }

    /// The agent, slow enough to be cut.
    fn agent(&self) -> Running {
        let slow = "batch_bytes = 300000\nchunk_bytes = 65536\nrate_bytes_per_s = 400000\n";
        agent(&self.desk, self.link.address, &format!("{AGENT}{slow}"))
    }

    /// Digests of the spool's ledger by what happened to them, and how often.
    fn ledger(&self, event: &str) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(self.path("board/spool/ledger")).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            for line in text.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                if line["event"] == event {
                    *found.entry(line["digest"].as_str().unwrap().to_owned()).or_default() += 1;
                }
            }
        }
        found
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let until = now().plus(LONG);
        while !done() {
            let log = || std::fs::read_to_string(self.path("agent.log")).unwrap_or_default();
            assert!(now() < until, "{what}: not seen; the agent said:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn kit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/demo")
}

/// What the model finds on each frame of the clip when nothing is in a hurry.
fn replayed(folder: &Path) -> BTreeMap<u64, DecisionRecord> {
    let records = folder.join("replayed.jsonl");
    let status = Command::new(stopline())
        .arg("replay")
        .arg(kit().join("clips/pedestrian.mp4"))
        .arg("--model")
        .arg(kit().join("stopline-small.onnx"))
        .arg("--manifest")
        .arg(kit().join("model.toml"))
        .arg("--records")
        .arg(&records)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(records).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<DecisionRecord>(line).unwrap());
    records.map(|record| (record.frame, record)).collect()
}

#[test]
fn every_captured_frame_arrives_once_over_a_link_that_goes_away_and_its_boxes_are_right() {
    let world = World::new();
    let recipient = world.json("key capture capture.key")["recipient"].as_str().unwrap().to_owned();
    world.drive(&recipient);
    let captured = world.ledger("captured");
    assert!(captured.len() >= 20, "{} frames of a crossing of some seconds", captured.len());
    nothing_is_readable(&world.path("board/spool"));

    // The link goes away when something of the records is on its way, and comes back.
    let agent = world.agent();
    let began = world.link.carried.load(Ordering::SeqCst);
    world.wait("the first bytes", || world.link.carried.load(Ordering::SeqCst) > began + 200_000);
    world.link.away.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_secs(2));
    assert!(world.ledger("delivered").len() < captured.len(), "it went away too late to matter");
    world.link.away.store(false, Ordering::SeqCst);
    world.wait("every record delivered", || world.ledger("delivered").len() == captured.len());
    drop(agent);

    // Captured = delivered, by digest, in the ledger and in the server's store; each once.
    assert_eq!(world.ledger("delivered"), captured);
    assert!(captured.values().all(|times| *times == 1));
    let kept = std::fs::read_dir(world.path("fleet/store/records")).unwrap().flatten();
    let names = kept.filter_map(|entry| entry.file_name().into_string().ok());
    let stored: BTreeSet<String> =
        names.filter_map(|name| name.strip_suffix(".age").map(str::to_owned)).collect();
    assert_eq!(stored, captured.keys().cloned().collect());
    assert_eq!(std::fs::read_dir(world.path("board/spool/waiting")).unwrap().count(), 0);

    exported(&world, captured.len());
}

/// No picture and no side-car in the clear anywhere in the spool.
fn nothing_is_readable(spool: &Path) {
    for entry in
        walkdir::WalkDir::new(spool).into_iter().flatten().filter(|entry| entry.file_type().is_file())
    {
        let bytes = std::fs::read(entry.path()).unwrap();
        for clear in [&b"JFIF"[..], b"record.json", b"detections"] {
            assert!(!bytes.windows(clear.len()).any(|part| part == clear), "{entry:?} holds {clear:?}");
        }
    }
}

/// The dataset: as many pictures as were captured, duplicates told, boxes those of the replay, and other tools open it.
fn exported(world: &World, captured: usize) {
    let counts =
        &world.json("dataset export fleet/store --identity capture.key --output out --duplicate 0")["counts"];
    let truth = replayed(&world.path(""));
    let (mut pictures, mut boxes) = (0, 0);
    for split in ["train", "val"] {
        let coco = std::fs::read_to_string(world.path(&format!("out/annotations/instances_{split}.json")));
        let Ok(coco) = coco else { continue };
        let coco: Value = serde_json::from_str(&coco).unwrap();
        for image in coco["images"].as_array().unwrap() {
            pictures += 1;
            boxes += same_boxes(image, &coco, &truth);
        }
    }
    assert_eq!(pictures + number(&counts["duplicates"]), captured, "{counts}");
    assert!(boxes > 20, "{boxes} boxes");
    println!(
        "{captured} records captured, delivered and stored once; {pictures} pictures with {boxes} boxes exported"
    );
    opens_elsewhere(world, pictures, boxes);
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))).unwrap()
}

/// Each box of `image` is one that the replay found on that frame, in the picture's own pixels; tells how many.
fn same_boxes(image: &Value, coco: &Value, truth: &BTreeMap<u64, DecisionRecord>) -> usize {
    let frame = image["stopline"]["frame"].as_u64().unwrap_or_else(|| panic!("no frame number: {image}"));
    let record = &truth[&frame];
    let scale = image["width"].as_f64().unwrap() / f64::from(record.image_size[0]);
    let of = coco["annotations"].as_array().unwrap().iter().filter(|one| one["image_id"] == image["id"]);
    let mut count = 0;
    for annotation in of {
        let side = |at: usize| annotation["bbox"][at].as_f64().unwrap();
        let found = [side(0), side(1), side(0) + side(2), side(1) + side(3)];
        let near =
            |one: [f32; 4]| one.iter().zip(found).all(|(a, b)| (f64::from(*a) * scale - b).abs() < 1.0);
        assert!(
            record.detections.iter().any(|one| near(one.bbox)),
            "frame {frame}: {found:?} is no box of {record:?}"
        );
        count += 1;
    }
    count
}

fn opens_elsewhere(world: &World, pictures: usize, boxes: usize) {
    let Some(python) = python() else {
        return skip("no Python test environment: pycocotools").unwrap_or_default();
    };
    let script = "import sys\nfrom pycocotools.coco import COCO\nimages = boxes = 0\nfor split in ('train', 'val'):\n    \
                  coco = COCO(f'{sys.argv[1]}/annotations/instances_{split}.json')\n    images += len(coco.imgs)\n    \
                  boxes += len(coco.anns)\nprint(images, boxes)\n";
    let output = Command::new(python).args(["-c", script]).arg(world.path("out")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().next_back().unwrap_or_default();
    assert_eq!(last, format!("{pictures} {boxes}"), "{}", String::from_utf8_lossy(&output.stderr));
}

const CONFIG: &str = r#"schema = 1
[run]
name = "board-1"
directory = "HERE/run"
lock_memory = false
realtime_priority = 0
[[camera]]
name = "front"
source = "KIT/clips/pedestrian.mp4"
calibration = "KIT/clips/front.cal.toml"
functions = ["pedestrian"]
[[model]]
name = "small"
onnx = "KIT/stopline-small.onnx"
manifest = "KIT/model.toml"
[vehicle]
source = "track"
file = "KIT/clips/pedestrian.track.csv"
[capture]
enabled = true
spool = "HERE/spool"
recipients = ["RECIPIENT"]
keep_free_bytes = 1000000
[[capture.rule]]
rule = "event"
class = 9
per_minute = 100
per_hour = 100
[[capture.rule]]
rule = "random"
rate = 0.5
class = 1
per_minute = 200
per_hour = 200
"#;
