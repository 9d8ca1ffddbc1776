//! **The Update Framework 1.0 client.** Verification as numbered steps of the standard; transport and clock behind
//! traits. Imports nothing of ours.
//!
//! No code yet.
