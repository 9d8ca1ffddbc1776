//! What the fleet's server asks one device to do once: bring a diagnostic bundle, let captured records go. Handed over on
//! `cmd/diagnose` and `cmd/forget`, never retained, and in the answer to `POST v1/messages`, until the device has answered or the
//! order has ended.
//!
//! It is not signed: who it comes from, TLS says. What it can do is bounded by what it can say: nothing here starts, stops or
//! changes anything but the records that a spool holds, which the server could end by its receipts as well.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::versioned::Versioned;

/// Records that one order names, at most: it must fit into a packet of every broker's.
pub const MOST_RECORDS: usize = 32;
/// Orders that are handed over together, at most.
pub const MOST_ORDERS: usize = 8;

/// An order to one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// 32 hexadecimal digits; a device answers each once.
    pub id: String,
    /// Seconds since 1970 after which nobody waits for it any more.
    pub until: u64,
    /// What is to be done.
    pub what: What,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A diagnostic bundle is to be made and brought.
    Diagnose,
    /// Captured records in the spool are to be let go.
    Forget(Forget),
}

impl What {
    /// The word by which its topic ends.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Diagnose => "diagnose",
            Self::Forget(_) => "forget",
        }
    }
}

/// Which records are to go: all that is given must hold; where nothing is, all do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Forget {
    /// These; empty: any.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub records: BTreeSet<Digest>,
    /// Captured from then on, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Captured before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Also those of which nobody knows when they were captured.
    pub undated: bool,
}

/// Whether a record is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// It is to go.
    Yes,
    /// It stays.
    No,
    /// Nobody knows when it was captured: it stays, and is counted.
    Unsure,
}

impl Forget {
    /// Whether the record is meant that was captured at that second; none: nobody knows when.
    pub fn means(&self, record: &Digest, captured: Option<u64>) -> Meant {
        if !self.records.is_empty() && !self.records.contains(record) {
            return Meant::No;
        }
        if self.from.is_none() && self.to.is_none() {
            return Meant::Yes;
        }
        match captured {
            Some(at) if self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to) => {
                Meant::Yes
            }
            Some(_) => Meant::No,
            None if self.undated => Meant::Yes,
            None => Meant::Unsure,
        }
    }
}

impl Versioned for Order {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "order";
    const LIMIT: usize = 8 << 10;

    fn check(&self) -> Result<(), String> {
        check_id(&self.id)?;
        match &self.what {
            What::Forget(forget) if forget.records.len() > MOST_RECORDS => Err(format!(
                "what.forget.records: {}; at most {MOST_RECORDS} are expected",
                forget.records.len()
            )),
            _ => Ok(()),
        }
    }
}

/// What became of an order: `POST v1/answers`. A bundle that was brought is an answer by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The order's id.
    pub id: String,
    /// How it ended.
    pub result: Done,
    /// Records that went, where any could.
    pub removed: u64,
    /// Records that stayed, since nobody knows when they were captured.
    pub unsure: u64,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It was done.
    Done,
    /// The device's own configuration does not allow it, or has no spool.
    Refused,
}

impl Versioned for Answer {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "answer to an order";
    const LIMIT: usize = 4 << 10;

    fn check(&self) -> Result<(), String> {
        check_id(&self.id)
    }
}

/// Whether `id` may be an order's.
///
/// # Errors
/// What is expected.
pub fn check_id(id: &str) -> Result<(), String> {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if id.len() == 32 && id.chars().all(digit) {
        return Ok(());
    }
    Err("id: 32 hexadecimal digits are expected".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versioned;

    #[test]
    fn a_record_is_meant_where_all_that_is_given_holds() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let all = Forget::default();
        assert_eq!((all.means(&one, None), all.means(&one, Some(5))), (Meant::Yes, Meant::Yes));
        let named = Forget { records: BTreeSet::from([one]), ..Forget::default() };
        assert_eq!((named.means(&one, None), named.means(&other, None)), (Meant::Yes, Meant::No));
        let span = Forget { from: Some(10), to: Some(20), ..Forget::default() };
        for (at, meant) in [(9, Meant::No), (10, Meant::Yes), (19, Meant::Yes), (20, Meant::No)] {
            assert_eq!(span.means(&one, Some(at)), meant, "{at}");
        }
        assert_eq!(span.means(&one, None), Meant::Unsure);
        let undated = Forget { undated: true, ..span.clone() };
        assert_eq!(undated.means(&one, None), Meant::Yes);
        let both = Forget { records: BTreeSet::from([one]), ..span };
        assert_eq!((both.means(&one, Some(5)), both.means(&other, Some(15))), (Meant::No, Meant::No));
    }

    #[test]
    fn an_order_can_say_nothing_else() {
        let id = "0123456789abcdef0123456789abcdef";
        let read = |what: &str, id: &str| {
            let text = format!(r#"{{"schema":1,"id":"{id}","until":5,"what":{what}}}"#);
            versioned::read::<Order>(text.as_bytes()).map(|order| order.what)
        };
        assert_eq!(read(r#""diagnose""#, id).unwrap(), What::Diagnose);
        assert_eq!(read(r#"{"forget":{}}"#, id).unwrap(), What::Forget(Forget::default()));
        for what in
            [r#""reboot""#, r#"{"forget":{"spool":"/"}}"#, r#"{"diagnose":{"program":"/bin/sh"}}"#, "{}"]
        {
            assert!(read(what, id).is_err(), "{what}");
        }
        assert!(read(r#""diagnose""#, "../../x").is_err());
        let many = (0..=MOST_RECORDS).map(|n| Digest::of(n.to_string().as_bytes())).collect();
        let what = What::Forget(Forget { records: many, ..Forget::default() });
        assert!(versioned::write(&Order { schema: 1, id: id.into(), until: 5, what }).is_err());
    }

    #[test]
    fn all_that_are_handed_over_together_fit_into_an_answer_and_each_into_a_packet() {
        let records: BTreeSet<Digest> =
            (0..MOST_RECORDS).map(|n| Digest::of(n.to_string().as_bytes())).collect();
        let what = What::Forget(Forget { records, from: Some(u64::MAX), to: Some(u64::MAX), undated: false });
        let order = Order { schema: 1, id: "0".repeat(32), until: u64::MAX, what };
        assert!(serde_json::to_vec(&order).unwrap().len() < 4 << 10);
        let receipts = crate::message::Receipts {
            schema: 1,
            receipts: Vec::new(),
            acknowledge: Vec::new(),
            orders: vec![order; MOST_ORDERS],
        };
        assert!(versioned::write(&receipts).unwrap().len() < crate::message::Receipts::LIMIT / 2);
    }
}
