//! From a camera to the inference thread: a capture thread per camera, and the mailboxes that hold the newest frame.
//!
//! In walk order: [`open`] (a configured camera to a source), [`capture`] (the thread), [`mailbox`] (newest frame wins,
//! older ones are dropped and counted), [`gauges`] (what is known of a camera while it runs, without locks).

pub mod capture;
pub mod gauges;
pub mod mailbox;
pub mod open;
