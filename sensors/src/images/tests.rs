use image::{ExtendedColorType, ImageEncoder};

use super::*;
use crate::clock::HeldClock;
use crate::frame::PixelFormat;

fn png(file: &Path, pixels: &[u8], size: (u32, u32), colours: ExtendedColorType) {
    let encoder = image::codecs::png::PngEncoder::new(std::fs::File::create(file).unwrap());
    encoder.write_image(pixels, size.0, size.1, colours).unwrap();
}

/// A JPEG, left half black and right half white, with an EXIF orientation.
fn jpeg(file: &Path, orientation: u8) {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 95);
    let tiff =
        [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0, 0]];
    encoder.add_app_segment(1, [b"Exif\0\0".as_slice(), &tiff.concat()].concat()).unwrap();
    let pixels: Vec<u8> = (0..32 * 16).flat_map(|n| [if n % 32 < 16 { 0 } else { 255 }; 3]).collect();
    encoder.encode(&pixels, 32, 16, jpeg_encoder::ColorType::Rgb).unwrap();
    std::fs::write(file, bytes).unwrap();
}

fn open(spec: &Path) -> Result<ImageSource, SourceError> {
    ImageSource::open(spec, ImageOptions::default(), Arc::new(HeldClock::default()))
}

fn frame(source: &mut ImageSource) -> Frame {
    match source.next(Duration::ZERO).unwrap() {
        Event::Frame(frame) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_is_read_in_natural_order_and_its_other_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [("f10.png", 10), ("f2.png", 2), ("f1.png", 1)] {
        png(&folder.path().join(name), &[value; 3], (1, 1), ExtendedColorType::Rgb8);
    }
    std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
    std::fs::create_dir(folder.path().join("deeper.png")).unwrap();
    let mut source = open(folder.path()).unwrap();
    assert_eq!(source.info().frames, Some(3));
    for value in [1, 2, 10] {
        assert_eq!(frame(&mut source).plane(0).bytes, [value; 3]);
    }
    assert!(matches!(source.next(Duration::ZERO).unwrap(), Event::End));
    let mut source = open(&folder.path().join("f?.png")).unwrap();
    assert_eq!(source.info().frames, Some(2));
    let first = frame(&mut source);
    assert_eq!(first.meta().path.as_deref(), Some(&*folder.path().join("f1.png")));
}

#[test]
fn a_turned_photograph_stands_upright() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("turned.jpg");
    // Orientation 6: shown after a quarter turn clockwise, so that the left side is on top.
    jpeg(&file, 6);
    let mut source = open(&file).unwrap();
    assert_eq!(source.info().size, (16, 32));
    let frame = frame(&mut source);
    let plane = frame.plane(0);
    assert_eq!((frame.width(), frame.height(), frame.meta().copies), (16, 32, 1));
    assert!(plane.bytes[..16 * 3 * 15].iter().all(|value| *value < 20), "dark on top");
    assert!(plane.bytes[16 * 3 * 17..].iter().all(|value| *value > 235), "bright below");
}

#[test]
fn transparency_is_dropped_and_sixteen_bits_become_eight() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.png");
    let read = |format, bytes: &[u8]| {
        let picture = super::read(&file, &BufferPool::default()).unwrap();
        assert_eq!((picture.format, &picture.buffer[..], picture.size), (format, bytes, (2, 1)));
        picture.copies
    };
    png(&file, &[1, 2, 3, 0, 4, 5, 6, 128], (2, 1), ExtendedColorType::Rgba8);
    assert_eq!(read(PixelFormat::Rgb, &[1, 2, 3, 4, 5, 6]), 1);
    png(&file, &[7, 0, 8, 255], (2, 1), ExtendedColorType::La8);
    assert_eq!(read(PixelFormat::Grey, &[7, 8]), 1);
    let deep: Vec<u8> = [0x1234u16, 0xff80].into_iter().flat_map(u16::to_ne_bytes).collect();
    png(&file, &deep, (2, 1), ExtendedColorType::L16);
    assert_eq!(read(PixelFormat::Grey, &[0x12, 0xff]), 1);
    png(&file, &[9, 8], (2, 1), ExtendedColorType::L8);
    assert_eq!(read(PixelFormat::Grey, &[9, 8]), 0);
}

#[test]
fn an_unreadable_picture_among_others_is_skipped_by_name_and_alone_it_is_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("a.png"), folder.path().join("b.png"));
    png(&good, &[1; 3], (1, 1), ExtendedColorType::Rgb8);
    std::fs::write(&bad, &std::fs::read(&good).unwrap()[..40]).unwrap();
    let mut source = open(folder.path()).unwrap();
    frame(&mut source);
    let Event::Skipped(error) = source.next(Duration::ZERO).unwrap() else { panic!("not skipped") };
    assert!(error.to_string().contains("b.png"));
    assert_eq!(source.counters(), Counters { delivered: 1, skipped: 1, ..Counters::default() });
    let alone = open(&bad).and_then(|mut source| source.next(Duration::ZERO).map(|_| ()));
    assert!(alone.err().unwrap().to_string().contains("b.png"));
}

#[test]
fn nothing_to_read_is_refused_with_the_place_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(open(folder.path()).err().unwrap().to_string().contains("no picture there"));
    assert!(open(&folder.path().join("*.png")).err().unwrap().to_string().contains("no picture there"));
    assert!(open(&folder.path().join("absent.png")).err().unwrap().to_string().contains("absent.png"));
}

#[test]
fn a_png_that_lies_about_its_size_is_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("liar.png");
    png(&file, &[1; 3], (1, 1), ExtendedColorType::Rgb8);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[16..24].copy_from_slice(&[0, 0, 0x30, 0, 0, 0, 0x20, 0]);
    // The header's checksum is made right, so that only the size is wrong.
    let mut crc = !0u32;
    for byte in &bytes[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    std::fs::write(&file, bytes).unwrap();
    let refusal = open(&file).err().unwrap().to_string();
    assert!(refusal.contains("12288x8192"), "{refusal}");
}
