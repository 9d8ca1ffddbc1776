//! See tests/README.md.

mod eval_parity;
