//! See tests/README.md.

#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "a test stops where it fails")]

mod allocations;
mod around;
mod attention;
#[cfg(feature = "capture")]
mod capture;
mod cores;
mod daemon;
mod dbc_parity;
mod drift;
mod engines;
mod eval_parity;
mod idle_writes;
mod int8;
mod oracle_parity;
mod peer_pipeline;
mod prepare_parity;
mod steady;
