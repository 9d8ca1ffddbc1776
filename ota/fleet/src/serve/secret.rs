//! What is drawn at random and shown once: tokens, links, sessions. The database holds digests of them only.

use stopline_depot::digest::Digest;

use crate::exit::{Failure, Result};

/// A secret of 256 bits as 64 hexadecimal digits.
///
/// # Errors
/// The system's, if it gives no random numbers.
pub fn new() -> Result<String> {
    Ok(Digest::from_bytes(bytes::<32>()?).to_string())
}

/// Random bytes.
///
/// # Errors
/// The system's, if it gives no random numbers.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut random = [0; N];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
    Ok(random)
}

/// What the database knows of a secret, by what it is for.
pub fn hash(what_for: &str, secret: &str) -> String {
    Digest::of(format!("stopline/{what_for}/v1\0{secret}").as_bytes()).to_string()
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub fn same(one: &str, other: &str) -> bool {
    let differs = one.bytes().zip(other.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    one.len() == other.len() && differs == 0
}
