//! JPEG pictures: what decodes fits its buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stopline_sensors::frame::{BufferPool, Frame, MAX_SIDE};
use stopline_sensors::jpeg;

fuzz_target!(init: stopline_fuzz::seeds::jpegs(), |bytes: &[u8]| {
    let Ok(decoded) = jpeg::decode("fuzz", bytes, &BufferPool::default()) else { return };
    let (width, height) = decoded.size;
    assert!((1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height), "{width}x{height}");
    let (_, needed) = Frame::packed_layout(decoded.format, width, height);
    assert_eq!(decoded.buffer.len(), needed);
});
