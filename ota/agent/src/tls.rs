//! TLS by rustls on ring, for HTTP and MQTT alike. Nothing is believed for having come over TLS: it keeps others from
//! looking on, and shows the server who this device is.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, SignatureAlgorithm, SignatureScheme, WantsVerifier,
};
use stopline_depot::digest::Digest;

use crate::certificate::{self, Age, Certificate};
use crate::clock::{self, Clock};
use crate::config::{Config, Tls};
use crate::identity::Identity;

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

/// What a client shows and whom it believes, as it lies on disk now.
#[derive(Debug, Clone)]
pub struct Papers {
    tls: Tls,
    home: PathBuf,
    identity: Identity,
    time: Arc<BoundedTime>,
}

impl Papers {
    /// Of this device.
    pub fn new(config: &Config, identity: &Identity, clock: Arc<dyn Clock>, bound: TimeBound) -> Self {
        bound.raise(clock::not_before());
        let time = Arc::new(BoundedTime { clock, bound });
        Self { tls: config.tls.clone(), home: config.home.clone(), identity: identity.clone(), time }
    }

    /// A client's side. An expired certificate is not shown: a server would end the connection for it.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn client(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let shown = self.shown(&provider)?;
        let builder = self.begun(provider)?.with_root_certificates(self.authorities()?);
        Ok(match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown))),
        })
    }

    /// A client's side towards somebody else's server: nothing is shown, and the system's authorities are believed, or those of
    /// a file.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn stranger(&self, authorities: Option<&Path>) -> Result<ClientConfig, TlsError> {
        let builder = self.begun(Arc::new(rustls::crypto::ring::default_provider()))?;
        Ok(builder.with_root_certificates(believed(authorities)?).with_no_client_auth())
    }

    /// A client's side before it is said whom it believes: rustls on ring, by our own time.
    fn begun(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
        let failed = |error: rustls::Error| TlsError {
            what: "protocol versions",
            path: None,
            problem: error.to_string(),
        };
        let builder = ClientConfig::builder_with_details(provider, self.time.clone());
        builder.with_safe_default_protocol_versions().map_err(failed)
    }

    /// The same as long as [`Self::client`] would be.
    pub fn mark(&self) -> Digest {
        let own = [certificate::chain_path(&self.home), certificate::authorities_path(&self.home)];
        let given = [&self.tls.authorities_file, &self.tls.certificate_file, &self.tls.key_file];
        let files = own.iter().chain(given.into_iter().flatten());
        let digests = files.map(|path| Digest::of(&bytes(path).unwrap_or_default()).to_string());
        let shown = self.certificate().is_ok_and(|own| own.is_some_and(|own| self.is_good(&own)));
        Digest::of(format!("{shown} {}", digests.collect::<Vec<_>>().join(" ")).as_bytes())
    }

    /// The certificate that the fleet issued, as it lies on disk; none if there is none.
    ///
    /// # Errors
    /// [`certificate::CertificateError`]: it cannot be read, or is not this device's.
    pub fn certificate(&self) -> Result<Option<Certificate>, certificate::CertificateError> {
        let own = Certificate::read(&self.home)?;
        own.as_ref().map(|own| own.check_is_of(&self.identity)).transpose()?;
        Ok(own)
    }

    /// Whether the configuration names a certificate of its own: that one is somebody else's to renew.
    pub fn is_given(&self) -> bool {
        self.tls.certificate_file.is_some()
    }

    /// It is no earlier than this, seconds since 1970.
    pub fn now(&self) -> i64 {
        i64::try_from(self.time.seconds()).unwrap_or(i64::MAX)
    }

    fn is_good(&self, own: &Certificate) -> bool {
        own.age(self.now()) != Age::Expired
    }

    fn shown(&self, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, TlsError> {
        match (&self.tls.certificate_file, &self.tls.key_file) {
            (Some(certificate), Some(key)) => {
                let shown = CertifiedKey::from_der(certificates(certificate)?, private_key(key)?, provider);
                shown.map(Some).map_err(|error| wrong("certificate_file", certificate, error))
            }
            (None, None) => match self.certificate() {
                Ok(own) => {
                    let own = own.filter(|own| self.is_good(own));
                    let key = Arc::new(OwnKey(self.identity.clone()));
                    Ok(own.map(|own| CertifiedKey::new(own.chain, key)))
                }
                // An update needs no certificate: it is tried without one, and this is told.
                Err(error) => {
                    tracing::warn!(id = "ota.certificate.unusable", "this device's certificate: {error}");
                    Ok(None)
                }
            },
            _ => {
                let problem = "both or neither are expected".into();
                Err(TlsError { what: "certificate_file and key_file", path: None, problem })
            }
        }
    }

    /// The configured authorities, or the system's, and those that the fleet named: while one authority takes another's place
    /// both count.
    fn authorities(&self) -> Result<RootCertStore, TlsError> {
        let mut store = believed(self.tls.authorities_file.as_deref())?;
        let named = certificate::authorities_path(&self.home);
        if named.exists() {
            // What a server sent must never keep the agent from starting.
            match certificates(&named) {
                Ok(named) => {
                    store.add_parsable_certificates(named);
                }
                Err(error) => tracing::warn!(id = "ota.authorities.unusable", "{error}"),
            }
        }
        Ok(store)
    }
}

/// This device's key as TLS asks for it, wherever it lies.
#[derive(Debug, Clone)]
struct OwnKey(Identity);

impl SigningKey for OwnKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for OwnKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signed = self.0.sign(message).map(|signature| signature.to_vec());
        signed.map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// The clock where it is synchronised, the lower bound until then: a certificate that is younger than the bound is not
/// accepted before the clock is right.
#[derive(Debug)]
struct BoundedTime {
    clock: Arc<dyn Clock>,
    bound: TimeBound,
}

impl BoundedTime {
    fn seconds(&self) -> u64 {
        let bound = self.bound.0.load(Ordering::Relaxed);
        let wall = clock::wall_s(&*self.clock).and_then(|wall| u64::try_from(wall).ok()).unwrap_or(0);
        wall.max(bound)
    }
}

impl TimeProvider for BoundedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.seconds())))
    }
}

/// The authorities of a file, or the system's.
fn believed(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match file {
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
    let file = File::open(path).map_err(|error| wrong(what, path, error))?;
    Ok(BufReader::new(file.take(LIMIT)))
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn wrong(what: &'static str, path: &Path, problem: impl ToString) -> TlsError {
    TlsError { what, path: Some(path.to_owned()), problem: problem.to_string() }
}
