//! A public key from the file that other tools write of it: `SubjectPublicKeyInfo` in PEM (RFC 7468 §13), as `openssl pkey
//! -pubout` and key management services give it.

use pkcs8::{Document, ObjectIdentifier, SubjectPublicKeyInfoRef};

use crate::key::Key;

/// RFC 8410 §3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// RFC 5480 §2.1.1; which curve is left to whoever reads the key.
const ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 8017, appendix A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl Key {
    /// An ed25519, ECDSA P-256 or RSA key from its `SubjectPublicKeyInfo` in PEM.
    ///
    /// # Errors
    /// What was found and what is expected. ECDSA and RSA keys need the features `ecdsa` and `rsa-pss`.
    pub fn from_public_pem(pem: &str) -> Result<Self, String> {
        let expected = "a public key in PEM (-----BEGIN PUBLIC KEY-----) is expected";
        let (label, document) =
            Document::from_pem(pem.trim()).map_err(|error| format!("{error}; {expected}"))?;
        if label != "PUBLIC KEY" {
            return Err(format!("{label:?}; {expected}"));
        }
        let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes())
            .map_err(|error| format!("{error}; {expected}"))?;
        let pem = || format!("{}\n", pem.trim());
        let key = match info.algorithm.oid {
            ED25519 => {
                let bytes = info.subject_public_key.as_bytes().and_then(|bytes| bytes.try_into().ok());
                bytes.map(|bytes: &[u8; 32]| Self::ed25519(bytes))
            }
            ECDSA => Some(Self::ecdsa_p256(pem())),
            RSA => Some(Self::rsa_pss(pem())),
            _ => None,
        };
        key.filter(|key| key.material().is_some()).ok_or_else(|| {
            format!("algorithm {}; ed25519, ECDSA P-256 or RSA is expected", info.algorithm.oid)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_tools_are_read_and_nothing_else_is() {
        // RFC 8410 §10.1.
        let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
            -----END PUBLIC KEY-----\n";
        let key = Key::from_public_pem(ed25519).unwrap();
        assert_eq!(key.keytype, "ed25519");
        assert_eq!(key.keyval.public, "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
        let x25519 = ed25519.replace("MCowBQYDK2Vw", "MCowBQYDK2Vu");
        assert!(Key::from_public_pem(&x25519).unwrap_err().contains("1.3.101.110"));
        for wrong in ["", "{}", &ed25519.replace("PUBLIC", "PRIVATE"), &ed25519.replace("Z9w", "")] {
            assert!(Key::from_public_pem(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(feature = "ecdsa")]
    #[test]
    fn a_p256_key_is_kept_as_it_is_written() {
        let pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEbZJR+Q+reKyl+MIIu267qiMi1/1U\n\
            gQEoGnmcfWuz2FHkEzJYz09pgSipiP5gDnvLeNnyZag1MNZJ2KSAoWRcSQ==\n-----END PUBLIC KEY-----\n";
        let key = Key::from_public_pem(pem).unwrap();
        assert_eq!((key.keytype.as_str(), key.keyval.public.as_str()), ("ecdsa", pem));
        let off_the_curve = pem.replace("bZJR", "bZJS");
        assert!(Key::from_public_pem(&off_the_curve).is_err());
    }
}
