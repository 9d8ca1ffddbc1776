//! The device authority: it says which key belongs to which device, and which server is the fleet's. It says nothing of
//! models; no model is believed for it.
//!
//! ```text
//! DATA/authority/1.pem, 1.key   certificate and key (0600); the highest number issues, all certificates count
//! DATA/authorities.pem          all certificates: what devices pin as `tls.authorities_file`
//! DATA/server.pem, server.key   what both listeners show
//! ```
//! Who is let in no more is also written as a list for brokers that ask no database: [`revoked`].
//!
//! A thief of the key can make devices of their own and stand in for the server: enrol, and let devices talk to them. They
//! cannot sign an outcome or a record of a device that is enrolled, for those count under the key that the database holds.

pub mod revoked;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    PublicKeyData as _,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use crate::exit::{Failure, Result};
use crate::files;

/// Days of a device's certificate.
const DEVICE_DAYS: i64 = 365;
/// Days of the server's.
const SERVER_DAYS: i64 = 365;
/// Days of the authority's.
const AUTHORITY_DAYS: i64 = 20 * 365;
/// Seconds before now at which a certificate becomes good: clocks differ.
const EARLIER_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
/// Ed25519, RFC 8410 §3.
const ED25519: x509_cert::spki::ObjectIdentifier =
    x509_cert::spki::ObjectIdentifier::new_unwrap("1.3.101.112");

/// The authority's certificates, and the key that issues.
pub struct Authority {
    folder: PathBuf,
    certificates: Vec<Own>,
    issuer: Issuer<'static, KeyPair>,
}

/// One of the authority's certificates.
struct Own {
    number: u64,
    der: CertificateDer<'static>,
    pem: String,
}

/// What a request for a certificate asks for: its own signature holds.
#[derive(Debug, Clone)]
pub struct Request {
    /// The device.
    pub device: String,
    /// Its ed25519 key.
    pub key: [u8; 32],
    parameters: CertificateSigningRequestParams,
}

/// What a certificate says of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The common name.
    pub device: String,
    /// Its ed25519 key.
    pub key: [u8; 32],
    /// First second at which it is good.
    pub not_before_s: i64,
    /// Last second at which it is good.
    pub not_after_s: i64,
}

