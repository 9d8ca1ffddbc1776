//! A server that runs as an operator runs it, devices with keys and certificates of their own, and people in browsers.
#![allow(dead_code)] // every test program uses another part of it

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519, SigningKey as _};
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use stopline_depot::batch::{BatchError, BatchManifest, Entry, pack};
use stopline_depot::deployment::{Outcome, Phase};
use stopline_depot::digest::Digest;
use stopline_depot::outcome::{self, SignedOutcome};
use stopline_depot::versioned::{Versioned as _, VersionedError};

pub const FAR_S: u64 = 4_000_000_000;

/// A server, ended with the test.
pub struct House {
    pub folder: PathBuf,
    pub arguments: Vec<String>,
    /// What the program finds in its environment beyond the test's own.
    pub environment: Vec<(&'static str, String)>,
    child: Child,
    pub devices: String,
    pub people: String,
    /// Port of its MQTT end point; 0: it has none.
    pub mqtt: u16,
    pub words: Vec<String>,
    kept: Option<tempfile::TempDir>,
}

impl House {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(arguments: &[&str]) -> Self {
        Self::within(arguments, Vec::new())
    }

    /// With this in its environment.
    pub fn within(arguments: &[&str], environment: Vec<(&'static str, String)>) -> Self {
        Self::kept_in(tempfile::tempdir().unwrap(), arguments, environment)
    }

    /// In a folder that ends with it, where arguments name files beside the server's own folder.
    pub fn kept_in(
        kept: tempfile::TempDir,
        arguments: &[&str],
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let mut house = Self::new_at(&kept.path().join("fleet"), arguments, environment);
        house.kept = Some(kept);
        house
    }

    pub fn at(folder: &Path, arguments: &[&str]) -> Self {
        Self::new_at(folder, arguments, Vec::new())
    }

    fn new_at(folder: &Path, arguments: &[&str], environment: Vec<(&'static str, String)>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let any = ["127.0.0.1:0"; 3].map(str::to_owned);
        let (child, devices, people, mqtt, words) = start(folder, &arguments, &environment, &any);
        let folder = folder.to_owned();
        Self { folder, arguments, environment, child, devices, people, mqtt, words, kept: None }
    }

    /// Kills it, as a power cut would, and starts it again at the same addresses.
    pub fn killed_and_started(&mut self) {
        self.kill();
        self.start_again();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        let at = |url: &str| url.rsplit('/').next().unwrap().to_owned();
        let at = [at(&self.devices), at(&self.people), format!("127.0.0.1:{}", self.mqtt)];
        (self.child, _, _, _, self.words) = start(&self.folder, &self.arguments, &self.environment, &at);
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its database, where that is not in its folder.
    pub fn database(&self) -> Option<&str> {
        let at = self.arguments.iter().position(|one| one == "--database")?;
        self.arguments.get(at + 1).map(String::as_str)
    }

    /// The program, with this server's data folder.
    pub fn fleet(&self, line: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stopline-fleet"));
        command.args(line.split_whitespace()).current_dir(self.folder.parent().unwrap());
        command.envs(self.environment.iter().cloned());
        if let Some(database) = self.database() {
            command.env("STOPLINE_FLEET_DATABASE", database);
        }
        let output = command.env("STOPLINE_FLEET_DATA", &self.folder).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    pub fn well(&self, line: &str) -> Value {
        let (code, out, error) = self.fleet(&format!("{line} --json"));
        assert_eq!(code, 0, "{line}: {error}");
        serde_json::from_str(&out).unwrap()
    }

    pub fn token(&self, name: &str) -> String {
        self.well(&format!("devices token --name {name}"))["token"].as_str().unwrap().to_owned()
    }

    /// A client of the devices' side that shows nothing.
    pub fn stranger(&self) -> Client {
        self.client(None)
    }

    pub fn client(&self, identity: Option<String>) -> Client {
        let pem = std::fs::read(self.folder.join("authorities.pem")).unwrap();
        let roots = reqwest::Certificate::from_pem_bundle(&pem).unwrap();
        let mut builder = Client::builder().tls_certs_only(roots).timeout(Duration::from_secs(60));
        if let Some(identity) = identity {
            builder = builder.identity(reqwest::Identity::from_pem(identity.as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }

    /// A device that is enrolled.
    pub fn device(&self, name: &str) -> Device {
        let mut device = Device::new(name);
        let (status, said) = device.enrol(self, &self.token(name));
        assert_eq!(status, 200, "{said}");
        device
    }

    pub fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn audited(&self, what: &str) -> Vec<Value> {
        self.audit().into_iter().filter(|line| line["what"] == what).collect()
    }

    /// The secret in the link that the first start prints.
    pub fn invitation(&self) -> String {
        let words = self.words.join("\n");
        let link = words.split("invitation=").nth(1).unwrap_or_else(|| panic!("no link in {words}"));
        link.split_whitespace().next().unwrap().to_owned()
    }

    pub fn has_record(&self, digest: &Digest) -> bool {
        self.folder.join(format!("store/records/{digest}.age")).exists()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(
    folder: &Path,
    arguments: &[String],
    environment: &[(&'static str, String)],
    [devices, people, mqtt]: &[String; 3],
) -> (Child, String, String, u16, Vec<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stopline-fleet"))
        .args(["serve", "--json", "--name", "fleet.example.org"])
        .args(["--devices", devices, "--operators", people, "--mqtt", mqtt, "--data"])
        .arg(folder)
        .args(arguments)
        .envs(environment.iter().cloned())
        .env("STOPLINE_FLEET_LOG", std::env::var("STOPLINE_FLEET_LOG").unwrap_or_else(|_| "error".into()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    let url = |scheme: &str, key: &str| format!("{scheme}://{}", said[key].as_str().unwrap());
    let words = said["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
    let scheme = if arguments.iter().any(|one| one == "--operators-tls") { "https" } else { "http" };
    let mqtt = said["mqtt"].as_str().map_or(0, |at| at.rsplit(':').next().unwrap().parse().unwrap());
    (child, url("https", "devices"), url(scheme, "people"), mqtt, words.collect())
}

/// A device, as its protocol shows it.
pub struct Device {
    pub id: String,
    pub key: KeyPair,
    pub certificate: String,
    pub boot_id: String,
}

impl Device {
    pub fn new(name: &str) -> Self {
        let id = Digest::of(name.as_bytes()).to_string()[..32].to_owned();
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Self { id, key, certificate: String::new(), boot_id: "boot-1".into() }
    }

    pub fn csr(&self) -> String {
        self.csr_for(&self.id)
    }

    pub fn csr_for(&self, id: &str) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, id);
        params.serialize_request(&self.key).unwrap().pem().unwrap()
    }

    pub fn public(&self) -> [u8; 32] {
        self.key.public_key_raw().try_into().unwrap()
    }

    pub fn enrol(&mut self, house: &House, token: &str) -> (u16, Value) {
        let body = json!({"schema": 1, "token": token, "csr": self.csr()});
        let (status, said) =
            answer(house.stranger().post(format!("{}/v1/enroll", house.devices)).json(&body));
        if status == 200 {
            self.certificate = said["certificate"].as_str().unwrap().to_owned();
        }
        (status, said)
    }

    pub fn client(&self, house: &House) -> Client {
        house.client(Some(format!("{}{}", self.certificate, self.key.serialize_pem())))
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).unwrap().try_into().unwrap()
    }

    pub fn message(&self, seq: u64, kind: &str, body: Value) -> Value {
        json!({"schema": 1, "device": self.id, "boot_id": self.boot_id, "seq": seq, "kind": kind, "body": body})
    }

    pub fn state(&self, seq: u64) -> Value {
        self.message(seq, "state", json!({"runtime": "ready"}))
    }

    pub fn event(&self, seq: u64, id: &str, change: &str) -> Value {
        let body = json!({
            "id": id, "change": change, "subject": "fall", "name": "room 3",
            "made_wall": "2026-11-22T06:00:00.000000Z", "persons_down": 1, "asks": true,
        });
        self.message(seq, "event", body)
    }

    pub fn say(&self, house: &House, messages: &[Value]) -> (u16, Value) {
        let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
        answer(self.client(house).post(format!("{}/v1/messages", house.devices)).body(lines))
    }

    pub fn entry(&self, content: &[u8], class: u8, expires: u64) -> Entry {
        let length = u64::try_from(content.len()).unwrap();
        let what = (Digest::of(content), length, class, expires);
        Entry::signed(&self.id, what, |message| Ok::<_, VersionedError>(self.sign(message))).unwrap()
    }

    /// A batch of these contents: its name and bytes.
    pub fn batch(&self, seq: u64, contents: &[&[u8]]) -> (String, Vec<u8>) {
        let entries = contents.iter().map(|content| self.entry(content, 5, FAR_S)).collect();
        self.batch_of(seq, entries, contents)
    }

    pub fn batch_of(&self, seq: u64, records: Vec<Entry>, contents: &[&[u8]]) -> (String, Vec<u8>) {
        let manifest = BatchManifest {
            schema: BatchManifest::SCHEMA,
            device: self.id.clone(),
            boot_id: self.boot_id.clone(),
            seq,
            records,
        };
        let mut contents = contents.iter().map(|content| content.to_vec());
        let bytes = pack::<BatchError>(&manifest, |_| Ok(contents.next().unwrap())).unwrap();
        (Digest::of(&bytes).to_string(), bytes)
    }

    pub fn patch(
        &self,
        house: &House,
        id: &str,
        offset: usize,
        length: usize,
        bytes: &[u8],
    ) -> RequestBuilder {
        self.client(house)
            .patch(format!("{}/v1/batches/{id}", house.devices))
            .header("Upload-Offset", offset)
            .header("Upload-Length", length)
            .body(bytes.to_vec())
    }

    pub fn upload(&self, house: &House, id: &str, bytes: &[u8]) -> (u16, Value) {
        answer(self.patch(house, id, 0, bytes.len(), bytes))
    }

    pub fn outcome(&self, seq: u64, rollout_id: &str, phase: Phase) -> Outcome {
        Outcome {
            schema: 1,
            device: self.id.clone(),
            boot_id: self.boot_id.clone(),
            seq,
            rollout_id: rollout_id.into(),
            hardware: "board".into(),
            model: None,
            digest: Digest::of(b"bundle"),
            phase,
            cause: None,
            exposure: None,
        }
    }

    pub fn signed(&self, outcome: Outcome) -> SignedOutcome {
        let signature = self.sign(&outcome::message(&outcome).unwrap());
        SignedOutcome::new(outcome, &self.public(), &signature)
    }
}

/// A body in JSON.
pub trait Json {
    fn json(self, body: &impl serde::Serialize) -> Self;
}

impl Json for RequestBuilder {
    fn json(self, body: &impl serde::Serialize) -> Self {
        self.header("Content-Type", "application/json").body(serde_json::to_vec(body).unwrap())
    }
}

/// Status and JSON of an answer; it must say that it is ours.
pub fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["stopline"], "1", "status {status}");
    let text = response.text().unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {error}: {text}")))
}

/// Results of receipts, in order.
pub fn results(said: &Value) -> Vec<String> {
    let receipts = said["receipts"].as_array().unwrap_or_else(|| panic!("no receipts: {said}"));
    receipts.iter().map(|receipt| receipt["result"].as_str().unwrap().to_owned()).collect()
}

/// Somebody with a browser.
pub struct Person {
    client: Client,
    pub url: String,
    pub name: String,
    pub cookie: String,
    totp: String,
    last_step: u64,
}

/// A page that was answered.
pub struct Page {
    pub status: u16,
    pub text: String,
    pub headers: reqwest::header::HeaderMap,
}

pub const PASSWORD: &str = "correct horse battery";

impl Person {
    /// Nobody yet.
    pub fn new(house: &House, name: &str) -> Self {
        let policy = reqwest::redirect::Policy::none();
        let client = Client::builder().redirect(policy).timeout(Duration::from_secs(60)).build().unwrap();
        let url = house.people.clone();
        Self { client, url, name: name.into(), cookie: String::new(), totp: String::new(), last_step: 0 }
    }

    /// Takes an invitation up.
    pub fn welcomed(house: &House, name: &str, invitation: &str) -> Self {
        let mut person = Self::new(house, name);
        let page = person.get(&format!("/welcome?invitation={invitation}"));
        assert_eq!(page.status, 200, "{}", page.text);
        let totp = page.text.split("id=\"totp\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
        person.totp = totp;
        let code = person.code();
        let fields =
            [("invitation", invitation), ("password", PASSWORD), ("again", PASSWORD), ("code", &code)];
        let page = person.send("/welcome", &fields);
        assert_eq!(page.status, 303, "{}", page.text);
        person.take_cookie(&page);
        person
    }

    /// Somebody who is invited by the command line.
    pub fn invited(house: &House, name: &str, role: &str) -> Self {
        let said = house.well(&format!("serve invite {name} --role {role}"));
        Self::welcomed(house, name, said["invitation"].as_str().unwrap())
    }

    /// A code that was not used yet; waits for one where none is left.
    pub fn code(&mut self) -> String {
        let secret = totp_rs::Secret::try_from_base32(&self.totp).unwrap();
        let codes = totp_rs::Builder::new().with_algorithm(totp_rs::Algorithm::SHA1).with_secret(secret);
        let codes = codes.with_digits(6).with_skew(1).with_step_duration(30).build().unwrap();
        loop {
            let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
            // One second of doubt: the server may look a moment later.
            let first = (now + 1) / 30 - 1;
            let step = first.max(self.last_step + 1);
            if step <= now / 30 + 1 {
                self.last_step = step;
                return codes.generate(step * 30).to_string();
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    pub fn get(&self, path: &str) -> Page {
        self.read(self.client.get(format!("{}{path}", self.url)))
    }

    /// Sends a form as a browser does from our own page, without its token.
    pub fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.read(self.request(path, fields).header("Origin", &self.url))
    }

    pub fn request(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        self.client
            .post(format!("{}{path}", self.url))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.collect::<Vec<_>>().join("&"))
    }

    /// Posts a form of one of our pages.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf();
        let mut all = fields.to_vec();
        all.push(("csrf", &csrf));
        self.send(path, &all)
    }

    /// The same with password and a code.
    pub fn post_really(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let code = self.code();
        let mut all = fields.to_vec();
        all.extend([("password", PASSWORD), ("code", &code)]);
        self.post(path, &all)
    }

    pub fn csrf(&self) -> String {
        let page = self.get("/people");
        page.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    pub fn read(&self, request: RequestBuilder) -> Page {
        let request = if self.cookie.is_empty() { request } else { request.header("Cookie", &self.cookie) };
        let response: Response = request.send().unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Page { status, headers, text: response.text().unwrap() }
    }

    pub fn take_cookie(&mut self, page: &Page) {
        let cookie = page.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        self.cookie = cookie.split(';').next().unwrap().to_owned();
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Counts of texts.
pub fn counted(all: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}
