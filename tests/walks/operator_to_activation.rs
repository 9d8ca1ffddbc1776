//! From the operator's hand to a model that decides, and back: the three programs as they are installed. Three holders in
//! three folders, a repository behind a web server, the agent, the runtime on a clip.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use stopline_depot::deployment::{DeployCause, Phase};
use stopline_tests::daemon::{Bench, MANIFEST, bright};
use stopline_tests::signed::Device;
use stopline_tests::{program, stopline};

use crate::models_over_the_air::{
    LONG, deciding, golden, golden_picture, standing, start, wait_for_phase, wait_for_version,
};

/// The operator's machines, in one folder.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// With keys, and a repository that is begun.
    pub(crate) fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(desk.path("passphrase"), "correct horse\n").unwrap();
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `stopline-fleet` as an operator types it.
    pub(crate) fn fleet(&self, line: &str) -> String {
        let (status, said) = self.try_fleet(line);
        assert_eq!(status, Some(0), "stopline-fleet {line}");
        said
    }

    /// The same, where it may be refused: its exit code, and everything it said.
    pub(crate) fn try_fleet(&self, line: &str) -> (Option<i32>, String) {
        let output = Command::new(program("stopline-fleet"))
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env("STOPLINE_PROGRAM", stopline())
            .env("STOPLINE_PASSPHRASE_FILE", "passphrase")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        println!("$ stopline-fleet {line}\n{said}");
        (output.status.code(), said)
    }

    /// Packs a version, two of three sign it, and it is published for every vehicle.
    fn release(&self, version: &str, publish: &str) {
        let picture = golden_picture();
        let golden = golden(&picture, 0.9);
        std::fs::create_dir_all(self.path("golden")).unwrap();
        std::fs::write(self.path("golden/box.png"), &picture).unwrap();
        std::fs::write(self.path("bright.onnx"), bright()).unwrap();
        let mut manifest = stopline_depot::manifest::Manifest::from_toml(MANIFEST).unwrap();
        manifest.version = version.parse().unwrap();
        manifest.golden = vec![golden];
        std::fs::write(self.path("bright.toml"), toml::to_string(&manifest).unwrap()).unwrap();
        self.fleet("pack bright.onnx bright.toml --hardware board");
        self.fleet("sign --key anna/anna.pem");
        self.fleet("sign --key cleo/cleo.pem");
        self.fleet(&format!("publish repository --online online {publish}"));
        self.fleet(&format!("rollout start bright --online online --stages 10000 --id r-{version}"));
    }

    /// The packed bundle that lies in the repository under its digest, by size the largest target.
    fn published_bundle(&self, version: &str) -> PathBuf {
        let all = walkdir::WalkDir::new(self.path("repository/targets")).into_iter().flatten();
        let name = format!("bright-{version}.slb");
        let found = all
            .map(|entry| entry.path().to_owned())
            .find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().ends_with(&name)));
        found.unwrap_or_else(|| panic!("{name} is not in the repository"))
    }
}

/// A web server for a folder, and for what vehicles post.
struct Server {
    url: String,
    posted: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
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

    fn phases(&self) -> Vec<(String, String)> {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let posted = self.posted.lock().unwrap();
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
        posted.lock().unwrap().push(serde_json::from_slice(&body).unwrap_or_default());
        return stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    }
    let Ok(body) = std::fs::read(folder.join(path.trim_start_matches('/'))) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// The agent's configuration on the device of the bench.
fn agent_config(bench: &Bench, desk: &Desk, url: &str) -> PathBuf {
    std::fs::copy(desk.path("repository/metadata/1.root.json"), bench.path("trust/root.json")).unwrap();
    let at = |name: &str| bench.path(name).display().to_string();
    let text = format!(
        "repository = {url:?}\nhardware = \"board\"\nmodels = [\"bright\"]\nhome = {:?}\ndepot = {:?}\nstate = {:?}\n\
         trust = {:?}\noutcomes_url = \"{url}/outcomes\"\n[device]\nnetwork = \"ethernet\"\nsynchronised_file = {:?}\n\
         [download]\nstall_s = 5\nattempts = 2\nfirst_back_off_ms = 10\nlongest_back_off_ms = 100\n",
        at("home"),
        at("depot"),
        at("state"),
        at("trust"),
        at("trust/root.json"),
    );
    bench.write("agent.toml", text.as_bytes())
}

/// Runs the agent once; what it printed and said, and whether it ended well.
fn check_now(config: &Path) -> (bool, String) {
    let mut agent = Command::new(program("stopline-agent"));
    let output = agent.args(["check-now", "--json", "--config"]).arg(config).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    println!("$ stopline-agent check-now: {}\n{said}", output.status);
    (output.status.success(), said)
}

/// Polls until the roll-out's model is offered (what was deferred is tried again after a minute), then waits until it is
/// Good.
fn poll_until(
    config: &Path,
    daemon: &mut stopline_tests::daemon::Daemon<'_>,
    device: &Device,
    rollout: &str,
) {
    let staged = format!("\"rollout_id\":\"{rollout}\",\"model\":\"bright\"");
    for turn in 0.. {
        let (well, said) = check_now(config);
        assert!(well && turn < 40, "{said}");
        if said.contains(&staged) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(5));
    }
    daemon.wait(rollout, LONG, |_| {
        device.progress("bright").filter(|told| told.rollout_id == rollout && told.phase == Phase::Good)
    });
}

#[test]
fn from_three_key_holders_to_a_model_that_decides_and_back() {
    let desk = Desk::new();
    desk.release("1.1.0", "");
    let server = Server::start(desk.path("repository"));
    let (bench, device) = standing();
    let config = agent_config(&bench, &desk, &server.url);
    let mut daemon = start(&bench, &device, 20, 30);
    wait_for_version(&mut daemon, "1.0.0");

    poll_until(&config, &mut daemon, &device, "r-1.1.0");
    wait_for_version(&mut daemon, "1.1.0");

    // The next release, with one byte changed on its way: the old model goes on.
    desk.release("1.2.0", "--publish-a-model-nobody-compared-with-the-champion");
    let bundle = desk.published_bundle("1.2.0");
    let signed = std::fs::read(&bundle).unwrap();
    let mut tampered = signed.clone();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    std::fs::write(&bundle, &tampered).unwrap();
    check_now(&config);
    assert!(device.progress("bright").is_none_or(|told| told.rollout_id == "r-1.1.0"), "nothing was offered");
    assert_eq!(deciding(&daemon).as_deref(), Some("1.1.0"));

    // Mended, it comes; aborted, the one before decides again.
    std::fs::write(&bundle, &signed).unwrap();
    poll_until(&config, &mut daemon, &device, "r-1.2.0");
    wait_for_version(&mut daemon, "1.2.0");
    desk.fleet("rollout abort bright --online online");
    assert!(check_now(&config).0);
    assert_eq!(wait_for_phase(&mut daemon, &device, Phase::Withdrawn), Some(DeployCause::Aborted));
    wait_for_version(&mut daemon, "1.1.0");

    // Everything was told, signed, in its order.
    assert!(check_now(&config).0);
    let told = server.phases();
    println!("{told:?}");
    for phase in ["offered", "staged", "good"] {
        assert!(
            told.contains(&("r-1.1.0".into(), phase.into())),
            "{phase} of r-1.1.0 was not told: {told:?}"
        );
    }
    assert!(told.contains(&("r-1.2.0".into(), "withdrawn".into())), "{told:?}");
}