impl Authority {
    /// Makes one, with number `number`.
    ///
    /// # Errors
    /// The system's, or that there is one already.
    pub fn make(folder: &Path, number: u64, now_s: i64) -> Result<()> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Failure::failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Stopline device authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        good_until(&mut params, now_s, now_s + AUTHORITY_DAYS * DAY_S);
        let own = params.self_signed(&key).map_err(Failure::failed)?;
        let file = |ending: &str| folder.join(format!("{number}.{ending}"));
        files::write_new(&file("key"), key.serialize_pem().as_bytes(), 0o600)?;
        files::write_new(&file("pem"), own.pem().as_bytes(), 0o644)
    }

    /// Reads all that are there.
    ///
    /// # Errors
    /// That there is none, or what is wrong with one.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut numbers: Vec<u64> =
            files::names(folder)?.iter().filter_map(|name| name.strip_suffix(".pem")?.parse().ok()).collect();
        numbers.sort_unstable();
        let mut certificates = Vec::new();
        for &number in &numbers {
            let path = folder.join(format!("{number}.pem"));
            let pem = read_text(&path)?;
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| wrong(&path, &error))?;
            certificates.push(Own { number, der, pem });
        }
        let Some(newest) = certificates.last() else {
            return Err(Failure::usage(format!(
                "{}: there is no authority; run `stopline-fleet serve init`",
                folder.display()
            )));
        };
        let issuer = issuer(folder, newest)?;
        Ok(Self { folder: folder.to_owned(), certificates, issuer })
    }

    /// All certificates in PEM, the newest first.
    pub fn pem(&self) -> String {
        self.certificates.iter().rev().map(|own| own.pem.as_str()).collect()
    }

    /// A certificate for what a request asks for, and its last second.
    ///
    /// # Errors
    /// The library's.
    pub fn issue(&self, request: &Request, now_s: i64) -> Result<(String, i64)> {
        // Nothing of the request but name and key: a device cannot ask for more than to be itself.
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, request.device.clone());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(revoked::serial(&request.key));
        let until_s = now_s + DEVICE_DAYS * DAY_S;
        good_until(&mut params, now_s, until_s);
        let issued =
            params.signed_by(&request.parameters.public_key, &self.issuer).map_err(Failure::failed)?;
        Ok((issued.pem(), until_s))
    }

    /// Makes the server's certificate and key, good for `names` (host names or addresses).
    ///
    /// # Errors
    /// The library's or the system's.
    pub fn make_server(
        &self,
        certificate: &Path,
        key_file: &Path,
        names: &[String],
        now_s: i64,
    ) -> Result<()> {
        // Browsers take no Ed25519 here.
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Failure::failed)?;
        let mut params = CertificateParams::new(names.to_vec())
            .map_err(|error| Failure::usage(format!("--name {}: {error}", names.join(", "))))?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Stopline fleet");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = self.sign(params, &key, now_s)?;
        files::remove(key_file)?;
        files::write_new(key_file, key.serialize_pem().as_bytes(), 0o600)?;
        files::write(certificate, own.as_bytes())
    }

    /// Certificate and key in PEM by which a server shows a broker who it is; `name` is no device's.
    ///
    /// # Errors
    /// The library's, or that it is a device's name.
    pub fn client_of_broker(&self, name: &str, now_s: i64) -> Result<(String, Zeroizing<String>)> {
        if check_device(name).is_ok() {
            return Err(Failure::usage(format!("{name} can be a device's id; a server must not have it")));
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Failure::failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok((self.sign(params, &key, now_s)?, Zeroizing::new(key.serialize_pem())))
    }

    fn sign(&self, mut params: CertificateParams, key: &KeyPair, now_s: i64) -> Result<String> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        good_until(&mut params, now_s, now_s + SERVER_DAYS * DAY_S);
        Ok(params.signed_by(key, &self.issuer).map_err(Failure::failed)?.pem())
    }

    /// Lets in who shows a certificate of any of the authorities, and who shows none.
    ///
    /// # Errors
    /// The library's.
    pub fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>> {
        let mut roots = RootCertStore::empty();
        for own in &self.certificates {
            roots.add(own.der.clone()).map_err(Failure::failed)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.allow_unauthenticated().build().map_err(Failure::failed)
    }

    /// Whether a certificate is one of ours, of whatever age.
    ///
    /// # Errors
    /// Why not.
    pub fn has_issued(&self, certificate: &CertificateDer<'_>) -> Result<Named> {
        let named = Named::read(certificate)?;
        let at = u64::try_from(named.not_after_s).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let verified = self.verifier()?.verify_client_cert(certificate, &[], at);
        verified
            .map_err(|error| Failure::refused(format!("the certificate is not this fleet's: {error}")))?;
        Ok(named)
    }
}

impl Request {
    /// Reads a request (PKCS #10 in PEM): `CN=` a device's id and nothing else, an Ed25519 key, signed by it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(pem: &str) -> Result<Self> {
        let refused = |problem: &dyn std::fmt::Display| Failure::refused(format!("csr: {problem}"));
        // This checks the signature.
        let parameters = CertificateSigningRequestParams::from_pem(pem).map_err(|error| refused(&error))?;
        let name: Vec<_> = parameters.params.distinguished_name.iter().collect();
        let device = match name[..] {
            [(DnType::CommonName, DnValue::Utf8String(name))] => name.clone(),
            [(DnType::CommonName, DnValue::PrintableString(name))] => name.as_str().to_owned(),
            _ => return Err(refused(&"the subject must be CN= the device's id and nothing else")),
        };
        check_device(&device).map_err(|problem| refused(&problem))?;
        let asked = &parameters.params;
        let plain = asked.subject_alt_names.is_empty() && asked.extended_key_usages.is_empty();
        if !plain || asked.is_ca != IsCa::NoCa {
            return Err(refused(&"extensions are asked for; there must be none"));
        }
        if parameters.public_key.algorithm() != &PKCS_ED25519 {
            return Err(refused(&"the key must be Ed25519"));
        }
        let key = parameters.public_key.der_bytes().try_into();
        let key = key.map_err(|_| refused(&"the key must have 32 bytes"))?;
        Ok(Self { device, key, parameters })
    }
}

