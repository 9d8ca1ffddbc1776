//! A headless Chromium that is driven by its DevTools protocol: keys are pressed as a person presses them, and the page is asked what
//! became of it. The client speaks as much of WebSocket (RFC 6455) as Chromium does on loopback.
#![allow(dead_code)] // every test program uses another part of it

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// How often one looks whether something has come, and for how long.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 1_200;

/// Chromium, or why the pages were not looked at.
pub fn chromium() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths)
        .flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)));
    found.into_iter().find(|path| path.exists()).or_else(|| crate::needs::skip("no chromium"))
}

/// A browser with one page, ended with the test.
pub struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
    wire: TcpStream,
    calls: u64,
    /// What the console complained of.
    pub complaints: Vec<String>,
}

impl Browser {
    pub fn start(chromium: &Path) -> Self {
        // Of this program; the server or another test may have chosen it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let told = profile.path().join("DevToolsActivePort");
        let port = within("Chromium's port", || {
            let text = std::fs::read_to_string(&told).ok()?;
            text.lines().next()?.parse::<u16>().ok().filter(|_| text.lines().count() > 1)
        });
        let pages = format!("http://127.0.0.1:{port}/json/list");
        let url = within("a page", || {
            let all = reqwest::blocking::get(&pages).ok()?.text().ok()?;
            let all: Value = serde_json::from_str(&all).ok()?;
            let page = all.as_array()?.iter().find(|one| one["type"] == "page")?;
            page["webSocketDebuggerUrl"].as_str().map(str::to_owned)
        });
        let path = url.split_once(&format!(":{port}")).unwrap().1;
        let mut wire = TcpStream::connect(("127.0.0.1", port)).unwrap();
        wire.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let hello = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        wire.write_all(hello.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut one = [0];
            wire.read_exact(&mut one).unwrap();
            head.push(one[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let mut browser = Self { child, _profile: profile, wire, calls: 0, complaints: Vec::new() };
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// One call and its answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let (id, text) = (self.calls, json!({"id": self.calls, "method": method, "params": params}));
        self.send(text.to_string().as_bytes());
        loop {
            let said: Value = serde_json::from_slice(&self.frame()).unwrap();
            if said["id"] == id {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].clone();
            }
            let complains = match said["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Log.entryAdded") => said["params"]["entry"]["level"] == "error",
                _ => false,
            };
            if complains {
                self.complaints.push(said.to_string());
            }
        }
    }

    /// A text frame, masked with zeros.
    fn send(&mut self, text: &[u8]) {
        let mut frame = vec![0x81];
        match text.len() {
            length @ ..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length @ ..65_536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text);
        self.wire.write_all(&frame).unwrap();
    }

    /// The next message's text.
    fn frame(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            let mut head = [0; 2];
            self.wire.read_exact(&mut head).unwrap();
            let length = match head[1] & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.exactly())),
                127 => u64::from_be_bytes(self.exactly()),
                length => u64::from(length),
            };
            let mut part = vec![0; usize::try_from(length).unwrap()];
            self.wire.read_exact(&mut part).unwrap();
            // Anything but text and its continuations is the connection's own business.
            if head[0] & 0x0f <= 1 {
                text.extend(part);
                if head[0] & 0x80 != 0 {
                    return text;
                }
            }
        }
    }

    fn exactly<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.wire.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// What an expression of the page's is.
    pub fn ask(&mut self, expression: &str) -> Value {
        let said = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(said["exceptionDetails"].is_null(), "{expression}: {said}");
        said["result"]["value"].clone()
    }

    /// Waits until an expression of the page's is true.
    pub fn until(&mut self, expression: &str) {
        // A page that is being left has nobody to answer.
        let look = json!({"expression": expression, "returnByValue": true});
        for _ in 0..LOOKS {
            if self.call("Runtime.evaluate", look.clone())["result"]["value"] == true {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let page = self.ask("location.href + '\\n' + document.body.innerText");
        panic!("never: {expression}\n{page}\n{:?}", self.complaints);
    }

    pub fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        let path = json!(url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default());
        self.until(&format!("document.readyState === 'complete' && location.pathname === {path}"));
    }

    /// As wide and high as this, in CSS pixels.
    pub fn size(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            other => panic!("{other}"),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let mut down = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
        if !text.is_empty() {
            down["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", up);
    }

    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Tabs on until what has the focus fits the selector.
    pub fn tab_to(&mut self, selector: &str) {
        let fits = format!("document.activeElement.matches({})", json!(selector));
        for _ in 0..200 {
            self.press("Tab");
            if self.ask(&fits) == true {
                return;
            }
        }
        panic!("Tab never comes to {selector}");
    }

    /// A picture of the whole page.
    pub fn picture(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true}));
        std::fs::write(path, of_base64(shot["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn within<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(LOOK);
    }
    panic!("{what}: never");
}

fn of_base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = LETTERS.iter().position(|known| *known == letter).unwrap();
        (held, bits) = ((held << 6) | u32::try_from(value).unwrap(), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).unwrap());
        }
    }
    bytes
}
