use super::*;
use crate::clock::HeldClock;
use crate::source::Event;

fn opened(spec: &str, options: &OpenOptions) -> Result<Box<dyn FrameSource>, SourceError> {
    open(spec, options, Arc::new(HeldClock::default()))
}

fn refusal(spec: &str, options: &OpenOptions) -> String {
    match opened(spec, options) {
        Ok(source) => panic!("opened as {:?}", source.info()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn content_tells_the_kind_and_the_name_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("clip.jpg"), b"YUV4MPEG2 W4 H2\nFRAME\n\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    assert_eq!(opened(&path("clip.jpg"), &OpenOptions::default()).unwrap().info().kind, "clip");
    let mut picture = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut picture, 90);
    encoder.encode(&[0; 64], 8, 8, jpeg_encoder::ColorType::Luma).unwrap();
    std::fs::write(path("picture.mp4"), picture).unwrap();
    let mut source = opened(&path("picture.mp4"), &OpenOptions::default()).unwrap();
    assert_eq!(source.info().kind, "images");
    assert!(matches!(source.next(Duration::ZERO).unwrap(), Event::Frame(_)));
    let glob = opened(&path("*.mp4"), &OpenOptions::default()).unwrap();
    assert_eq!((glob.info().kind, glob.info().frames), ("images", Some(1)));
}

#[test]
fn a_pattern_is_described_in_one_word() {
    let options = OpenOptions { name: Some("bars".into()), ..OpenOptions::default() };
    let source = opened("pattern:640x480@25,nv12", &options).unwrap();
    assert_eq!((source.info().size, &*source.info().name), ((640, 480), "bars"));
    assert_eq!(source.info().period, Some(Duration::from_millis(40)));
    assert_eq!(opened("pattern:", &OpenOptions::default()).unwrap().info().size, (1280, 720));
    assert!(refusal("pattern:640", &OpenOptions::default()).contains("pattern:1280x720@30,i420"));
    assert!(refusal("pattern:,rgba", &OpenOptions::default()).contains("yuyv"));
}

#[test]
fn options_that_do_not_concern_a_source_are_refused_by_name() {
    let from = OpenOptions { from: Some(Duration::from_secs(1)), ..OpenOptions::default() };
    assert!(refusal("pattern:", &from).contains("`from`"));
    assert!(refusal("rtsp://user:secret@host/", &from).contains("`from`"));
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(&folder.path().display().to_string(), &from).contains("`from`"));
}

#[test]
fn other_addresses_are_refused_without_repeating_them() {
    let refusal = refusal("https://user:secret@host/clip.mp4", &OpenOptions::default());
    assert!(refusal.contains("https://") && !refusal.contains("secret"), "{refusal}");
}

#[test]
fn a_path_that_is_not_there_is_named() {
    assert!(refusal("/nonexistent/clip.mp4", &OpenOptions::default()).contains("/nonexistent/clip.mp4"));
}
