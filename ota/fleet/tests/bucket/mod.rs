//! A bucket on this machine that checks signatures and rights, and pre-signed requests as S3 does (`s3/server.py`).
#![allow(dead_code)] // every test program uses another part of it

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use super::needs;

/// The server; it ends with the test.
pub struct Bucket {
    server: Child,
    said: Value,
    /// Certificates, where it speaks TLS.
    papers: Option<tempfile::TempDir>,
}

impl Bucket {
    /// Over plain HTTP.
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// Over TLS, by an authority of its own.
    pub fn start_with_tls() -> Option<Self> {
        let papers = tempfile::tempdir().unwrap();
        let authority = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "a store's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&authority).unwrap();
        let issuer = Issuer::new(params, authority);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        for (name, pem) in
            [("store.pem", leaf.pem()), ("store.key", key.serialize_pem()), ("authority.pem", own.pem())]
        {
            std::fs::write(papers.path().join(name), pem).unwrap();
        }
        Self::start_with(Some(papers))
    }

    fn start_with(papers: Option<tempfile::TempDir>) -> Option<Self> {
        let python = needs::python();
        let moto = Command::new(&python).args(["-c", "import moto.server, boto3"]).output();
        if !moto.is_ok_and(|output| output.status.success()) {
            return needs::skip("no S3 server: moto[server,s3] is not in the Python test environment");
        }
        let mut command = Command::new(python);
        command.arg(needs::fixture("s3/server.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(papers) = &papers {
            command.args(["store.pem", "store.key", "authority.pem"].map(|name| papers.path().join(name)));
        }
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Some(Self { server, said: serde_json::from_str(&line).unwrap(), papers })
    }

    /// What it said of itself: url, bucket, key, secret.
    pub fn text(&self, key: &str) -> String {
        self.said[key].as_str().unwrap().to_owned()
    }

    /// Who issued its certificate.
    pub fn authority(&self) -> PathBuf {
        self.papers.as_ref().unwrap().path().join("authority.pem")
    }

    /// By which programs come to it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("AWS_ENDPOINT", self.text("url")),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", self.text("key")),
            ("AWS_SECRET_ACCESS_KEY", self.text("secret")),
        ];
        if self.papers.is_some() {
            all.push(("SSL_CERT_FILE", self.authority().display().to_string()));
        } else {
            all.push(("AWS_ALLOW_HTTP", "true".to_owned()));
        }
        all
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
