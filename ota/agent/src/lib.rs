//! **The air**: asks which model this device is to run, fetches and stages it, offers it to the runtime, and tells the fleet what
//! became of it. tokio and TLS live here and in the fleet only. May import depot and tuf; never the runtime, which must not
//! share an address space with anything that talks to the internet.
//!
//! In walk order:
//! - [`config`], [`identity`], [`clock`], [`surroundings`]: what it is told, who it is, what it knows of itself.
//! - [`tls`], [`http`], [`repository`]: how it asks, and what the answer says.
//! - [`certificate`], [`enrolment`]: how it shows who it is.
//! - [`settings`]: what the operator sets from afar, within this device's limits.
//! - [`budget`]: what may go over mobile networks. [`power`]: what the board's supply allows.
//! - [`decision`]: what is to be done, as a pure function.
//! - [`download`]: a file over a bad link.
//! - [`agent`]: its steps; [`report`], [`spool`]: what it tells of them; [`sequence`], [`queue`]: numbered, and kept until it
//!   is received.
//! - [`fleet`], [`upload`]: captured records to the fleet's server. [`telemetry`]: what the device says of itself, and alerts.
//! - [`orders`]: what the server asks this device to do once.
//! - [`daemon`], [`reporting`], [`control`], [`mqtt`]: when it takes them, and who may ask for one.
//! - [`commands`], [`status`], [`diagnose`]: the command line, and what is given to whoever helps; [`asked`]: what other
//!   programs of the board say.

pub mod agent;
pub mod asked;
pub mod budget;
pub mod certificate;
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod daemon;
pub mod decision;
pub mod diagnose;
pub mod download;
pub mod enrolment;
mod error;
pub mod exit;
pub mod fleet;
pub mod http;
pub mod identity;
pub mod mqtt;
pub mod orders;
pub mod power;
pub mod queue;
pub mod report;
pub mod reporting;
pub mod repository;
pub mod sequence;
pub mod settings;
pub mod spool;
pub mod status;
pub mod surroundings;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod upload;

pub use error::AgentError;
