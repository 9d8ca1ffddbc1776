//! **The Update Framework 1.0**: who may say which model a vehicle runs, checked as numbered steps of the standard.
//! Synchronous; transport, store and clock behind traits; bounded everywhere. Imports nothing of ours.
//!
//! In walk order:
//! - [`name`]: names from outside, each a type and none a path.
//! - [`json`]: strict reading, and the one byte form that is signed.
//! - [`key`]: public keys and signatures; [`metadata`]: the four kinds of files.
//! - `workflow`: §5 of the standard, step by step, as pure functions.
//! - [`client`]: runs it against a repository ([`fetch`]), a [`store`] and a clock ([`time`]).
//! - [`judge`]: the same judgement from files at hand, for one who does not believe the client.
//! - `write`: the other side, behind the feature of that name.

pub mod client;
mod envelope;
mod error;
pub mod fetch;
mod hex;
pub mod json;
pub mod judge;
pub mod key;
mod limits;
pub mod metadata;
pub mod name;
mod pattern;
pub mod store;
pub mod time;
#[cfg(feature = "pkcs11")]
pub mod token;
mod workflow;
#[cfg(feature = "write")]
pub mod write;

pub use client::{Client, Session, Settings, install_root};
pub use error::Error;
pub use limits::Limits;
pub use name::{KeyId, MetadataFile, RoleName, TargetPath};
pub use workflow::search::Found;
