//! Seeds, and what the targets share. See README.md.

pub mod repository;
pub mod seeds;
