//! A fleet's authority and its server's side of enrolment: requests are checked by their own signature, tokens count once,
//! certificates are checked by rustls, expired ones may only be renewed.
#![allow(dead_code)] // every test program uses another part of it

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    PKCS_ED25519, PublicKeyData as _,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use stopline_agent::certificate::Certificate;
use stopline_agent::clock::{Clock, wall_s};

use crate::link::{Answers, Server};

pub const DAY: i64 = 86_400;

pub struct Authority {
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        Self { pem: own.pem(), der: own.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for what a request asks for, if its signature is right.
    pub fn issue(&self, request: &str, from: i64, to: i64) -> Result<String, String> {
        let request = CertificateSigningRequestParams::from_pem(request);
        let mut request = request.map_err(|error| error.to_string())?;
        let instant = |second: i64| {
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(second).unwrap())
        };
        (request.params.not_before, request.params.not_after) = (instant(from), instant(to));
        request.signed_by(&self.issuer).map(|issued| issued.pem()).map_err(|error| error.to_string())
    }

    /// Chain and key of a server at 127.0.0.1, good from a second on.
    pub fn server(&self, from: i64) -> (Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>) {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        params.not_before =
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(from).unwrap());
        let own = params.signed_by(&key, &self.issuer).unwrap();
        (vec![own.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()))
    }

    /// Files of a server at 127.0.0.1, as a broker wants them: certificate and key in PEM.
    pub fn server_files(&self, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(folder.join("server.pem"), own.pem()).unwrap();
        std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("ca.pem"), &self.pem).unwrap();
    }
}

/// Whether a server lets in who shows no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    In,
    Out,
}

/// A server's side of TLS: `own` has issued its certificate, certificates of `trusted` are let in.
pub fn tls(
    own: &Authority,
    trusted: &[&Authority],
    strangers: Strangers,
    clock: Arc<dyn Clock>,
) -> Arc<ServerConfig> {
    tls_from(0, own, trusted, strangers, clock)
}

/// The same; the server's own certificate is good from a second on.
pub fn tls_from(
    from: i64,
    own: &Authority,
    trusted: &[&Authority],
    strangers: Strangers,
    clock: Arc<dyn Clock>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, key) = own.server(from);
    let config = ServerConfig::builder_with_details(provider, Arc::new(ServerTime(clock)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier(trusted, strangers))
        .with_single_cert(chain, key.into())
        .unwrap();
    Arc::new(config)
}

fn verifier(trusted: &[&Authority], strangers: Strangers) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|one| roots.add(one.der.clone()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    match strangers {
        Strangers::In => builder.allow_unauthenticated().build().unwrap(),
        Strangers::Out => builder.build().unwrap(),
    }
}

#[derive(Debug)]
struct ServerTime(Arc<dyn Clock>);

impl TimeProvider for ServerTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(wall_s(&*self.0)?).ok()?)))
    }
}

/// What the fleet's server knows of devices.
pub struct Fleet {
    /// Who issues now.
    pub authority: Authority,
    /// Who issued before, and still counts.
    pub before: Vec<Authority>,
    /// What an answer names as authorities, if it does.
    pub authorities: Option<String>,
    pub tokens: BTreeSet<String>,
    pub revoked: BTreeSet<String>,
    /// Public keys by device.
    pub keys: BTreeMap<String, Vec<u8>>,
    pub clock: Arc<dyn Clock>,
    pub life_s: i64,
    /// Path, and the device that TLS showed, of each question.
    pub asked: Vec<(String, Option<String>)>,
    /// Signs for another key than was asked for.
    pub confused: bool,
}

