//! See tests/README.md.

mod eval_parity;
mod oracle_parity;
mod peer_pipeline;
mod prepare_parity;