impl Named {
    /// Reads a certificate; checks nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self> {
        let refused =
            |problem: &dyn std::fmt::Display| Failure::refused(format!("the certificate: {problem}"));
        let own = x509_cert::Certificate::from_der(certificate).map_err(|error| refused(&error))?;
        let own = own.tbs_certificate();
        let name = own.subject().common_name().map_err(|error| refused(&error))?;
        let device = name.ok_or_else(|| refused(&"it has no common name"))?.value().into_owned();
        check_device(&device).map_err(|problem| refused(&problem))?;
        let key = own.subject_public_key_info();
        let bytes = key.subject_public_key.as_bytes().filter(|_| key.algorithm.oid == ED25519);
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        let key = key.ok_or_else(|| refused(&"its key is not Ed25519"))?;
        let second = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        let (not_before_s, not_after_s) =
            (second(own.validity().not_before), second(own.validity().not_after));
        Ok(Self { device, key, not_before_s, not_after_s })
    }
}

/// Last second of the first certificate in a PEM file of any kind of key; `None` where there is none.
pub fn not_after_s(path: &Path) -> Result<Option<i64>> {
    let Some(pem) = files::read_if_there(path, files::MAX_SMALL)? else { return Ok(None) };
    let refused = |error: &dyn std::fmt::Display| Failure::refused(format!("{}: {error}", path.display()));
    let der = CertificateDer::from_pem_slice(&pem).map_err(|error| refused(&error))?;
    let own = x509_cert::Certificate::from_der(&der).map_err(|error| refused(&error))?;
    let until = own.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
    Ok(Some(i64::try_from(until).unwrap_or(i64::MAX)))
}

/// Whether a text can be a device's id: 32 lower-case hexadecimal digits.
///
/// # Errors
/// In words.
pub fn check_device(id: &str) -> Result<(), String> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if id.len() == 32 && id.bytes().all(digit) {
        return Ok(());
    }
    let shown: String = id.chars().filter(|char| !char.is_control()).take(40).collect();
    Err(format!("{shown:?} is no device's id: 32 lower-case hexadecimal digits are expected"))
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = files::read(path, files::MAX_SMALL)?;
    String::from_utf8(bytes).map_err(|_| Failure::refused(format!("{}: no PEM", path.display())))
}

/// The key beside a certificate, with which that authority issues.
fn issuer(folder: &Path, own: &Own) -> Result<Issuer<'static, KeyPair>> {
    let path = folder.join(format!("{}.key", own.number));
    let key = KeyPair::from_pem(&Zeroizing::new(read_text(&path)?));
    let key = key.map_err(|error| wrong(&path, &error))?;
    Issuer::from_ca_cert_der(&own.der, key).map_err(|error| wrong(&path, &error))
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::refused(format!("{}: {error}", path.display()))
}

fn good_until(params: &mut CertificateParams, now_s: i64, until_s: i64) {
    let instant = |second: i64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(second).unwrap_or(0))
    };
    (params.not_before, params.not_after) = (instant(now_s - EARLIER_S), instant(until_s));
}

/// Files of an authority, for messages.
pub fn folder(data: &Path) -> PathBuf {
    data.join("authority")
}

#[cfg(test)]
mod tests;
