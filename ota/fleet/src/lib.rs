//! **The operator**: keys, packing, signing, publishing, roll-outs, and a fleet simulated. May import depot and tuf.
//!
//! In walk order:
//! - [`keys`]: each holder's own; [`roles`]: who signs what, and for how long.
//! - [`staging`]: the folder that goes from holder to holder; [`init`], [`sign`], [`rotate`].
//! - [`pack`]: a model becomes a bundle; [`models`]: a bundle becomes a release; [`delta`]: a way to it from another.
//! - [`evaluation`]: champion and challenger.
//! - [`store`]: where a repository is published; [`published`]: what is there, verified; [`commit`]: how it changes;
//!   [`publish`]: what the holders signed goes out.
//! - [`rollouts`], [`outcomes`]: who gets it, and what came of it.
//! - [`signed`]: by the operator's own key: [`settings`] of devices from afar, [`campaigns`] for frames.
//! - [`expiry`]: what expires when, and signing anew; [`verify`]: what a device would accept.
//! - [`dataset`]: sealed frames become labelled data and frozen test sets; [`forget`]: and are gone everywhere.
//! - [`drift`]: whether decision records are still what they were.
//! - [`simulate`]: a million devices.
//! - [`audit`]: who did what, in a chain of lines.
//! - `serve` (feature `serve`): devices come in, people look at them.
//! - [`cli`]: the program.

pub mod audit;
pub mod campaigns;
pub mod child;
pub mod cli;
pub mod clock;
pub mod commit;
pub mod dataset;
pub mod delta;
pub mod drift;
pub mod evaluation;
pub mod exit;
pub mod expiry;
mod files;
pub mod forget;
pub mod init;
pub mod keys;
pub mod models;
pub mod outcomes;
pub mod pack;
pub mod publish;
pub mod published;
pub mod roles;
pub mod rollouts;
pub mod rotate;
#[cfg(feature = "serve")]
pub mod serve;
pub mod settings;
pub mod sign;
pub mod signed;
pub mod simulate;
pub mod staging;
pub mod store;
pub mod verify;
