//! A film shown to a camera node that programs read, in real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use v4l::video::Output;

use crate::film::{Film, Form, RATE, Reel, SIZE};
use crate::mjpeg::LOOPBACK;
use crate::rig::{ensure, pause};

/// What else goes on while a film is shown, every 20 ms: told the second of the recording.
pub type Beside = Box<dyn FnMut(f64) -> Result<(), String> + Send>;

/// When each picture was shown, as its second of the recording.
pub type Shown = Vec<(Monotonic, f64)>;

/// Of which second of the recording the newest picture was.
pub fn second(shown: &Shown, at: Monotonic) -> Option<f64> {
    shown.iter().rev().find(|(then, _)| *then <= at).map(|(_, second)| *second)
}

/// The world: pictures into the camera, and what goes on beside.
pub struct Scene {
    go: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Shown, String>>,
}

impl Scene {
    /// Shows the still part of a reel to and fro.
    pub fn start(reel: &'static Reel, form: Form, beside: Beside) -> Result<Self, String> {
        let film = Film::read(reel, form)?;
        let mut code = [0; 4];
        code.copy_from_slice(form.code().as_bytes());
        let device = v4l::Device::with_path(LOOPBACK).map_err(|error| format!("camera: {error}"))?;
        let format = v4l::Format::new(SIZE.0, SIZE.1, v4l::FourCC::new(&code));
        let taken = Output::set_format(&device, &format).map_err(|error| format!("camera: {error}"))?;
        ensure(taken.fourcc == format.fourcc && (taken.width, taken.height) == SIZE, || {
            format!("camera: {taken:?}")
        })?;
        let (go, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut running =
            Running { film, device, beside, go: Arc::clone(&go), over: Arc::clone(&over), shown: Vec::new() };
        let thread = std::thread::Builder::new().name("scene".into()).spawn(move || {
            let result = running.play();
            running.over.store(true, Ordering::SeqCst);
            result.map(|()| running.shown)
        });
        // The node can be read only once something was written.
        pause(Duration::from_millis(200));
        Ok(Self { go, over, thread: thread.map_err(|error| error.to_string())? })
    }

    /// Lets the film go on to its end, and does `meanwhile` every 5 ms until then.
    pub fn go_on(&self, mut meanwhile: impl FnMut() -> Result<(), String>) -> Result<(), String> {
        self.go.store(true, Ordering::SeqCst);
        while !self.over.load(Ordering::SeqCst) {
            meanwhile()?;
            pause(Duration::from_millis(5));
        }
        Ok(())
    }

    /// What was shown, and when.
    pub fn end(self) -> Result<Shown, String> {
        self.go.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| "the scene panicked".to_owned())?
    }
}

struct Running {
    film: Film,
    device: v4l::Device,
    beside: Beside,
    go: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    shown: Shown,
}

impl Running {
    /// The still part to and fro until it goes on, then the rest. A tick is that of the bus: 20 ms.
    fn play(&mut self) -> Result<(), String> {
        let begun = SystemClock.monotonic();
        let (mut number, mut back, mut count) = (0, false, 0_u32);
        for tick in 0_u32.. {
            (self.beside)(self.film.reel.position(number))?;
            let passed = Duration::from_millis(20) * tick;
            if passed >= Duration::from_secs(1) / RATE * count {
                count += 1;
                (number, back) = self.next(number, back);
                if number == self.film.frames.len() {
                    return Ok(());
                }
                self.show(number)?;
            }
            let due = begun.plus(passed + Duration::from_millis(20));
            pause(due.since(SystemClock.monotonic()));
        }
        Ok(())
    }

    fn next(&self, number: usize, back: bool) -> (usize, bool) {
        if back && number > 0 {
            return (number - 1, true);
        }
        let goes_on = self.go.load(Ordering::SeqCst) || number < self.film.still;
        if goes_on { (number + 1, false) } else { (number - 1, true) }
    }

    fn show(&mut self, number: usize) -> Result<(), String> {
        use std::io::Write as _;
        self.shown.push((SystemClock.monotonic(), self.film.reel.position(number)));
        let bytes = &self.film.frames[number];
        self.device.write_all(bytes).map_err(|error| format!("camera: picture {number}: {error}"))
    }
}
