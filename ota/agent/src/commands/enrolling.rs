//! `stopline-agent enroll`: the device's certificate, by a token over HTTPS, or carried by a person.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Of, clock, read};
use crate::agent::without_redirects;
use crate::certificate::{self, Certificate, CertificateError};
use crate::config::Config;
use crate::daemon;
use crate::enrolment::{self, EnrolmentError};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::http::Http;
use crate::identity::Identity;
use crate::tls::{Papers, TimeBound};

/// Bytes of a token, at most.
const TOKEN: u64 = 4 << 10;

/// How the certificate comes.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Way {
    /// Show this token to the server of [enrolment] url; `-` reads it from standard input, where no other process sees it.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Write a request to FILE, to be carried to whoever issues certificates.
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Take the certificate that was issued for it: PEM, this device's first.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
}

pub(super) fn enroll(way: &Way, of: &Of) -> Result<(), Failure> {
    let config = read(of)?;
    std::fs::create_dir_all(&config.home).or_exit(Exit::Config)?;
    let identity = Identity::of(&config).or_exit(Exit::Config)?;
    match (&way.token, &way.csr, &way.certificate) {
        (Some(token), ..) => by_token(config, &identity, token, of),
        (_, Some(file), _) => write_request(&identity, file, of),
        (.., Some(file)) => take_certificate(&config, &identity, file, of),
        // clap asks for one of them.
        _ => Ok(()),
    }
}

fn by_token(config: Config, identity: &Identity, token: &str, of: &Of) -> Result<(), Failure> {
    let url = config.enrolment.url.clone().ok_or(EnrolmentError::NoServer).or_exit(Exit::Config)?;
    if config.tls.authorities_file.is_none() {
        return Err(EnrolmentError::NotPinned).or_exit(Exit::Config);
    }
    let token = if token == "-" { from_standard_input()? } else { token.to_owned() };
    let runtime = daemon::runtime().or_exit(Exit::Internal)?;
    let clock = clock(&config);
    let papers = Papers::new(&config, identity, clock.clone(), TimeBound::default());
    let tls = papers.client().or_exit(Exit::Config)?;
    let http = Http::new(&without_redirects(&config.download), tls, runtime.handle().clone(), clock);
    let http = http.or_exit(Exit::Internal)?;
    let issued = enrolment::enroll(&http, &url, &config.home, identity, token.trim());
    let issued = issued.or_exit(Exit::Enrolment)?;
    tell(&config, identity, &issued, of)
}

fn write_request(identity: &Identity, file: &Path, of: &Of) -> Result<(), Failure> {
    let request = certificate::request(identity).or_exit(Exit::Internal)?;
    let written = std::fs::File::create(file).and_then(|mut to| {
        std::io::Write::write_all(&mut to, request.as_bytes())?;
        // A stick is pulled out right after this.
        to.sync_all()
    });
    let source = |source| CertificateError::Io { path: file.to_owned(), source };
    written.map_err(source).or_exit(Exit::Enrolment)?;
    if of.json {
        println!("{}", serde_json::json!({ "device": identity.id(), "request": file }));
    } else {
        println!(
            "request for device {} is in {}\nnext: have it signed, then `stopline-agent enroll --certificate FILE`",
            identity.id(),
            file.display()
        );
    }
    Ok(())
}

fn take_certificate(config: &Config, identity: &Identity, file: &Path, of: &Of) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let source = |source| CertificateError::Io { path: file.to_owned(), source };
    let opened =
        std::fs::File::open(file).and_then(|from| from.take(certificate::LIMIT).read_to_end(&mut bytes));
    opened.map_err(source).or_exit(Exit::Enrolment)?;
    let own = Certificate::parse(&bytes).or_exit(Exit::Enrolment)?;
    own.check_is_of(identity).or_exit(Exit::Enrolment)?;
    own.keep(&config.home, None).or_exit(Exit::Enrolment)?;
    tell(config, identity, &own, of)
}

fn tell(config: &Config, identity: &Identity, own: &Certificate, of: &Of) -> Result<(), Failure> {
    let path = certificate::chain_path(&config.home);
    if of.json {
        let told = serde_json::json!({
            "device": identity.id(),
            "certificate": path,
            "not_before": own.not_before,
            "renew_at": own.renew_at(),
            "not_after": own.not_after,
        });
        println!("{told}");
    } else {
        println!(
            "device {} is enrolled: {}\ngood until {}, renewed from {} on",
            identity.id(),
            path.display(),
            crate::status::date(own.not_after),
            crate::status::date(own.renew_at())
        );
    }
    Ok(())
}

fn from_standard_input() -> Result<String, Failure> {
    let mut token = String::new();
    std::io::stdin().take(TOKEN).read_to_string(&mut token).or_exit(Exit::Usage)?;
    Ok(token)
}
