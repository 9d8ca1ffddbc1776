//! **What both processes agree lies on disk.** Sync, no network. May import `stopline-tuf` only.
//!
//! - [`manifest`]: what a model is and how it wants to be fed and read.
//! - [`bundle`]: a model with all that belongs to it, in one file.
//! - [`disk`]: the file system behind one trait, and how everything that must survive is written.
//! - [`record`]: what one frame showed, by which model, and what it cost.
//!
//! Belongs here and has no code yet: slots with their journal, verdicts and approvals, spool, outbox, health.

pub mod bundle;
pub mod disk;
pub mod manifest;
pub mod record;
