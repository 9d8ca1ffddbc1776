//! Every other kind of recording: `ffmpeg`, where it is on PATH, as a child process.
//!
//! It writes planes as YUV4MPEG2 to its standard output, at the recording's own frames (none doubled, none left out),
//! and says each frame's time on its standard error (filter `showinfo`). It is told to open nothing but the local file
//! (`-protocol_whitelist file`, and `file:` before the path, so that no name is taken for an option or an address),
//! may not read our input, and is killed when the recording is dropped. It turns pictures upright by itself.

use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::reader::{Facts, Picture, Read, Reader};
use super::y4m::Y4m;
use crate::frame::{BufferPool, Matrix};
use crate::source::SourceError;

mod talk;

use talk::{Said, Talk};

/// What to do where a recording cannot be read without `ffmpeg`.
pub(super) const ADVICE: &str =
    "install ffmpeg (Debian: `apt-get install ffmpeg`), or convert it to MP4 with progressive 8-bit H.264";

/// How long the child may say nothing before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads a recording through a child process.
pub(super) struct Ffmpeg {
    what: String,
    program: PathBuf,
    path: PathBuf,
    facts: Facts,
    running: Running,
    /// What the child was told to leave out at the start.
    from: Duration,
    /// The first frame's time by the file, so that positions begin at zero.
    origin: Option<Duration>,
    last: Duration,
    ended: bool,
}

struct Running {
    child: Child,
    frames: Y4m<BufReader<Patient>>,
    said: Receiver<Said>,
    /// What was said of the first frame.
    first: Option<Said>,
    talk: std::sync::Arc<std::sync::Mutex<Talk>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where the child has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ffmpeg` (or the program named) on PATH.
pub(super) fn find(program: Option<&Path>) -> Option<PathBuf> {
    let program = program.unwrap_or(Path::new("ffmpeg"));
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_path_buf());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

impl Ffmpeg {
    /// Starts the child and waits for what it says of the recording.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] with the child's own words where it cannot read the file.
    pub(super) fn new(what: &str, program: PathBuf, path: &Path) -> Result<Self, SourceError> {
        let (running, duration) = start(what, &program, path, Duration::ZERO)?;
        let header = running.frames.header();
        let facts = Facts { size: header.size, duration, ..running.frames.facts_of_header() };
        Ok(Self {
            what: what.to_owned(),
            program,
            path: path.to_path_buf(),
            facts,
            running,
            from: Duration::ZERO,
            origin: None,
            last: Duration::ZERO,
            ended: false,
        })
    }

    /// The time and matrix of the frame that was just read.
    fn said(&mut self) -> Result<Said, SourceError> {
        if let Some(first) = self.running.first.take() {
            return Ok(first);
        }
        match self.running.said.recv_timeout(PATIENCE) {
            Ok(said) => Ok(said),
            Err(RecvTimeoutError::Timeout) => Err(self.failed("it gave a frame without its time")),
            Err(RecvTimeoutError::Disconnected) => Err(self.failed("it stopped telling the frames' times")),
        }
    }

    fn failed(&self, problem: &str) -> SourceError {
        failed(&self.what, problem, &self.running.talk)
    }
}

impl Reader for Ffmpeg {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&mut self, pool: &BufferPool) -> Result<Read, SourceError> {
        if self.ended {
            return Ok(Read::End);
        }
        let picture = match self.running.frames.next_picture(pool) {
            Ok(Read::Picture(picture)) => picture,
            Ok(Read::End) => {
                self.ended = true;
                let status = self.running.child.wait();
                return match status {
                    Ok(status) if status.success() => Ok(Read::End),
                    Ok(status) => Err(self.failed(&format!("it ended with {status}"))),
                    Err(cause) => {
                        Err(SourceError::Io { what: self.what.clone(), action: "wait for ffmpeg", cause })
                    }
                };
            }
            Ok(Read::Skipped(_)) | Err(_) => {
                self.ended = true;
                return Err(self.failed("it stopped in the middle of a frame"));
            }
        };
        let said = self.said()?;
        let time = self.from + said.time.unwrap_or(self.last);
        let origin = *self.origin.get_or_insert(time);
        self.last = time;
        let mut colour = picture.colour;
        colour.matrix = said.matrix.unwrap_or(Matrix::Bt601);
        // The one copy is the pipe's.
        Ok(Read::Picture(Picture { position: time.saturating_sub(origin), colour, copies: 1, ..picture }))
    }

    fn seek(&mut self, position: Duration) -> Result<(), SourceError> {
        let (running, _) = start(&self.what, &self.program, &self.path, position)?;
        self.running = running;
        (self.from, self.last, self.ended) = (position, Duration::ZERO, false);
        self.origin = Some(Duration::ZERO);
        Ok(())
    }
}

fn start(
    what: &str,
    program: &Path,
    path: &Path,
    from: Duration,
) -> Result<(Running, Option<Duration>), SourceError> {
    match spawn(what, program, path, from, "-fps_mode") {
        // Before 5.1 the option had another name.
        Err(error) if error.to_string().contains("fps_mode") => spawn(what, program, path, from, "-vsync"),
        other => other,
    }
}

fn spawn(
    what: &str,
    program: &Path,
    path: &Path,
    from: Duration,
    rate_option: &str,
) -> Result<(Running, Option<Duration>), SourceError> {
    let mut input = OsString::from("file:");
    input.push(path);
    let mut command = Command::new(program);
    command.args([
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-loglevel",
        "info",
        "-protocol_whitelist",
        "file",
    ]);
    if !from.is_zero() {
        command.arg("-ss").arg(format!("{:.6}", from.as_secs_f64()));
    }
    command.arg("-i").arg(input);
    command.args([
        "-map",
        "0:v:0",
        "-an",
        "-sn",
        "-dn",
        "-vf",
        "showinfo=checksum=0",
        rate_option,
        "passthrough",
    ]);
    command.args(["-pix_fmt", "yuv420p", "-strict", "-1", "-f", "yuv4mpegpipe", "-"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("AV_LOG_FORCE_NOCOLOR", "1");
    let mut child = command.spawn().map_err(|cause| SourceError::Io {
        what: program.display().to_string(),
        action: "start",
        cause,
    })?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        unreachable!("both were asked for as pipes");
    };
    let (said, talk) = talk::listen(stderr);
    let frames = Y4m::new(what, BufReader::with_capacity(1 << 16, Patient(stdout)), None);
    match frames {
        Ok(frames) => {
            // Said before the first frame is written, and so is the recording's length.
            let first = said.recv_timeout(PATIENCE).ok();
            let duration = talk::duration(&talk);
            Ok((Running { child, frames, said, first, talk }, duration))
        }
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            // Its last words come through another pipe, which ends with it.
            while said.recv_timeout(PATIENCE).is_ok() {}
            Err(failed(what, "it gave no video", &talk))
        }
    }
}

fn failed(what: &str, problem: &str, talk: &std::sync::Mutex<Talk>) -> SourceError {
    SourceError::Unsupported {
        what: what.to_owned(),
        problem: format!("ffmpeg cannot read it: {problem} ({})", talk::last_words(talk)),
        advice: "check that the file is a whole recording with a video track".to_owned(),
    }
}

/// The child's output; an error instead of an endless wait where it says nothing.
struct Patient(ChildStdout);

impl std::io::Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        loop {
            let mut waiting = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut waiting, Some(&limit)) {
                Ok(0) => {
                    return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "ffmpeg says nothing"));
                }
                Ok(_) => return self.0.read(bytes),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
