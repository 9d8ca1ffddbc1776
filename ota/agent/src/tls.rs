//! TLS by rustls on ring, for HTTP and MQTT alike. Nothing is believed for having come over TLS: it keeps others from
//! looking on, and shows the server who this device is.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};

use crate::clock::{self, Clock};
use crate::config::Tls;

/// Bytes of a PEM file, at most.
const LIMIT: u64 = 4 << 20;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("tls: {what}{}: {problem}", path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default())]
pub struct TlsError {
    what: &'static str,
    path: Option<PathBuf>,
    problem: String,
}

/// The lower bound of time that verified metadata has shown, seconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct TimeBound(Arc<AtomicU64>);

impl TimeBound {
    /// Raises it.
    pub fn raise(&self, at: jiff::Timestamp) {
        self.0.fetch_max(u64::try_from(at.as_second()).unwrap_or(0), Ordering::Relaxed);
    }
}

/// A client's side.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn client(tls: &Tls, clock: Arc<dyn Clock>, bound: &TimeBound) -> Result<ClientConfig, TlsError> {
    bound.raise(clock::not_before());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(BoundedTime { clock, bound: bound.clone() });
    let failed = |what| move |error: rustls::Error| TlsError { what, path: None, problem: error.to_string() };
    let builder = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(failed("protocol versions"))?
        .with_root_certificates(authorities(tls)?);
    match (&tls.certificate_file, &tls.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(failed("certificate_file and key_file")),
        _ => {
            let problem = "both or neither are expected".into();
            Err(TlsError { what: "certificate_file and key_file", path: None, problem })
        }
    }
}

/// The clock where it is synchronised, the lower bound until then: a certificate that is younger than the bound is not
/// accepted before the clock is right.
#[derive(Debug)]
struct BoundedTime {
    clock: Arc<dyn Clock>,
    bound: TimeBound,
}

impl TimeProvider for BoundedTime {
    fn current_time(&self) -> Option<UnixTime> {
        let bound = self.bound.0.load(Ordering::Relaxed);
        let wall = clock::wall_s(&*self.clock).and_then(|wall| u64::try_from(wall).ok()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(wall.max(bound))))
    }
}

fn authorities(tls: &Tls) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match &tls.authorities_file {
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|error| wrong("authorities_file", path, error))?;
            }
        }
        // A machine without any has no use for https://; that shows when it is used.
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificates";
    let read = CertificateDer::pem_reader_iter(&mut open(what, path)?).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|error| wrong(what, path, error))?;
    if read.is_empty() {
        Err(wrong(what, path, "a PEM certificate is expected, there is none"))
    } else {
        Ok(read)
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_reader(&mut open("key_file", path)?)
        .map_err(|error| wrong("key_file", path, error))
}

fn open(what: &'static str, path: &Path) -> Result<BufReader<std::io::Take<File>>, TlsError> {
    use std::io::Read as _;
    let file = File::open(path).map_err(|error| wrong(what, path, error))?;
    Ok(BufReader::new(file.take(LIMIT)))
}

fn wrong(what: &'static str, path: &Path, problem: impl ToString) -> TlsError {
    TlsError { what, path: Some(path.to_owned()), problem: problem.to_string() }
}
