//! Those who look on: the live page in a real browser, metrics, detection over HTTP, the doctor. The daemon is a real one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stopline_tests::daemon::{Bench, now};
use stopline_tests::{skip, stopline};

const SECOND: Duration = Duration::from_secs(1);

/// A server of ours, ended with the test.
struct Served {
    child: Child,
    at: SocketAddr,
}

impl Served {
    /// Starts `stopline` with `arguments` on a free port, and waits until it answers.
    fn start(arguments: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let at = free.expect("a free port");
        let child = Command::new(stopline())
            .args(arguments)
            .args(["--listen", &at.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("stopline starts");
        let served = Self { child, at };
        let until = now().plus(20 * SECOND);
        while TcpStream::connect(at).is_err() {
            assert!(now() < until, "does not answer at {at}");
            std::thread::sleep(Duration::from_millis(20));
        }
        served
    }

    /// Sends one request; status and body of the answer.
    fn ask(&self, line: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.at).expect("connects");
        stream.set_read_timeout(Some(20 * SECOND)).expect("a limit");
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.at) };
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{line} HTTP/1.1\r\n{host}{headers}{length}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sends");
        // A server that refuses by the length alone may close before it has read everything.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let split = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("headers end");
        let head = String::from_utf8_lossy(&answer[..split]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, answer[split + 4..].to_vec())
    }

    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.ask(&format!("GET {path}"), "", &[])
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).1).expect("JSON")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = now().plus(30 * SECOND);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < end, "not seen: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_person_sees_camera_state_latency_and_events_in_a_browser_and_is_told_when_the_daemon_is_gone() {
    let bench = Bench::new();
    let daemon = bench.start(&[("source = \"approach.y4m\"", "source = \"approach.y4m\"\nloop = true")]);
    let socket = bench.path("run/stream.sock");
    let view = Served::start(&["view", "--socket", socket.to_str().expect("UTF-8")]);
    let said = until("a record and a picture", || {
        let said = view.json("/state.json");
        let whole = said["records"]["front"].is_object() && said["pictures"]["front"].is_object();
        (whole && said["health"]["cameras"][0]["decided"].as_u64() > Some(0)).then_some(said)
    });
    assert_eq!(said["connected"], true);
    let (status, jpeg) = view.get("/picture/front.jpg");
    assert!(status == 200 && jpeg.starts_with(&[0xff, 0xd8, 0xff]), "{status}");
    let metrics = String::from_utf8(view.get("/metrics").1).expect("text");
    for expected in ["stopline_up 1", "stopline_frames_decided_total{camera=\"front\"}", "stage=\"infer\""] {
        assert!(metrics.contains(expected), "{expected} is not in\n{metrics}");
    }
    in_a_browser(&view);
    drop(daemon);
    until("that the daemon is gone", || (view.json("/state.json")["connected"] == false).then_some(()));
    assert!(String::from_utf8_lossy(&view.get("/metrics").1).contains("stopline_up 0"));
}

/// Opens the page: what the script fills in is there, and nothing was complained of.
fn in_a_browser(view: &Served) {
    let Some(chromium) = chromium() else { return };
    let profile = tempfile::tempdir().expect("temporary folder");
    let run = |arguments: &[&str]| {
        Command::new(&chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
            .args(["--virtual-time-budget=4000", "--window-size=1200,900"])
            .args(arguments)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("http://{}/", view.at))
            .output()
            .expect("chromium starts")
    };
    let output = run(&["--dump-dom"]);
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let complaints: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    for expected in [
        "<h1 id=\"name\">stopline</h1>",
        "aria-label=\"picture of camera front\"",
        "data-frame=\"",
        "<td>infer</td>",
        "<td>front</td>",
        "<dt>deceleration</dt>",
        "commands (log): works",
        "<time>",
    ] {
        assert!(dom.contains(expected), "{expected} is not in the page:\n{dom}");
    }
    assert!(!dom.contains("connecting …"), "the state is shown");
    if let Some(picture) = std::env::var_os("STOPLINE_SCREENSHOT").map(PathBuf::from) {
        run(&[&format!("--screenshot={}", picture.display())]);
    }
}

fn chromium() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths)
        .flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)));
    found.into_iter().find(|path| path.exists()).or_else(|| skip("no chromium"))
}

