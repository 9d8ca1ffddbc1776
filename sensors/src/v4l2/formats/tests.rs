use super::*;

fn choice(format: CameraFormat, fastest: Option<f64>) -> Choice {
    Choice { format, fourcc: *format.fourccs()[0], size: (1280, 720), fastest }
}

#[test]
fn the_first_preferred_format_that_is_fast_enough_is_chosen() {
    let choices = [choice(CameraFormat::Nv12, Some(30.0)), choice(CameraFormat::Yuyv, Some(60.0))];
    assert_eq!(choose(&choices, 30.0).unwrap().format, CameraFormat::Nv12);
    assert_eq!(choose(&choices, 60.0).unwrap().format, CameraFormat::Yuyv);
}

#[test]
fn a_usb_camera_with_slow_yuyv_is_read_as_mjpeg() {
    let choices = [choice(CameraFormat::Yuyv, Some(10.0)), choice(CameraFormat::Mjpeg, Some(29.97))];
    assert_eq!(choose(&choices, 30.0).unwrap().format, CameraFormat::Mjpeg);
}

#[test]
fn where_none_is_fast_enough_the_fastest_is_chosen_and_preference_decides_between_equals() {
    let choices = [
        choice(CameraFormat::Nv12, Some(10.0)),
        choice(CameraFormat::Yuyv, Some(25.0)),
        choice(CameraFormat::Uyvy, Some(25.0)),
    ];
    assert_eq!(choose(&choices, 30.0).unwrap().format, CameraFormat::Yuyv);
    assert_eq!(choose(&[], 30.0), None);
}

#[test]
fn a_rate_the_driver_does_not_state_counts_as_fast_enough() {
    let choices = [choice(CameraFormat::Nv12, None), choice(CameraFormat::Yuyv, Some(60.0))];
    assert_eq!(choose(&choices, 60.0).unwrap().format, CameraFormat::Nv12);
}

#[test]
fn only_offered_formats_are_wanted_in_order_of_preference() {
    let codes = [*b"YUYV", *b"H264", *b"NM12", *b"GREY"];
    let found = wanted(&codes, &CameraFormat::PREFERENCE);
    assert_eq!(
        found,
        [
            (CameraFormat::Nv12Planes, *b"NM12"),
            (CameraFormat::Yuyv, *b"YUYV"),
            (CameraFormat::Grey, *b"GREY")
        ]
    );
}

#[test]
fn a_wanted_size_must_be_offered_exactly() {
    let sizes = [SizeOffer::Exactly(640, 480), SizeOffer::Exactly(1920, 1080)];
    assert_eq!(fit(&sizes, Some((640, 480))), Some((640, 480)));
    assert_eq!(fit(&sizes, Some((1280, 720))), None);
    let range = [SizeOffer::Range { width: (16, 3840, 16), height: (16, 2160, 2) }];
    assert_eq!(fit(&range, Some((1280, 720))), Some((1280, 720)));
    assert_eq!(fit(&range, Some((1281, 720))), None);
    assert_eq!(fit(&[], Some((800, 600))), Some((800, 600)), "no list: the driver decides");
}

#[test]
fn without_a_wanted_size_the_largest_up_to_720p_is_taken_or_the_smallest_above() {
    let sizes = [SizeOffer::Exactly(640, 480), SizeOffer::Exactly(1280, 720), SizeOffer::Exactly(1920, 1080)];
    assert_eq!(fit(&sizes, None), Some((1280, 720)));
    assert_eq!(
        fit(&[SizeOffer::Exactly(3840, 2160), SizeOffer::Exactly(1920, 1080)], None),
        Some((1920, 1080))
    );
    assert_eq!(
        fit(&[SizeOffer::Range { width: (32, 1920, 32), height: (32, 1080, 16) }], None),
        Some((1280, 720))
    );
}

#[test]
fn a_driver_that_lists_nonsense_sizes_is_survived() {
    let odd = [SizeOffer::Range { width: (100, 10, 0), height: (0, 0, 0) }];
    assert_eq!(fit(&odd, Some((50, 50))), None);
    assert_eq!(fit(&odd, None), None);
}

#[test]
fn a_bayer_camera_is_refused_by_name_with_the_boards_own_advice() {
    let said = refusal("/dev/video0", "unicam", &[*b"RG10", *b"pRAA"], &CameraFormat::PREFERENCE).to_string();
    assert!(said.contains("raw Bayer (RG10, 10 bit)"), "{said}");
    assert!(said.contains("Raspberry Pi") && said.contains("libcamera"), "{said}");
    let said = refusal("/dev/video0", "something", &[*b"BA81"], &CameraFormat::PREFERENCE).to_string();
    assert!(said.contains("BA81, 8 bit") && said.contains("media-ctl"), "{said}");
}

#[test]
fn a_camera_with_other_formats_is_refused_with_what_it_offers_and_what_is_read() {
    let said = refusal("/dev/video2", "uvcvideo", &[*b"H264"], &[CameraFormat::Nv12]).to_string();
    assert!(said.contains("/dev/video2: it offers H264, expected one of NV12"), "{said}");
    assert!(said.contains("read here: NV12, NM12, YUYV, UYVY, MJPG, RGB3, BGR3, GREY"), "{said}");
    let said = refusal("/dev/video1", "uvcvideo", &[], &CameraFormat::PREFERENCE).to_string();
    assert!(said.contains("metadata"), "{said}");
}

#[test]
fn a_configured_bayer_format_is_refused_by_name_and_an_unknown_one_with_the_list() {
    let read = |text: &str| serde_json::from_str::<CameraFormat>(text);
    assert_eq!(read("\"yuyv\"").unwrap(), CameraFormat::Yuyv);
    assert_eq!(read("\"NM12\"").unwrap(), CameraFormat::Nv12Planes);
    assert_eq!(read("\"mjpeg\"").unwrap(), CameraFormat::Mjpeg);
    let said = read("\"RGGB\"").unwrap_err().to_string();
    assert!(said.contains("`RGGB` is raw Bayer (8 bit)") && said.contains("ISP"), "{said}");
    let said = read("\"H264\"").unwrap_err().to_string();
    assert!(said.contains("`H264` is not a format read here; expected one of NV12, NM12, YUYV"), "{said}");
    assert_eq!(serde_json::to_string(&CameraFormat::Mjpeg).unwrap(), "\"MJPG\"");
}

#[test]
fn colours_follow_the_kernels_defaults() {
    let granted = |colorspace, encoding, quantization| {
        colour(&Granted {
            fourcc: *b"YUYV",
            size: (2, 2),
            field: 1,
            colorspace,
            encoding,
            quantization,
            planes: 1,
            strides: [4, 0, 0, 0, 0, 0, 0, 0],
        })
    };
    let is = |matrix, range| Colour { matrix, range };
    assert_eq!(granted(0, 0, 0), is(Matrix::Bt601, Range::Limited), "nothing said");
    assert_eq!(granted(8, 0, 0), is(Matrix::Bt601, Range::Limited), "sRGB");
    assert_eq!(granted(3, 0, 0), is(Matrix::Bt709, Range::Limited), "Rec. 709");
    assert_eq!(granted(10, 0, 0), is(Matrix::Bt2020, Range::Limited), "BT.2020");
    assert_eq!(granted(7, 0, 0), is(Matrix::Bt601, Range::Full), "JPEG");
    assert_eq!(granted(8, 2, 1), is(Matrix::Bt709, Range::Full), "stated outright");
    assert_eq!(granted(7, 1, 2), is(Matrix::Bt601, Range::Limited), "stated against the default");
}
