//! **The operator**: keys, pack, publish, roll-out, serve, datasets. May import depot and tuf.
//!
//! No code yet, and so no `stopline-fleet` program.
