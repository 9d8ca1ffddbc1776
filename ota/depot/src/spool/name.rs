//! Names of files in a spool: all that stays clear of a record, and what is meant to happen to it.

use std::fmt;

use super::{Cause, Class, End};
use crate::digest::Digest;

/// What stays clear of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) digest: Digest,
    pub(super) class: Class,
    /// Seconds since 1970.
    pub(super) expires: u64,
}

/// What its file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A whole record.
    Whole,
    /// Being written.
    New,
    /// It has ended; the ledger may not know yet.
    Ended(End),
}

/// Ends that a name can say.
fn ends() -> impl Iterator<Item = End> {
    let rejected = Cause::ALL.into_iter().map(End::Rejected);
    [End::Delivered, End::Evicted, End::Expired].into_iter().chain(rejected)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("age"),
            Self::New => f.write_str("age.new"),
            Self::Ended(End::Delivered) => f.write_str("delivered"),
            Self::Ended(End::Evicted) => f.write_str("evicted"),
            Self::Ended(End::Expired) => f.write_str("expired"),
            Self::Ended(End::Rejected(cause)) => write!(f, "rejected-{}", cause.code()),
        }
    }
}

impl Name {
    /// Its file's name.
    pub(super) fn file(&self, state: State) -> String {
        format!("{}-{}-{}.{state}", self.digest, u8::from(self.class), self.expires)
    }

    /// A file's name; `None` for one that is not ours, in which case the file is left alone.
    pub(super) fn parse(file: &str) -> Option<(Self, State)> {
        let (name, state) = file.split_once('.')?;
        let mut parts = name.split('-');
        let digest = parts.next()?.parse().ok()?;
        let class = Class::new(parts.next()?.parse().ok()?)?;
        let expires = parts.next()?.parse().ok()?;
        let states = [State::Whole, State::New].into_iter().chain(ends().map(State::Ended));
        let state = states.into_iter().find(|known| known.to_string() == state)?;
        let found = Self { digest, class, expires };
        // One spelling each: no signs, no leading zeros, nothing behind.
        (found.file(state) == file).then_some((found, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_only_one_spelling_is_ours() {
        let name = Name { digest: Digest::of(b"x"), class: Class::new(7).unwrap(), expires: 1_800_000_000 };
        for state in [State::Whole, State::New].into_iter().chain(ends().map(State::Ended)) {
            assert_eq!(Name::parse(&name.file(state)), Some((name, state)));
        }
        let good = name.file(State::Whole);
        for bad in [
            good.replace("-7-", "-07-"),
            good.replace("-7-", "-10-"),
            good.replace("-18", "-+18"),
            good.replace(".age", ".AGE"),
            good.replace(".age", ".age.new.new"),
            format!("../{good}"),
            good[1..].to_owned(),
            good.replace(".age", "-1.age"),
            "x.age".into(),
            String::new(),
        ] {
            assert_eq!(Name::parse(&bad), None, "{bad}");
        }
    }
}
