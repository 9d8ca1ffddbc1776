//! The files that the program carries.

/// Name within the kit, and content.
pub const FILES: [(&str, &[u8]); 0] = [];
