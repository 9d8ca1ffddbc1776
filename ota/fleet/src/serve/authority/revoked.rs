//! Who is let in no more, as certificate revocation lists (RFC 5280 §5): for a broker of its own, which asks no database.
//!
//! A certificate's number is made of its key, and a device keeps its key when it renews: one entry stands for all
//! certificates that a device ever had, and nothing need be remembered of what was issued. (RFC 5280 §4.1.2.2 wants a number
//! for each certificate; to whom a list is shown, the certificates of one device are one.)

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    CertificateParams, CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams,
    SerialNumber,
};
use sha2::{Digest as _, Sha256};

use super::{Authority, DAY_S, SERVER_DAYS, good_until, issuer};
use stopline_depot::digest::Digest;

use crate::exit::{Failure, Result};
use crate::files;
use crate::serve::database::Database;
use crate::serve::database::devices::{Device, Standing};
use crate::serve::server::Server;

/// Bytes of a number (RFC 5280 §4.1.2.2: 20 at most).
const SERIAL: usize = 20;
/// Between two looks at who is let in no more.
const LOOK: Duration = Duration::from_secs(5);
/// Seconds after which a list is written anew though nothing has changed: one that has ended keeps everybody out.
const AGAIN_S: i64 = DAY_S;

/// The number of every certificate of a key.
pub(super) fn serial(key: &[u8; 32]) -> SerialNumber {
    let mut number = Sha256::digest(key)[..SERIAL].to_vec();
    // It is a positive number.
    number[0] &= 0x7f;
    SerialNumber::from_slice(&number)
}

/// The lists in PEM, one of each authority, good for a year: whoever is not `active` and has a certificate that has not ended.
///
/// # Errors
/// That an authority's key is not there, or the library's.
pub fn lists(authority: &Authority, devices: &[Device], now_s: i64) -> Result<String> {
    let mut entries = Vec::new();
    for device in devices {
        if let Some(reason) = reason(device.standing)
            && device.certificate_until_s + DAY_S >= now_s
        {
            entries.push(entry(device, reason)?);
        }
    }
    let mut life = CertificateParams::default();
    good_until(&mut life, now_s, now_s + SERVER_DAYS * DAY_S);
    let mut pem = String::new();
    for own in &authority.certificates {
        let list = CertificateRevocationListParams {
            this_update: life.not_before,
            next_update: life.not_after,
            crl_number: SerialNumber::from(u64::try_from(now_s).unwrap_or(0)),
            issuing_distribution_point: None,
            revoked_certs: entries.clone(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&issuer(&authority.folder, own)?).map_err(Failure::failed)?;
        pem += &list.pem().map_err(Failure::failed)?;
    }
    Ok(pem)
}

fn entry(device: &Device, reason: RevocationReason) -> Result<RevokedCertParams> {
    let key: Digest = device.key.parse().map_err(Failure::failed)?;
    let mut since = CertificateParams::default();
    good_until(&mut since, device.changed_s, device.changed_s);
    Ok(RevokedCertParams {
        serial_number: serial(key.as_bytes()),
        revocation_time: since.not_after,
        reason_code: Some(reason),
        invalidity_date: None,
    })
}

fn reason(standing: Standing) -> Option<RevocationReason> {
    match standing {
        Standing::Active => None,
        Standing::Revoked => Some(RevocationReason::KeyCompromise),
        Standing::Quarantined => Some(RevocationReason::CertificateHold),
        Standing::Replaced => Some(RevocationReason::Superseded),
        Standing::Retired => Some(RevocationReason::CessationOfOperation),
    }
}

/// Writes the lists of now.
///
/// # Errors
/// The database's, the authority's, the system's.
pub async fn write(authority: &Authority, database: &Database, path: &Path, now_s: i64) -> Result<usize> {
    let devices = database.let_in_no_more().await?;
    files::write(path, lists(authority, &devices, now_s)?.as_bytes())?;
    Ok(devices.len())
}

/// Keeps a file so that it names whoever is let in no more, whichever server or command changed it. The broker must be told
/// to read it again.
pub async fn keep(server: Arc<Server>, path: PathBuf) {
    let (mut written, mut is_told) = (None, false);
    loop {
        match kept(&server, &path, written.as_ref()).await {
            Ok(now) => (written, is_told) = (Some(now), false),
            Err(failure) if !is_told => {
                tracing::error!(id = "broker.crl", "{}: not written: {failure}", path.display());
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the file says, and since when.
type Written = (Vec<(String, Standing)>, i64);

async fn kept(server: &Server, path: &Path, written: Option<&Written>) -> Result<Written> {
    let now_s = server.now_s();
    let devices = server.database.let_in_no_more().await?;
    let names: Vec<_> = devices.iter().map(|device| (device.id.clone(), device.standing)).collect();
    if let Some((before, at_s)) = written
        && *before == names
        && (0..AGAIN_S).contains(&(now_s - at_s))
    {
        return Ok((names, *at_s));
    }
    // A folder that is missing is the broker's to make.
    if !stopline_depot::disk::folder_of(path).is_dir() {
        return Err(Failure::failed("there is no such folder"));
    }
    files::write(path, lists(&server.authority, &devices, now_s)?.as_bytes())?;
    tracing::info!(id = "broker.crl", devices = names.len(), "{}: written", path.display());
    Ok((names, now_s))
}
