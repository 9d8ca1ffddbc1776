//! The device's certificate: asked for by a request that the device's key signs (PKCS #10, RFC 2986), kept only if it is about
//! this key and this id, renewed at two thirds of its life.
//!
//! ```text
//! HOME/certificate.pem   this device's chain, its own certificate first
//! HOME/authorities.pem   authorities that the fleet named besides the configured ones, so that they can be changed
//! ```
//! It only shows a server who asks. No model is believed for it, and none is refused for want of it.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use x509_cert::attr::Attributes;
use x509_cert::der::asn1::BitString;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode as _, Encode as _, EncodePem as _};
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::identity::Identity;

/// Ed25519, as key and as signature (RFC 8410 §3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// Bytes of a chain or of a bundle of authorities, at most.
pub const LIMIT: u64 = 256 << 10;
/// Certificates in one file, at most.
const MOST: usize = 32;

/// A chain of certificates that begins with this device's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// DER, the device's first.
    pub chain: Vec<CertificateDer<'static>>,
    /// First second at which it is good, since 1970.
    pub not_before: i64,
    /// Last second at which it is good, since 1970.
    pub not_after: i64,
    name: String,
    key: Vec<u8>,
}

/// What is to be done about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Nothing.
    Fresh,
    /// Two thirds of its life are over: it is to be renewed.
    Due,
    /// It is over: it may only be renewed.
    Expired,
}

/// Why a certificate cannot be used, or a request for one cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a chain of certificates in PEM.
    #[error("not a chain of certificates: {0}. PEM is expected, this device's own certificate first")]
    Content(String),
    /// It is somebody else's.
    #[error(
        "it is for the {what} {found}; this device's is {expected}. Make a request with `stopline-agent enroll --csr FILE` and \
         have that one signed"
    )]
    Foreign {
        /// Name or key.
        what: &'static str,
        /// The certificate's.
        found: String,
        /// The device's.
        expected: String,
    },
    /// A request cannot be encoded.
    #[error("certificate request: {0}")]
    Request(#[from] x509_cert::der::Error),
    /// The device's key does not sign one.
    #[error("certificate request: {0}")]
    Key(std::io::Error),
}

/// Where this device's chain lies.
pub fn chain_path(home: &Path) -> PathBuf {
    home.join("certificate.pem")
}

/// Where the authorities lie that the fleet named.
pub fn authorities_path(home: &Path) -> PathBuf {
    home.join("authorities.pem")
}

/// A request for a certificate in PEM: the device's id as common name, signed by its key.
///
/// # Errors
/// [`CertificateError::Request`], [`CertificateError::Key`].
pub fn request(identity: &Identity) -> Result<String, CertificateError> {
    let algorithm = AlgorithmIdentifierOwned { oid: ED25519, parameters: None };
    let public_key = SubjectPublicKeyInfoOwned {
        algorithm: algorithm.clone(),
        subject_public_key: BitString::from_bytes(&identity.public_key())?,
    };
    let subject = format!("CN={}", identity.id()).parse()?;
    let info = CertReqInfo { version: Version::V1, subject, public_key, attributes: Attributes::default() };
    let signature = identity.sign(&info.to_der()?).map_err(CertificateError::Key)?;
    let signature = BitString::from_bytes(&signature)?;
    Ok(CertReq { info, algorithm, signature }.to_pem(LineEnding::LF)?)
}

impl Certificate {
    /// Reads the chain below `home`; none if there is none.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn read(home: &Path) -> Result<Option<Self>, CertificateError> {
        let path = chain_path(home);
        let bytes = RealDisk.read(&path, LIMIT).map_err(io(&path))?;
        bytes.map(|bytes| Self::parse(&bytes)).transpose()
    }

    /// Reads a chain in PEM.
    ///
    /// # Errors
    /// [`CertificateError::Content`].
    pub fn parse(pem: &[u8]) -> Result<Self, CertificateError> {
        let chain = chain(pem)?;
        let [own, ..] = &chain[..] else { return Err(content("there is none")) };
        let own = x509_cert::Certificate::from_der(own).map_err(content)?;
        let own = own.tbs_certificate();
        let name = own.subject().common_name().map_err(content)?;
        let name = name.ok_or_else(|| content("it has no common name"))?.value().into_owned();
        let key = own.subject_public_key_info();
        // A key of another kind is nobody's here.
        let is_ed25519 = key.algorithm.oid == ED25519;
        let key = key.subject_public_key.as_bytes().filter(|_| is_ed25519).unwrap_or_default().to_vec();
        let second = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        let (not_before, not_after) = (second(own.validity().not_before), second(own.validity().not_after));
        Ok(Self { chain, not_before, not_after, name, key })
    }

    /// Whether it is about this device's id and key.
    ///
    /// # Errors
    /// [`CertificateError::Foreign`].
    pub fn check_is_of(&self, identity: &Identity) -> Result<(), CertificateError> {
        if self.key != identity.public_key() {
            let (found, expected) = (hex(&self.key), hex(&identity.public_key()));
            return Err(CertificateError::Foreign { what: "key", found, expected });
        }
        if self.name != identity.id() {
            let (found, expected) = (self.name.clone(), identity.id().to_owned());
            return Err(CertificateError::Foreign { what: "name", found, expected });
        }
        Ok(())
    }

    /// What is to be done about it at `now`, seconds since 1970.
    pub fn age(&self, now: i64) -> Age {
        match now {
            now if now > self.not_after => Age::Expired,
            now if now >= self.renew_at() => Age::Due,
            _ => Age::Fresh,
        }
    }

    /// Two thirds of its life, seconds since 1970.
    pub fn renew_at(&self) -> i64 {
        let life = self.not_after.saturating_sub(self.not_before).max(0);
        self.not_before.saturating_add(life / 3 * 2)
    }

    /// In PEM.
    pub fn pem(&self) -> String {
        let encode =
            |one: &CertificateDer<'_>| x509_cert::der::pem::encode_string("CERTIFICATE", LineEnding::LF, one);
        self.chain.iter().filter_map(|one| encode(one).ok()).collect()
    }

    /// Keeps it below `home`, with the authorities that came with it: what is there afterwards is whole, and on the medium.
    ///
    /// # Errors
    /// [`CertificateError::Io`].
    pub fn keep(&self, home: &Path, authorities: Option<&str>) -> Result<(), CertificateError> {
        if let Some(authorities) = authorities {
            let path = authorities_path(home);
            replace(&mut RealDisk, &path, authorities.as_bytes()).map_err(io(&path))?;
        }
        let path = chain_path(home);
        replace(&mut RealDisk, &path, self.pem().as_bytes()).map_err(io(&path))
    }
}

/// Certificates in PEM, at least one.
///
/// # Errors
/// [`CertificateError::Content`].
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(MOST + 1).collect();
    match chain.map_err(content)? {
        chain if chain.is_empty() => Err(content("there is none")),
        chain if chain.len() > MOST => Err(content(format!("more than {MOST}"))),
        chain => Ok(chain),
    }
}

fn content(problem: impl ToString) -> CertificateError {
    CertificateError::Content(problem.to_string())
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "of another kind than Ed25519".into();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> CertificateError {
    let path = path.to_owned();
    move |source| CertificateError::Io { path, source }
}

#[cfg(test)]
mod tests;
