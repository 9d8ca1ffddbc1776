use rcgen::{CertificateParams, CertificateSigningRequestParams, DnType, Issuer, KeyPair, PKCS_ED25519};

use super::*;

/// What an authority of a fleet issues for a request: it checks the request's own signature first.
fn issue(request: &str, change: impl FnOnce(&mut CertificateParams)) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let authority = Issuer::new(CertificateParams::default(), key);
    let mut request = CertificateSigningRequestParams::from_pem(request)?;
    request.params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    request.params.not_after = rcgen::date_time_ymd(2026, 12, 27);
    change(&mut request.params);
    Ok(request.signed_by(&authority)?.pem())
}

fn identity() -> (tempfile::TempDir, Identity) {
    let home = tempfile::tempdir().unwrap();
    let identity = Identity::open(home.path()).unwrap();
    (home, identity)
}

#[test]
fn an_authority_finds_the_request_signed_by_the_key_it_names() {
    let (home, identity) = identity();
    let request = request(&identity).unwrap();
    let own = Certificate::parse(issue(&request, |_| ()).unwrap().as_bytes()).unwrap();
    own.check_is_of(&identity).unwrap();
    own.keep(home.path(), None).unwrap();
    assert_eq!(Certificate::read(home.path()).unwrap(), Some(own));
    // A byte of the signature, near the end of the DER.
    let mut der = pem(&request);
    *der.last_mut().unwrap() ^= 1;
    let forged = x509_cert::der::pem::encode_string("CERTIFICATE REQUEST", LineEnding::LF, &der).unwrap();
    assert!(matches!(issue(&forged, |_| ()), Err(rcgen::Error::InvalidCertificationRequestSignature)));
}

fn pem(text: &str) -> Vec<u8> {
    x509_cert::der::pem::decode_vec(text.as_bytes()).unwrap().1
}

#[test]
fn a_certificate_for_another_key_or_name_is_somebody_elses() {
    let ((_a, own), (_b, other)) = (identity(), identity());
    let others = Certificate::parse(issue(&request(&other).unwrap(), |_| ()).unwrap().as_bytes()).unwrap();
    let error = others.check_is_of(&own).unwrap_err().to_string();
    assert!(error.contains("enroll --csr"), "{error}");
    let renamed = issue(&request(&own).unwrap(), |params| {
        params.distinguished_name.push(DnType::CommonName, other.id());
    });
    let renamed = Certificate::parse(renamed.unwrap().as_bytes()).unwrap();
    assert!(matches!(renamed.check_is_of(&own), Err(CertificateError::Foreign { what: "name", .. })));
}

#[test]
fn it_is_due_at_two_thirds_and_over_after_its_last_second() {
    let (_home, identity) = identity();
    let own = Certificate::parse(issue(&request(&identity).unwrap(), |_| ()).unwrap().as_bytes()).unwrap();
    let day = 86_400;
    assert_eq!(own.not_after - own.not_before, 360 * day);
    assert_eq!(own.renew_at() - own.not_before, 240 * day);
    for (now, age) in [
        (0, Age::Fresh),
        (own.renew_at() - 1, Age::Fresh),
        (own.renew_at(), Age::Due),
        (own.not_after, Age::Due),
        (own.not_after + 1, Age::Expired),
    ] {
        assert_eq!(own.age(now), age, "{now}");
    }
}

#[test]
fn what_is_no_chain_is_refused_and_reading_it_does_not_panic() {
    let (_home, identity) = identity();
    let good = issue(&request(&identity).unwrap(), |_| ()).unwrap();
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x"] {
        assert!(Certificate::parse(text.as_bytes()).is_err(), "{text:?}");
    }
    assert!(Certificate::parse(good.repeat(MOST + 1).as_bytes()).is_err(), "more than {MOST}");
    let der = pem(&good);
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 0xff;
        let text = x509_cert::der::pem::encode_string("CERTIFICATE", LineEnding::LF, &changed).unwrap();
        let _ = Certificate::parse(text.as_bytes());
        let text = x509_cert::der::pem::encode_string("CERTIFICATE", LineEnding::LF, &der[..at]).unwrap();
        assert!(Certificate::parse(text.as_bytes()).is_err(), "cut at {at}");
    }
}