impl Fleet {
    pub fn new(authority: Authority, clock: Arc<dyn Clock>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            authority,
            before: Vec::new(),
            authorities: None,
            tokens: BTreeSet::from(["first-token".to_owned()]),
            revoked: BTreeSet::new(),
            keys: BTreeMap::new(),
            clock,
            life_s: 365 * DAY,
            asked: Vec::new(),
            confused: false,
        }))
    }

    /// Lets `server` answer as this fleet.
    pub fn serve(fleet: &Arc<Mutex<Self>>, server: &Server) {
        let fleet = fleet.clone();
        let answers: Answers = Box::new(move |path, body, peer| {
            path.starts_with("/v1/").then(|| {
                let (status, answer) = match fleet.lock().unwrap().answer(path, body, peer) {
                    Ok(answer) => (200, answer),
                    Err((status, error)) => (status, json!({ "error": error })),
                };
                (status, answer.to_string().into_bytes())
            })
        });
        server.state.lock().unwrap().answers = Some(answers);
    }

    fn answer(
        &mut self,
        path: &str,
        body: &[u8],
        peer: Option<&CertificateDer<'static>>,
    ) -> Result<Value, (u16, String)> {
        self.asked.push((path.to_owned(), peer.map(|peer| name_and_key(peer).0)));
        let refuse = |status: u16, error: &str| Err((status, error.to_owned()));
        let body: Value = serde_json::from_slice(body).map_err(|error| (400, error.to_string()))?;
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let request = CertificateSigningRequestParams::from_pem(&text("csr"));
        let request = request.map_err(|error| (400, format!("csr: {error}")))?;
        let key = request.public_key.der_bytes().to_vec();
        let name = match request.params.distinguished_name.get(&DnType::CommonName) {
            Some(rcgen::DnValue::Utf8String(name)) => name.clone(),
            Some(rcgen::DnValue::PrintableString(name)) => name.as_str().to_owned(),
            other => return refuse(400, &format!("csr: common name {other:?}")),
        };
        if self.revoked.contains(&name) {
            return refuse(403, "this device is revoked");
        }
        match path {
            "/v1/enroll" => {
                if !self.tokens.contains(&text("token")) {
                    return refuse(401, "token unknown or used");
                }
                if self.keys.get(&name).is_some_and(|known| *known != key) {
                    return refuse(409, "another key is enrolled under this id");
                }
                self.tokens.remove(&text("token"));
                self.keys.insert(name, key);
            }
            "/v1/renew" => self.check_renewal(&text("certificate"), &name, &key, peer)?,
            _ => return refuse(404, "no such thing"),
        }
        let now = wall_s(&*self.clock).unwrap();
        let csr = if self.confused { request_of_another(&text("csr")) } else { text("csr") };
        let issued = self.authority.issue(&csr, now - 60, now + self.life_s);
        let certificate = issued.map_err(|error| (400, error))?;
        Ok(json!({ "schema": 1, "certificate": certificate, "authorities": self.authorities, "later": 7 }))
    }

    /// The old certificate is ours, of any age, and names the key that signed the request; where it is good, TLS showed it too.
    fn check_renewal(
        &self,
        old: &str,
        name: &str,
        key: &[u8],
        peer: Option<&CertificateDer<'static>>,
    ) -> Result<(), (u16, String)> {
        let refuse = |error: &str| Err((403, error.to_owned()));
        let old = Certificate::parse(old.as_bytes()).map_err(|error| (400, error.to_string()))?;
        let ours: Vec<&Authority> = self.before.iter().chain([&self.authority]).collect();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(old.not_after).unwrap()));
        if verifier(&ours, Strangers::Out).verify_client_cert(&old.chain[0], &[], at).is_err() {
            return refuse("the certificate is not ours");
        }
        if name_and_key(&old.chain[0]) != (name.to_owned(), key.to_vec()) {
            return refuse("the certificate is another device's");
        }
        let is_good = wall_s(&*self.clock).unwrap() <= old.not_after;
        if is_good && peer != Some(&old.chain[0]) {
            return refuse("the connection does not show the certificate");
        }
        Ok(())
    }
}

pub fn name_and_key(certificate: &CertificateDer<'_>) -> (String, Vec<u8>) {
    use x509_cert::der::Decode as _;
    let own = x509_cert::Certificate::from_der(certificate).unwrap();
    let own = own.tbs_certificate();
    let name = own.subject().common_name().unwrap().unwrap().value().into_owned();
    (name, own.subject_public_key_info().subject_public_key.raw_bytes().to_vec())
}

/// A request of the same name by another key.
fn request_of_another(request: &str) -> String {
    let request = CertificateSigningRequestParams::from_pem(request).unwrap();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    request.params.serialize_request(&key).unwrap().pem().unwrap()
}
