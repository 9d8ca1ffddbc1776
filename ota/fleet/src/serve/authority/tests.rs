//! A fleet's authority gives out certificates for what is asked by its own key, and for nothing else.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType};

use rustls::pki_types::CertificateRevocationListDer;
use stopline_depot::digest::Digest;

use super::*;
use crate::serve::database::devices::{Device, Standing};

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

fn device(key: &KeyPair, standing: Standing, until_s: i64) -> Device {
    Device {
        id: ID.into(),
        key: Digest::from_bytes(key.public_key_raw().try_into().unwrap()).to_string(),
        name: "van 7".into(),
        standing,
        reason: String::new(),
        replaces: String::new(),
        enrolled_s: NOW_S,
        changed_s: NOW_S,
        seen_s: 0,
        certificate_until_s: until_s,
    }
}

/// Whether a certificate is let in by somebody who has the authorities and these lists, as a broker has.
fn is_let_in(authority: &Authority, lists: &str, certificate: &str, at_s: i64) -> bool {
    let mut roots = RootCertStore::empty();
    for own in &authority.certificates {
        roots.add(own.der.clone()).unwrap();
    }
    let crls: Vec<_> =
        CertificateRevocationListDer::pem_slice_iter(lists.as_bytes()).map(Result::unwrap).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(crls)
        .enforce_revocation_expiration()
        .build()
        .unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at_s.try_into().unwrap()));
    verifier.verify_client_cert(&der(certificate), &[], at).is_ok()
}

#[test]
fn the_lists_keep_out_whoever_is_stopped_by_any_of_his_certificates_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let first = authority(folder.path());
    let [thief, other] = [(), ()].map(|()| KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let [by_thief, by_other] = [&thief, &other].map(|key| Request::read(&csr(key, |_| ())).unwrap());
    let (old, until_s) = first.issue(&by_thief, NOW_S).unwrap();
    Authority::make(folder.path(), 2, NOW_S).unwrap();
    let both = Authority::open(folder.path()).unwrap();
    let (new, _) = both.issue(&by_thief, NOW_S + 1).unwrap();
    let (own, _) = both.issue(&by_other, NOW_S).unwrap();

    let nobody = revoked::lists(&both, &[], NOW_S).unwrap();
    assert_eq!(
        nobody.matches("BEGIN X509 CRL").count(),
        2,
        "one of each authority, or a broker lets nobody in"
    );
    for certificate in [&old, &new, &own] {
        assert!(is_let_in(&both, &nobody, certificate, NOW_S + 2));
    }
    for standing in [Standing::Revoked, Standing::Quarantined, Standing::Replaced, Standing::Retired] {
        let lists = revoked::lists(&both, &[device(&thief, standing, until_s)], NOW_S).unwrap();
        let is_in = [&old, &new, &own].map(|certificate| is_let_in(&both, &lists, certificate, NOW_S + 2));
        assert_eq!(is_in, [false, false, true], "{standing:?}");
        // A list that has ended keeps everybody out.
        assert!(!is_let_in(&both, &lists, &own, NOW_S + SERVER_DAYS * DAY_S + 1));
    }
    // Who is active again, and who has no certificate any more, is not listed.
    let after_s = until_s + 2 * DAY_S;
    let devices = [device(&thief, Standing::Active, after_s), device(&other, Standing::Retired, until_s)];
    let lists = revoked::lists(&both, &devices, after_s).unwrap();
    // An entry takes some 50 letters; signatures differ by some.
    assert!(lists.len().abs_diff(nobody.len()) < 30, "{lists}{nobody}");
    let one = revoked::lists(&both, &[device(&thief, Standing::Revoked, after_s)], after_s).unwrap();
    assert!(one.len() > nobody.len() + 60, "{one}{nobody}");

    // Without its key an authority cannot say who is stopped.
    files::remove(&folder.path().join("1.key")).unwrap();
    let problem = revoked::lists(&both, &[], NOW_S).unwrap_err().message;
    assert!(problem.contains("1.key"), "{problem}");
}

/// Certificates that were given out before the number was said are found by it too.
#[test]
fn the_number_of_a_certificate_is_that_which_the_library_makes_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    for _ in 0..64 {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let (pem, _) = authority.issue(&Request::read(&csr(&key, |_| ())).unwrap(), NOW_S).unwrap();
        let plain = CertificateParams::default().signed_by(&key, &authority.issuer).unwrap();
        let number = |bytes: &[u8]| {
            x509_cert::Certificate::from_der(bytes).unwrap().tbs_certificate().serial_number().clone()
        };
        assert_eq!(number(&der(&pem)), number(plain.der()));
    }
}
