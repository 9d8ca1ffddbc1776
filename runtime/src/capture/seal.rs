//! Side-car and picture, encrypted once to the operator's keys (age, X25519). Nothing on this device can open it again.

use std::io::Write as _;
use std::str::FromStr as _;

use age::x25519::Recipient;
use stopline_depot::spool::{CaptureRecord, PlainError, plain};

/// Why nothing was sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Side-car and picture do not go together.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// The encryption failed.
    #[error("a captured record cannot be encrypted: {0}")]
    Encrypt(String),
}

/// Encrypts to all of the recipients: each can open it alone.
pub struct Seal {
    recipients: Vec<Recipient>,
}

impl Seal {
    /// To these public keys.
    ///
    /// # Errors
    /// What is expected of one.
    pub fn new(recipients: &[String]) -> Result<Self, String> {
        let recipients = recipients.iter().map(|text| recipient(text)).collect::<Result<_, _>>()?;
        Ok(Self { recipients })
    }

    /// The sealed record.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, record: &CaptureRecord, jpeg: &[u8]) -> Result<Vec<u8>, SealError> {
        let plain = plain(record, jpeg)?;
        let failed = |error: &dyn std::fmt::Display| SealError::Encrypt(error.to_string());
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(|error| failed(&error))?;
        let mut sealed = Vec::with_capacity(plain.len() + 1024);
        let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| failed(&error))?;
        writer.write_all(&plain).map_err(|error| failed(&error))?;
        writer.finish().map_err(|error| failed(&error))?;
        Ok(sealed)
    }
}

/// A public key.
///
/// # Errors
/// What is expected.
pub fn recipient(text: &str) -> Result<Recipient, String> {
    let expected = |problem| {
        format!(
            "a public key of age, `age1…` and 58 more characters ({problem}); `age-keygen -o operator.key` makes a pair and \
             prints it"
        )
    };
    Recipient::from_str(text).map_err(expected)
}
