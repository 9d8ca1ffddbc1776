//! A camera: GStreamer's RTSP server in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use stopline_sensors::rtsp::RtspConfig;
use stopline_tests::{fixtures, skip};

/// Killed when dropped.
pub struct Camera {
    server: Child,
    port: u16,
    arguments: Vec<String>,
}

impl Camera {
    /// Starts one; `None` (and says so) where there is no GStreamer RTSP server.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).unwrap().port();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let server = launch(port, &arguments)?;
        Some(Self { server, port, arguments })
    }

    pub fn config(&self) -> RtspConfig {
        RtspConfig::new("front", format!("rtsp://127.0.0.1:{}/camera", self.port))
    }

    /// As the power cut does.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.server = launch(self.port, &self.arguments).expect("it has run before");
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The system's Python: Debian's GStreamer bindings belong to no other.
const PYTHON: &str = "/usr/bin/python3";

fn launch(port: u16, arguments: &[String]) -> Option<Child> {
    const MISSING: &str = "no GStreamer RTSP server; tests/run installs it";
    let mut command = Command::new(PYTHON);
    command.arg(fixtures().join("rtsp_server.py")).args(["--port", &port.to_string()]).args(arguments);
    // Its standard input is held open as long as the test lives, and with it the server.
    let Ok(mut server) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        return skip(MISSING);
    };
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut line).unwrap();
    if line.trim() == "ready" {
        return Some(server);
    }
    let status = server.wait().unwrap();
    assert_eq!(status.code(), Some(77), "the RTSP server said {line:?}");
    skip(MISSING)
}
