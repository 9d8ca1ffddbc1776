//! See tests/README.md.

mod bad_datasets;
