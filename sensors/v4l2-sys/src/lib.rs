#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, clippy::all, missing_docs)]
include!("bindings.rs");

/// The kernel's sizes (`linux/videodev2.h`), on which the ioctl numbers depend. What differs between 64 and 32 bit
/// differs by `c_long` and by the alignment of pointers alone.
const _: () = {
    use core::mem::size_of;
    assert!(size_of::<v4l2_capability>() == 104);
    assert!(size_of::<v4l2_fmtdesc>() == 64);
    assert!(size_of::<v4l2_pix_format>() == 48);
    assert!(size_of::<v4l2_pix_format_mplane>() == 192);
    assert!(size_of::<v4l2_requestbuffers>() == 20);
    assert!(size_of::<v4l2_streamparm>() == 204);
    assert!(size_of::<v4l2_frmsizeenum>() == 44);
    assert!(size_of::<v4l2_frmivalenum>() == 52);
    assert!(size_of::<v4l2_query_ext_ctrl>() == 232);
    assert!(size_of::<v4l2_querymenu>() == 44);
    assert!(size_of::<v4l2_ext_control>() == 20);
};

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::size_of;
    assert!(size_of::<timeval>() == 16);
    assert!(size_of::<v4l2_buffer>() == 88);
    assert!(size_of::<v4l2_plane>() == 64);
    assert!(size_of::<v4l2_format>() == 208);
    assert!(size_of::<v4l2_event>() == 136);
    assert!(size_of::<v4l2_ext_controls>() == 32);
};

#[cfg(target_pointer_width = "32")]
const _: () = {
    use core::mem::size_of;
    assert!(size_of::<timeval>() == 8);
    assert!(size_of::<v4l2_buffer>() == 68);
    assert!(size_of::<v4l2_plane>() == 60);
    assert!(size_of::<v4l2_format>() == 204);
    assert!(size_of::<v4l2_event>() == 128);
    assert!(size_of::<v4l2_ext_controls>() == 24);
};