#[test]
fn the_page_answers_nobody_who_comes_by_a_name_of_the_web_and_takes_nothing_in() {
    let view = Served::start(&["view", "--socket", "/nowhere/stream.sock"]);
    assert_eq!(view.ask("GET /state.json", "Host: rebound.example\r\n", &[]).0, 421);
    assert_eq!(view.ask("POST /", "", b"brake=1").0, 405);
    assert_eq!(view.get("/picture/front.jpg").0, 404);
    assert_eq!(view.get("/../../etc/passwd").0, 404);
    let said = view.json("/state.json");
    assert_eq!(said["connected"], false);
    until("why nothing comes", || {
        view.json("/state.json")["lost"].as_str()?.contains("/nowhere/stream.sock").then_some(())
    });
}

fn png(bright: bool) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let lit = bright && (100..140).contains(&x) && (60..180).contains(&y);
        image::Rgb([if lit { 255 } else { 40 }; 3])
    };
    let picture = image::RgbImage::from_fn(320, 240, pixel);
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("writes");
    bytes.into_inner()
}

#[test]
fn a_picture_sent_over_http_comes_back_as_detections_and_what_is_none_is_refused_with_a_reason() {
    let bench = Bench::new();
    let model = bench.path("bright.onnx");
    let arguments = [
        "serve-api",
        "--model",
        model.to_str().expect("UTF-8"),
        "--max-bytes",
        "100000",
        "--max-pixels",
        "100000",
    ];
    let api = Served::start(&arguments);
    let image = "Content-Type: image/png\r\n";
    let (status, body) = api.ask("POST /v1/detect", image, &png(true));
    let found: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["image_size"], serde_json::json!([320, 240]));
    assert_eq!(found["detections"][0]["label"], "person");
    let corners: Vec<f64> = serde_json::from_value(found["detections"][0]["box"].clone()).expect("a box");
    for (side, expected) in corners.iter().zip([100.0, 60.0, 140.0, 180.0]) {
        assert!((side - expected).abs() <= 1.0, "{corners:?}");
    }
    let (_, body) = api.ask("POST /v1/detect?score=0.95", image, &png(true));
    assert!(String::from_utf8_lossy(&body).contains("\"detections\":[]"), "weaker than asked");
    let (_, body) = api.ask("POST /v1/detect", image, &png(false));
    assert!(String::from_utf8_lossy(&body).contains("\"detections\":[]"), "nothing is there");
    assert_eq!(api.json("/v1/model")["labels"], serde_json::json!(["person"]));
    let mut huge = Vec::new();
    let wide = image::GrayImage::new(400, 300);
    wide.write_to(&mut std::io::Cursor::new(&mut huge), image::ImageFormat::Png).expect("writes");
    let cut = &png(true)[..200];
    for (line, headers, body, expected) in [
        ("POST /v1/detect", image, &b"no picture"[..], 415),
        ("POST /v1/detect", image, cut, 400),
        ("POST /v1/detect", image, &[7; 100_001][..], 413),
        ("POST /v1/detect", image, &huge[..], 413),
        ("POST /v1/detect", "Content-Type: multipart/form-data; boundary=x\r\n", b"--x", 415),
        ("POST /v1/detect?score=2", image, cut, 400),
        ("GET /v1/detect", "", &[], 405),
        ("GET /v2", "", &[], 404),
    ] {
        let (status, answer) = api.ask(line, headers, body);
        let told: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(status, expected, "{line} {told}");
        assert!(told["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{told}");
    }
    assert_eq!(api.ask("POST /v1/detect", image, &png(true)).0, 200, "still answers");
}

#[test]
fn the_doctor_says_what_is_well_and_what_is_not_and_ends_with_the_code_for_it() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("run")).expect("a folder");
    let doctor = |config: PathBuf, more: &[&str]| {
        let output = Command::new(stopline())
            .args(["doctor", "--watch", "300ms", "--config"])
            .arg(config)
            .args(more)
            .output()
            .expect("stopline starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said, told) = doctor(bench.config(&[]), &["--json"]);
    assert_eq!(code, Some(0), "{said}{told}");
    let findings: Value = serde_json::from_str(&said).expect("JSON");
    let about = |about: &str| {
        let all = findings["findings"].as_array().expect("a list");
        all.iter().filter(|finding| finding["about"] == about).cloned().collect::<Vec<_>>()
    };
    assert!(
        about("camera front")
            .iter()
            .any(|found| found["found"].as_str().is_some_and(|text| text.contains("320x240")))
    );
    assert!(
        about("model bright on front")[0]["found"]
            .as_str()
            .is_some_and(|text| text.contains("% of the 33.3 ms"))
    );
    let (code, said, told) = doctor(bench.config(&[("bright.onnx", "dark.onnx")]), &[]);
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("FAULT    model bright") && said.contains("dark.onnx"), "{said}");
    assert!(told.contains("1 of the things looked at do not work"), "{told}");
}
