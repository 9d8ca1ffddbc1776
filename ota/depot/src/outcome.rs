//! An outcome as it travels: what the device says, its public key, and the signature over the one byte form of what it
//! says. Whoever takes it in compares the key with the one it knows of the device; the signature alone proves nothing.

use serde::{Deserialize, Serialize};
use stopline_tuf::json::canonical;
use stopline_tuf::key::Key;

use crate::deployment::Outcome;
use crate::hex::{bytes, digits};
use crate::versioned::{Versioned, VersionedError};

/// A signed outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOutcome {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// What the device says.
    pub outcome: Outcome,
    /// Its ed25519 public key, 64 hexadecimal digits.
    pub key: String,
    /// Signature over [`message`], 128 hexadecimal digits.
    pub signature: String,
}

impl SignedOutcome {
    /// Puts it together from what was signed elsewhere.
    pub fn new(outcome: Outcome, key: &[u8; 32], signature: &[u8; 64]) -> Self {
        Self { schema: 1, outcome, key: digits(key), signature: digits(signature) }
    }

    /// Whether its signature is that of `key`, which the fleet knows of the device.
    pub fn is_signed_by(&self, key: &[u8; 32]) -> bool {
        let signature = bytes(&self.signature);
        let message = message(&self.outcome);
        match (signature, message) {
            (Some(signature), Ok(message)) if self.key == digits(key) => {
                Key::ed25519(key).verifies(&message, &signature)
            }
            _ => false,
        }
    }
}

/// The bytes that are signed: `stopline/outcome/v1`, a zero, and the outcome as canonical JSON.
///
/// # Errors
/// [`VersionedError::Refused`] for an outcome that could not be read again.
pub fn message(outcome: &Outcome) -> Result<Vec<u8>, VersionedError> {
    let refused = |problem: String| VersionedError::Refused { name: Outcome::NAME, problem };
    outcome.check().map_err(refused)?;
    let value = serde_json::to_value(outcome).map_err(|error| refused(error.to_string()))?;
    let body = canonical(&value).ok_or_else(|| refused("a number with a fraction".into()))?;
    let mut message = b"stopline/outcome/v1\0".to_vec();
    message.extend(body);
    Ok(message)
}

impl Versioned for SignedOutcome {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "signed outcome";
    const LIMIT: usize = 32 << 10;

    fn check(&self) -> Result<(), String> {
        self.outcome.check()?;
        for (name, text, length) in [("key", &self.key, 32), ("signature", &self.signature, 64)] {
            if bytes(text).is_none_or(|bytes| bytes.len() != length) {
                return Err(format!("{name}: {length} bytes in lower-case hexadecimal digits are expected"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::{DeployCause, Phase};
    use crate::digest::Digest;
    use crate::versioned;

    fn outcome() -> Outcome {
        Outcome {
            schema: 1,
            device: "0123456789abcdef0123456789abcdef".into(),
            boot_id: "b".into(),
            seq: 7,
            rollout_id: "2026-11-21-a".into(),
            hardware: "orin".into(),
            model: None,
            digest: Digest::of(b"bundle"),
            phase: Phase::Reverted,
            cause: Some(DeployCause::Crash),
            exposure: None,
        }
    }

    #[test]
    fn what_is_signed_is_these_bytes() {
        let text = String::from_utf8(message(&outcome()).unwrap()).unwrap();
        assert_eq!(
            text,
            format!(
                "stopline/outcome/v1\0{{\"boot_id\":\"b\",\"cause\":\"crash\",\"device\":\"0123456789abcdef0123456789abcdef\",\
                 \"digest\":\"{}\",\"hardware\":\"orin\",\"phase\":\"reverted\",\"rollout_id\":\"2026-11-21-a\",\"schema\":1,\
                 \"seq\":7}}",
                Digest::of(b"bundle")
            )
        );
    }

    #[test]
    fn a_signature_of_another_key_or_over_something_else_proves_nothing() {
        let signed = SignedOutcome::new(outcome(), &[1; 32], &[2; 64]);
        assert!(!signed.is_signed_by(&[1; 32]) && !signed.is_signed_by(&[3; 32]));
        let bytes = versioned::write(&signed).unwrap();
        assert_eq!(versioned::read::<SignedOutcome>(&bytes).unwrap(), signed);
        let short = SignedOutcome { key: "ab".into(), ..signed };
        assert!(versioned::write(&short).is_err());
    }
}
