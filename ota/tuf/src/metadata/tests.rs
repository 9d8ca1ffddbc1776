use serde_json::json;

use super::*;

fn targets(delegations: Value) -> Result<(), String> {
    let said = json!({
        "_type": "targets", "spec_version": "1.0.0", "version": 1, "expires": "2030-01-01T00:00:00Z",
        "targets": {}, "delegations": delegations,
    });
    serde_json::from_value::<Targets>(said).map_err(|error| error.to_string())?.check()
}

fn delegation(change: impl Fn(&mut Value)) -> Value {
    let mut role = json!({"name": "models", "keyids": ["a", "b"], "threshold": 2, "terminating": false, "paths": ["models/*/*"]});
    change(&mut role);
    json!({"keys": {}, "roles": [role]})
}

#[test]
fn a_delegation_says_what_it_is_about_in_one_way() {
    targets(delegation(|_| {})).unwrap();
    targets(delegation(|role| {
        role.as_object_mut().unwrap().remove("paths");
        role["path_hash_prefixes"] = json!(["00"]);
    }))
    .unwrap();
    for (problem, change) in [
        (
            "either paths",
            &(|role: &mut Value| role["path_hash_prefixes"] = json!(["00"])) as &dyn Fn(&mut Value),
        ),
        ("either paths", &|role| drop(role.as_object_mut().unwrap().remove("paths"))),
        ("names a key twice", &|role| role["keyids"] = json!(["a", "a"])),
        ("threshold of models is 0", &|role| role["threshold"] = json!(0)),
        ("only root metadata", &|role| role["name"] = json!("timestamp")),
        ("terminating", &|role| drop(role.as_object_mut().unwrap().remove("terminating"))),
        ("is empty", &|role| role["name"] = json!("")),
        ("control character", &|role| role["name"] = json!("a\nb")),
        ("at most 128", &|role| role["keyids"] = (0..200).map(|id| json!(id.to_string())).collect()),
    ] {
        let error = targets(delegation(change)).unwrap_err();
        assert!(error.contains(problem), "{problem}: {error}");
    }
    let twice =
        json!({"keys": {}, "roles": [delegation(|_| {})["roles"][0], delegation(|_| {})["roles"][0]]});
    assert!(targets(twice).unwrap_err().contains("name a role twice"));
    // Succinct hash bins (TAP 15) are not understood, and not taken for an empty list.
    assert!(targets(json!({"keys": {}, "succinct_roles": {}})).unwrap_err().contains("roles"));
}

#[test]
fn the_standard_of_another_major_version_is_not_read() {
    for good in ["1.0", "1.0.0", "1.0.34", "1.31.0"] {
        check::spec_version(good).unwrap();
    }
    for bad in ["", "1", "2.0.0", "10.0", "1.x", "1.0.0.0", "1..0", " 1.0", "01.0"] {
        assert!(check::spec_version(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_version_is_a_number_that_others_can_count_with() {
    for good in [1, 1 << 53] {
        check::version(good).unwrap();
    }
    for bad in [0, (1 << 53) + 1, u64::MAX] {
        assert!(check::version(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_digest_that_is_none_is_refused_and_an_unknown_one_is_carried() {
    let hashes = |value: Value| serde_json::from_value::<Hashes>(value).unwrap().check("x");
    hashes(json!({"sha256": "00".repeat(32), "blake3": "0a"})).unwrap();
    hashes(json!({"blake3": "0a"})).unwrap();
    for bad in [
        json!({}),
        json!({"sha256": "00"}),
        json!({"sha512": "zz".repeat(64)}),
        json!({"blake3": "../x"}),
        json!({"md5": ""}),
    ] {
        assert!(hashes(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_file_is_right_only_with_every_digest_that_is_known() {
    let digests = |sha256: &str, sha512: &str| {
        serde_json::from_value(json!({"sha256": sha256, "sha512": sha512})).unwrap()
    };
    let check = |hashes: Hashes| {
        let file = TargetFile { length: 3, hashes, custom: None, extra: Map::new() };
        let mut check = TargetCheck::new("x", &file).unwrap();
        b"abc".chunks(2).for_each(|part| check.update(part).unwrap());
        check.finish().map_err(|error| error.to_string())
    };
    // FIPS 180-4, appendix.
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let sha512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    check(digests(sha256, &sha512.to_uppercase())).unwrap();
    assert!(check(digests(sha256, &"00".repeat(64))).unwrap_err().contains("sha512"));
    assert!(check(digests(&"00".repeat(32), sha512)).unwrap_err().contains("sha256"));
}
