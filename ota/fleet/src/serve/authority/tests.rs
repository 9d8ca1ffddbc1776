//! A fleet's authority gives out certificates for what is asked by its own key, and for nothing else.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType};

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef";
const NOW_S: i64 = 1_795_000_000;

fn authority(folder: &Path) -> Authority {
    Authority::make(folder, 1, NOW_S).unwrap();
    Authority::open(folder).unwrap()
}

fn csr(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, ID);
    change(&mut params);
    params.serialize_request(key).unwrap().pem().unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn a_request_becomes_a_certificate_for_its_name_and_key_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let request = Request::read(&csr(&key, |_| ())).unwrap();
    let (pem, until_s) = authority.issue(&request, NOW_S).unwrap();
    let named = authority.has_issued(&der(&pem)).unwrap();
    assert_eq!((named.device.as_str(), &named.key[..]), (ID, key.public_key_raw()));
    assert_eq!((named.not_before_s, named.not_after_s), (NOW_S - EARLIER_S, until_s));
    let own = x509_cert::Certificate::from_der(&der(&pem)).unwrap();
    let extensions = own.tbs_certificate().extensions().unwrap();
    let is_ca = extensions.iter().any(|one| one.extn_id.to_string() == "2.5.29.19");
    assert!(!is_ca, "no basic constraints: it is no authority");
}

#[test]
fn a_request_that_asks_for_more_or_is_not_signed_by_its_key_is_refused() {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let refused = |pem: &str| Request::read(pem).unwrap_err().message;
    let named = |name: &str| {
        csr(&key, |params| {
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
        })
    };
    for name in ["", "../../etc", "0123456789ABCDEF0123456789ABCDEF", "van 7", &ID[1..]] {
        assert!(refused(&named(name)).contains("device's id"), "{name}");
    }
    assert!(refused(&csr(&other, |_| ())).contains("Ed25519"));
    let more = csr(&key, |params| params.distinguished_name.push(DnType::OrganizationName, "x"));
    assert!(refused(&more).contains("nothing else"));
    let names = csr(&key, |params| {
        params.subject_alt_names = vec![SanType::DnsName("fleet.example.org".try_into().unwrap())];
    });
    assert!(refused(&names).contains("extensions"));
    // One byte of the name changed: the signature is over another.
    let text = csr(&key, |_| ());
    let whole = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(text.as_bytes()).unwrap();
    let mut bytes = whole.to_vec();
    let at = bytes.windows(ID.len()).position(|part| part == ID.as_bytes()).unwrap();
    bytes[at] = b'1';
    let forged = x509_cert::der::pem::encode_string(
        "CERTIFICATE REQUEST",
        x509_cert::der::pem::LineEnding::LF,
        &bytes,
    );
    assert!(refused(&forged.unwrap()).contains("signature"), "{}", refused(&text.replace('A', "B")));
}

#[test]
fn certificates_of_all_authorities_count_and_those_of_strangers_do_not() {
    let (folder, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = authority(folder.path());
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let request = Request::read(&csr(&key, |_| ())).unwrap();
    let (old, _) = first.issue(&request, NOW_S).unwrap();
    Authority::make(folder.path(), 2, NOW_S).unwrap();
    let both = Authority::open(folder.path()).unwrap();
    let (new, _) = both.issue(&request, NOW_S).unwrap();
    both.has_issued(&der(&old)).unwrap();
    both.has_issued(&der(&new)).unwrap();
    first.has_issued(&der(&new)).unwrap_err();
    let (foreign, _) = authority(stranger.path()).issue(&request, NOW_S).unwrap();
    both.has_issued(&der(&foreign)).unwrap_err();
    assert_eq!(both.pem().matches("BEGIN CERTIFICATE").count(), 2);
}

#[test]
fn the_authoritys_key_is_for_its_owner_alone_and_is_never_written_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    let mode = std::fs::metadata(folder.path().join("1.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    Authority::make(folder.path(), 1, NOW_S).unwrap_err();
}
