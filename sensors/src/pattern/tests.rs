use super::*;
use crate::clock::HeldClock;

const FORMATS: [PixelFormat; 7] = [
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::I420,
    PixelFormat::Grey,
    PixelFormat::Rgb,
    PixelFormat::Bgr,
];

fn open(options: PatternOptions) -> (PatternSource, HeldClock) {
    let clock = HeldClock::default();
    (PatternSource::open(options, Arc::new(clock.clone())).unwrap(), clock)
}

fn frame(source: &mut PatternSource) -> Frame {
    match source.next(Duration::from_secs(10)).unwrap() {
        Event::Frame(frame) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_number_can_be_read_back_in_every_format_and_size() {
    for format in FORMATS {
        for size in [(64, 64), (1280, 720), (642, 358)] {
            let (mut source, _) = open(PatternOptions { format, size, ..PatternOptions::default() });
            for expected in 0..5 {
                assert_eq!(number(&frame(&mut source)), Some(expected), "{format:?} {size:?}");
            }
        }
    }
}

#[test]
fn the_bars_have_their_exact_values() {
    for format in FORMATS {
        let (mut source, _) = open(PatternOptions { format, size: (160, 80), ..PatternOptions::default() });
        let frame = frame(&mut source);
        for (index, bar) in Bar::ALL.into_iter().enumerate() {
            let (x, y) = (index * 20 + 10, 4);
            let [luma, u, v] = bar.yuv();
            let [r, g, b] = bar.rgb();
            let at = |plane: usize, offset: usize, row: usize, count: usize| {
                let plane = frame.plane(plane);
                plane.bytes[row * plane.stride + offset..][..count].to_vec()
            };
            match format {
                PixelFormat::Yuyv => assert_eq!(at(0, x * 2, y, 4), [luma, u, luma, v]),
                PixelFormat::Uyvy => assert_eq!(at(0, x * 2, y, 4), [u, luma, v, luma]),
                PixelFormat::Nv12 => {
                    assert_eq!((at(0, x, y, 1), at(1, x, y / 2, 2)), (vec![luma], vec![u, v]))
                }
                PixelFormat::I420 => {
                    assert_eq!(
                        (at(0, x, y, 1), at(1, x / 2, y / 2, 1), at(2, x / 2, y / 2, 1)),
                        (vec![luma], vec![u], vec![v])
                    );
                }
                PixelFormat::Grey => assert_eq!(at(0, x, y, 1), [bar.grey()]),
                PixelFormat::Rgb => assert_eq!(at(0, x * 3, y, 3), [r, g, b]),
                PixelFormat::Bgr => assert_eq!(at(0, x * 3, y, 3), [b, g, r]),
            }
        }
    }
}

#[test]
fn something_moves() {
    let (mut source, _) = open(PatternOptions { format: PixelFormat::Rgb, ..PatternOptions::default() });
    let middle = |frame: &Frame| {
        let plane = frame.plane(0);
        plane.bytes[360 * plane.stride..][..plane.row].to_vec()
    };
    let (first, second) = (frame(&mut source), frame(&mut source));
    assert!(middle(&first) != middle(&second), "the middle row stays the same");
}

#[test]
fn a_paced_pattern_is_a_live_source_that_drops_what_nobody_fetched() {
    let (mut source, clock) =
        open(PatternOptions { realtime: true, rate: 10.0, ..PatternOptions::default() });
    assert!(source.info().live);
    assert_eq!(frame(&mut source).meta().sequence, 0);
    assert!(matches!(source.next(Duration::from_millis(40)).unwrap(), Event::Nothing));
    assert_eq!(frame(&mut source).meta().sequence, 1);
    assert_eq!(clock.monotonic(), Monotonic::from_nanos(100_000_000));
    clock.advance(Duration::from_millis(450));
    let late = frame(&mut source);
    assert_eq!((late.meta().sequence, source.counters().dropped), (5, 3));
    assert_eq!(late.meta().captured, Monotonic::from_nanos(500_000_000));
}

#[test]
fn a_counted_pattern_ends() {
    let (mut source, _) = open(PatternOptions { frames: Some(2), ..PatternOptions::default() });
    assert!(!source.info().live);
    frame(&mut source);
    frame(&mut source);
    assert!(matches!(source.next(Duration::ZERO).unwrap(), Event::End));
}

#[test]
fn impossible_patterns_are_refused() {
    let refused = |size, rate| {
        let options = PatternOptions { size, rate, ..PatternOptions::default() };
        PatternSource::open(options, Arc::new(HeldClock::default())).err().unwrap().to_string()
    };
    assert!(refused((63, 64), 30.0).contains("63x64"));
    assert!(refused((65, 64), 30.0).contains("even"));
    assert!(refused((640, 480), f64::NAN).contains("NaN frames per second"));
}
