//! Frames worth learning from: a side door that never delays a decision.
//!
//! In walk order: [`door`] (the inference thread hands a report, and now and then a picture, into a bounded channel that is
//! never waited for), [`worker`] (a thread of the lowest priority), [`ring`] (compressed pictures of the last seconds, in
//! memory), [`rules`] (which of them are kept, and why), [`limits`] (how many), [`shares`] (what of that
//! is left: what is set from afar, what earlier processes used), [`campaigns`] (which of them the operator asks for), [`writer`], [`redact`] (heads and regions are made
//! unrecognisable), [`seal`] (side-car and picture, encrypted once), [`stopline_depot::spool`].
//!
//! A picture leaves memory only whole: a second after it was taken, when what is known of persons before and after it has
//! come in; searched for persons once more with a threshold of 0.05; filled; encrypted. Where any of these fails it is
//! dropped and counted. Nothing here is read by what decides.

#[cfg(feature = "capture")]
pub mod campaigns;
pub mod door;
pub mod limits;
pub mod redact;
pub mod ring;
pub mod rules;
#[cfg(feature = "capture")]
pub mod seal;
#[cfg(feature = "capture")]
pub mod shares;
pub mod start;
pub mod tally;
#[cfg(feature = "capture")]
pub mod worker;
#[cfg(feature = "capture")]
pub mod writer;

#[cfg(test)]
mod tests;

/// Whether this is a public key that records can be encrypted to.
///
/// # Errors
/// What is expected.
pub fn check_recipient(text: &str) -> Result<(), String> {
    #[cfg(feature = "capture")]
    return seal::recipient(text).map(drop);
    #[cfg(not(feature = "capture"))]
    Err(format!(
        "no [capture] in this build, which lacks the feature `capture` ({} characters given)",
        text.len()
    ))
}
