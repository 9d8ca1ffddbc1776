//! **What both processes agree lies on disk.** Sync, no network. May import `stopline-tuf` only.
//!
//! - [`manifest`]: what a model is and how it wants to be fed and read.
//! - [`bundle`]: a model with all that belongs to it, in one file.
//! - `delta` (feature `packed`): from one bundle to another with fewer bytes.
//! - [`disk`]: the file system behind one trait, and how everything that must survive is written.
//! - [`record`]: what one frame showed, by which model, and what it cost.
//! - [`drift`]: whether what a camera and its model give is still what it was.
//! - [`health`]: what the runtime is in, once a second.
//! - [`stream`]: what it tells those who look on.
//! - [`outbox`]: what it wants said outside, and the answers.
//! - [`gates`]: when a roll-out is paused.
//! - [`release`], [`rollout`]: what signed metadata says of a bundle, and who gets it.
//! - [`deployment`]: how far it has come; verdicts, approvals, outcomes.
//! - [`judging`]: whether a bundle may be loaded, judged by one who believes nobody.
//! - [`eligible`]: when a vehicle asks, fetches and tries again.
//! - [`outcome`]: what a device says of a deployment, signed.
//! - [`batch`]: captured records on their way to the fleet, and its receipts; [`placing`]: the same by way of an object store.
//! - [`message`]: what a device says of itself.
//! - [`order`]: what the server asks one device to do once.
//! - [`settings`]: what the operator may set on devices from afar; [`capture`]: how many frames rules may take.
//! - [`campaign`]: what frames the operator asks vehicles for.
//! - [`slots`]: where all of it lies, and who writes it.
//! - [`spool`]: captured frames, encrypted, that wait for the agent; each ends exactly once.
//! - [`migration`]: configurations of an older schema, brought to the newest.
//! - [`versioned`]: files with a schema version; what is newer waits.

mod archive;
pub mod batch;
pub mod bundle;
pub mod campaign;
pub mod capture;
#[cfg(feature = "packed")]
pub mod delta;
pub mod deployment;
pub mod digest;
pub mod disk;
pub mod drift;
pub mod eligible;
pub mod gates;
pub mod health;
mod hex;
pub mod judging;
pub mod manifest;
pub mod message;
pub mod migration;
pub mod order;
pub mod outbox;
pub mod outcome;
pub mod placing;
pub mod record;
pub mod release;
pub mod rollout;
pub mod settings;
pub mod slots;
pub mod spool;
pub mod stream;
pub mod versioned;
