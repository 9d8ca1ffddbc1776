//! Passwords (Argon2id) and one-time codes (TOTP, RFC 6238: SHA-1, six digits, 30 s, one step either way, each step once).

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use totp_rs::{Algorithm, Builder, Secret, Totp};

use super::Problem;
use crate::exit::{Failure, Result};
use crate::serve::database::people::Person;
use crate::serve::secret;
use crate::serve::server::Server;

/// Characters of a password, at least.
pub const SHORTEST: usize = 12;
/// Characters of a password, at most.
const LONGEST: usize = 256;
/// Bytes of a secret of codes, as RFC 4226 §4 recommends.
const SECRET: usize = 20;
/// Takes the place of the password of somebody who does not exist, so that the answer takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A secret of codes, base32.
pub fn new_totp() -> Result<String> {
    Ok(Secret::from(secret::bytes::<SECRET>()?.to_vec()).to_base32())
}

/// The step that a code is of, if it is right at `now_s`.
pub fn step_of(totp: &str, code: &str, now_s: i64) -> Option<i64> {
    let code: String = code.chars().filter(|char| !char.is_whitespace()).collect();
    let now = u64::try_from(now_s).ok()?;
    i64::try_from(codes(totp).ok()?.check(&code, now)?).ok()
}

/// What an authenticator reads.
pub fn uri(name: &str, totp: &str) -> String {
    let plain: String = name.chars().filter(|char| char.is_ascii_alphanumeric()).collect();
    format!("otpauth://totp/Stopline:{plain}?secret={totp}&issuer=Stopline")
}

/// Makes a password's hash.
///
/// # Errors
/// That it is too short or too long.
pub async fn hash(server: &Server, password: &str) -> Result<String, Problem> {
    let length = password.chars().count();
    if !(SHORTEST..=LONGEST).contains(&length) {
        let words = format!("A password has {SHORTEST} to {LONGEST} characters.");
        return Err(Problem::new(axum::http::StatusCode::BAD_REQUEST, words));
    }
    let password = zeroize::Zeroizing::new(password.to_owned());
    let _turn = server.people.hashing.acquire().await.map_err(Failure::failed)?;
    let hashed = tokio::task::spawn_blocking(move || Argon2::default().hash_password(password.as_bytes()));
    Ok(hashed.await.map_err(Failure::failed)?.map_err(Failure::failed)?.to_string())
}

/// Whether somebody is who they say: password and code, both looked at whichever is wrong. The code is used up.
///
/// # Errors
/// The database's.
pub async fn is_who(server: &Server, person: Option<&Person>, password: &str, code: &str) -> Result<bool> {
    let hash = person.map_or(NOBODY, |person| &person.password).to_owned();
    let given = zeroize::Zeroizing::new(password.chars().take(LONGEST).collect::<String>());
    let turn = server.people.hashing.acquire().await.map_err(Failure::failed)?;
    let verified = tokio::task::spawn_blocking(move || {
        Argon2::default().verify_password(given.as_bytes(), hash.as_str()).is_ok()
    });
    let is_right = verified.await.map_err(Failure::failed)?;
    drop(turn);
    let Some(person) = person else { return Ok(false) };
    let step = step_of(&person.totp, code, server.now_s());
    let (true, Some(step)) = (is_right, step) else { return Ok(false) };
    let mut writing = server.database.write().await?;
    let is_first = writing.use_step(&person.name, step).await?;
    writing.commit().await?;
    Ok(is_first)
}

fn codes(totp: &str) -> Result<Totp> {
    let secret = Secret::try_from_base32(totp).map_err(|error| Failure::failed(format!("{error:?}")))?;
    let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_skew(1);
    builder
        .with_step_duration(30)
        .with_secret(secret)
        .build()
        .map_err(|error| Failure::failed(format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238 appendix B, SHA-1, the last six digits of its eight.
        let totp = Secret::from(b"12345678901234567890".to_vec()).to_base32();
        for (at, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(step_of(&totp, code, at), Some(at / 30), "{at}");
            assert_eq!(step_of(&totp, code, at + 30), Some(at / 30));
            assert_eq!(step_of(&totp, code, at + 90), None);
        }
        assert_eq!(step_of(&totp, "", 59), None);
    }

    #[test]
    fn nobodys_password_is_a_hash_of_the_usual_cost() {
        assert!(Argon2::default().verify_password(b"", NOBODY).is_err());
        let params = argon2::password_hash::phc::PasswordHash::new(NOBODY).unwrap();
        assert_eq!(params.params.get_decimal("m"), Some(argon2::Params::DEFAULT_M_COST));
    }
}
