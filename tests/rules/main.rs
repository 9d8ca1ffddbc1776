//! What holds for every room, read from the tree itself.
//!
//! - `arrows`: which room imports which, and what none of them brings along.
//! - `determinism`: what keeps the decision the same on every target.
//! - `words`: unsafe code, clocks, names, paths, links.
//! - `promised`: the tests that are said to hold the update path's rules.
//! - `troubleshooting`: pages whose headings must be true.
//! - `sizes`: the longest files and functions, printed to be looked at.

#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "a test stops where it fails")]

mod arrows;
mod catalogue;
mod determinism;
mod promised;
mod sizes;
mod tree;
mod troubleshooting;
mod words;
