//! An operator at work with the programs as they are installed: keys of three holders, releases, a repository behind a web
//! server. And the bundles that are released: the bright box's model, with a golden picture.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use stopline_depot::manifest::{Golden, GoldenDetection, Manifest, Tolerance};

use crate::daemon::{MANIFEST, SIZE, bright};
use crate::signed::bundle;
use crate::{program, stopline};

/// Why nothing here can be handled: it is a test's own preparation.
const WORKS: &str = "what a test prepares works";

/// The operator's machines, in one folder.
pub struct Desk {
    folder: tempfile::TempDir,
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

impl Desk {
    /// With keys, and a repository that is begun.
    pub fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect(WORKS) };
        std::fs::write(desk.path("passphrase"), "correct horse\n").expect(WORKS);
        for line in [
            "key new anna/anna",
            "key new ben/ben",
            "key new cleo/cleo",
            "key online online",
            "init --holder anna/anna.pub --holder ben/ben.pub --holder cleo/cleo.pub --online online",
        ] {
            desk.fleet(line);
        }
        desk
    }

    /// A file of theirs.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `stopline-fleet` as an operator types it.
    pub fn fleet(&self, line: &str) -> String {
        let (status, said) = self.try_fleet(line);
        assert_eq!(status, Some(0), "stopline-fleet {line}");
        said
    }

    /// The same, where it may be refused: its exit code, and everything it said.
    pub fn try_fleet(&self, line: &str) -> (Option<i32>, String) {
        let output = Command::new(program("stopline-fleet"))
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env("STOPLINE_PROGRAM", stopline())
            .env("STOPLINE_PASSPHRASE_FILE", "passphrase")
            .output()
            .expect(WORKS);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        println!("$ stopline-fleet {line}\n{said}");
        (output.status.code(), said)
    }

    /// Packs a version, two of three sign it, and it is published for every vehicle.
    pub fn release(&self, version: &str, publish: &str) {
        self.sign(version);
        self.publish(version, publish);
    }

    /// Packs a version, and two of three sign it.
    pub fn sign(&self, version: &str) {
        let picture = golden_picture();
        let golden = golden(&picture, 0.9);
        std::fs::create_dir_all(self.path("golden")).expect(WORKS);
        std::fs::write(self.path("golden/box.png"), &picture).expect(WORKS);
        std::fs::write(self.path("bright.onnx"), bright()).expect(WORKS);
        let mut manifest = stopline_depot::manifest::Manifest::from_toml(MANIFEST).expect(WORKS);
        manifest.version = version.parse().expect(WORKS);
        manifest.golden = vec![golden];
        std::fs::write(self.path("bright.toml"), toml::to_string(&manifest).expect(WORKS)).expect(WORKS);
        self.fleet("pack bright.onnx bright.toml --hardware board");
        self.fleet("sign --key anna/anna.pem");
        self.fleet("sign --key cleo/cleo.pem");
    }

    /// Publishes what was signed, for every vehicle.
    pub fn publish(&self, version: &str, publish: &str) {
        self.fleet(&format!("publish repository --online online {publish}"));
        self.fleet(&format!("rollout start bright --online online --stages 10000 --id r-{version}"));
    }

    /// The packed bundle that lies in the repository under its digest, by size the largest target.
    pub fn published_bundle(&self, version: &str) -> PathBuf {
        let all = walkdir::WalkDir::new(self.path("repository/targets")).into_iter().flatten();
        let name = format!("bright-{version}.slb");
        let found = all
            .map(|entry| entry.path().to_owned())
            .find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().ends_with(&name)));
        found.unwrap_or_else(|| panic!("{name} is not in the repository"))
    }
}

/// A web server for a folder, and for what vehicles post.
pub struct Server {
    /// Where it answers.
    pub url: String,
    posted: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    /// On a port of this machine that is free.
    pub fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect(WORKS);
        let url = format!("http://{}", listener.local_addr().expect(WORKS));
        let posted = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&posted);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, posted) = (folder.clone(), Arc::clone(&kept));
                std::thread::spawn(move || drop(answer(stream, &folder, &posted)));
            }
        });
        Self { url, posted }
    }

    /// Roll-out and phase of every outcome that was posted.
    pub fn phases(&self) -> Vec<(String, String)> {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = posted.iter().map(|post| post.get("outcome").unwrap_or(post));
        outcomes.map(|outcome| (text(outcome, "rollout_id"), text(outcome, "phase"))).collect()
    }
}

/// One request, one answer.
fn answer(mut stream: TcpStream, folder: &Path, posted: &Mutex<Vec<Value>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "POST" {
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        posted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(serde_json::from_slice(&body).unwrap_or_default());
        return stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    }
    let Ok(body) = std::fs::read(folder.join(path.trim_start_matches('/'))) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// Changes the version of a manifest.
pub fn version(version: &'static str) -> impl Fn(&mut Manifest) {
    move |manifest| manifest.version = version.parse().expect(WORKS)
}

/// The model without golden pictures.
pub fn plain(of: &'static str) -> Vec<u8> {
    bundle(&bright(), MANIFEST, &BTreeMap::new(), version(of))
}

/// A bright box on grey.
pub fn golden_picture() -> Vec<u8> {
    let [width, height] = SIZE;
    let picture = image::RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let lit = (100..140).contains(&x) && (60..160).contains(&y);
        image::Rgb(if lit { [250; 3] } else { [90; 3] })
    });
    let mut png = Vec::new();
    picture.write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png).expect(WORKS);
    png
}

/// What is found in the picture, with `score` as the expected score; the digest is what `selftest` itself reports.
pub fn golden(picture: &[u8], score: f32) -> Golden {
    let unknown = Golden {
        image: "golden/box.png".into(),
        input_sha256: "0".repeat(64),
        detections: vec![GoldenDetection {
            label: "person".into(),
            score,
            bbox: [100.0, 60.0, 140.0, 160.0],
        }],
        tolerance: Tolerance { score: 0.05, iou: 0.9 },
    };
    let report = selftest(&golden_bundle(picture, unknown.clone()), 13);
    assert_eq!(report["cause"], "golden");
    let input_sha256 = report["golden"][0]["input_sha256"].as_str().expect(WORKS).to_owned();
    Golden { input_sha256, ..unknown }
}

/// The model with a golden picture, as version 1.3.0.
pub fn golden_bundle(picture: &[u8], golden: Golden) -> Vec<u8> {
    let pictures = BTreeMap::from([("golden/box.png".to_owned(), picture.to_vec())]);
    bundle(&bright(), MANIFEST, &pictures, |manifest| {
        manifest.version = "1.3.0".parse().expect(WORKS);
        manifest.golden = vec![golden];
    })
}

/// What `stopline model selftest` reports of a bundle; it ends with `exit`.
pub fn selftest(bundle: &[u8], exit: i32) -> Value {
    let mut child = Command::new(stopline())
        .args([
            "model",
            "selftest",
            "-",
            "--json",
            "--runs=2",
            "--limit-memory=1024",
            "--limit-cpu=60",
            "--nice=5",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(WORKS);
    child.stdin.take().expect(WORKS).write_all(bundle).expect(WORKS);
    let output = child.wait_with_output().expect(WORKS);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    serde_json::from_slice(&output.stdout).expect(WORKS)
}
