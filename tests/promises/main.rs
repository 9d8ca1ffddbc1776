//! See tests/README.md.

mod eval_parity;
mod oracle_parity;
