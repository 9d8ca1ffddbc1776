use super::*;

fn picture(size: (u32, u32), level: u8) -> RgbImage {
    RgbImage::from_fn(size.0, size.1, |x, y| {
        image::Rgb([level, u8::try_from(x % 256).unwrap_or(0), u8::try_from(y % 256).unwrap_or(0)])
    })
}

fn record(name: &str, sizes: &[(u32, u32)]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join(name);
    let mut video = create(&path, Duration::from_millis(40)).expect("begins");
    for (at, &size) in sizes.iter().enumerate() {
        let at = u32::try_from(at).expect("few");
        video.write(&picture(size, 200), Duration::from_millis(50) * at).expect("writes");
    }
    video.finish().expect("ends");
    std::fs::read(path).expect("reads")
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four")) as usize
}

#[test]
fn an_avi_holds_what_its_sizes_and_its_index_say() {
    let bytes = record("a.avi", &[(64, 48), (64, 48), (64, 48)]);
    assert_eq!((&bytes[0..4], word(&bytes, 4) + 8, &bytes[8..12]), (&b"RIFF"[..], bytes.len(), &b"AVI "[..]));
    assert_eq!(word(&bytes, 32), 50_000, "microseconds from frame to frame: the mean of the times given");
    assert_eq!(word(&bytes, 48), 3, "frames");
    let movi = 220;
    assert_eq!((&bytes[movi - 8..movi - 4], &bytes[movi..movi + 4]), (&b"LIST"[..], &b"movi"[..]));
    let index = movi + word(&bytes, movi - 4);
    assert_eq!((&bytes[index..index + 4], word(&bytes, index + 4)), (&b"idx1"[..], 3 * 16));
    for entry in bytes[index + 8..].chunks_exact(16) {
        let (at, length) = (movi + word(entry, 8), word(entry, 12));
        assert_eq!((&bytes[at..at + 4], word(&bytes, at + 4)), (&b"00dc"[..], length));
        let frame = image::load_from_memory(&bytes[at + 8..at + 8 + length]).expect("a JPEG").to_rgb8();
        assert_eq!(frame.dimensions(), (64, 48));
        assert!(frame.get_pixel(30, 20).0[0].abs_diff(200) < 12, "{:?}", frame.get_pixel(30, 20));
    }
}

#[test]
fn pictures_of_other_sizes_are_fitted_into_the_first() {
    let bytes = record("a.mjpeg", &[(64, 48), (200, 48), (10, 10)]);
    let starts: Vec<_> = (0..bytes.len() - 3).filter(|&at| bytes[at..at + 3] == [0xff, 0xd8, 0xff]).collect();
    assert_eq!(starts.len(), 3);
    for (number, &start) in starts.iter().enumerate() {
        let frame = image::load_from_memory(&bytes[start..]).expect("a JPEG").to_rgb8();
        assert_eq!(frame.dimensions(), (64, 48));
        assert_eq!(frame.get_pixel(32, 2).0[0] < 20, number > 0, "black beside what does not fill the frame");
    }
}

#[cfg(feature = "h264")]
#[test]
fn an_mp4_of_odd_size_begins_with_its_index_and_gets_its_name_only_when_finished() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("a.mp4");
    let mut video = create(&path, Duration::from_millis(40)).expect("begins");
    for at in [0, 40, 40, 20] {
        video.write(&picture((63, 47), 200), Duration::from_millis(at)).expect("writes");
    }
    assert!(!path.exists());
    video.finish().expect("ends");
    let bytes = std::fs::read(path).expect("reads");
    assert_eq!(
        (&bytes[4..8], &bytes[bytes[3] as usize + 4..bytes[3] as usize + 8]),
        (&b"ftyp"[..], &b"moov"[..])
    );
}

#[cfg(feature = "h264")]
#[test]
fn a_video_without_pictures_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let video = create(&folder.path().join("a.mp4"), Duration::ZERO).expect("begins");
    assert!(video.finish().expect_err("refused").to_string().contains("no picture came"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0);
}

#[test]
fn a_name_without_a_known_ending_is_refused_with_the_known_ones() {
    let error = create(Path::new("out.mkv"), Duration::ZERO).err().expect("refused").to_string();
    assert!(error.contains("out.mkv") && error.contains(".avi"), "{error}");
}
