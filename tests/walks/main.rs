//! See tests/README.md.

mod eval;
