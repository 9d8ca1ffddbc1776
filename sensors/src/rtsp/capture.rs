//! The capture thread: connect, receive, say what was lost, connect again.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use retina::client::SessionGroup;
use retina::codec::VideoFrame;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::config::{Address, RtspConfig, Transport};
use super::handover::Handover;
use super::login::Login;
use super::pictures::{Arrived, Decoded, Outcome, Pictures};
use super::session::{Coding, Failure, Playing, connect};
use crate::clock::{Clock, Monotonic};
use crate::frame::{BufferPool, Frame, FrameMeta, Stamp};
use crate::source::{SourceError, SourceInfo};

/// First and longest pause between attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long leaving may take: one TEARDOWN and its answer.
const FAREWELL: Duration = Duration::from_millis(300);

/// Answers [`open`](super::RtspSource::open) once.
type Opened = SyncSender<Result<SourceInfo, SourceError>>;

/// What the capture thread owns.
pub(super) struct Capture {
    config: RtspConfig,
    address: Address,
    clock: Arc<dyn Clock>,
    handover: Arc<Handover>,
    pool: BufferPool,
    name: Arc<str>,
    sequence: u64,
    /// Known with the first picture; until then nothing is handed over.
    info: Option<SourceInfo>,
    /// Said, and not yet taken back.
    lost: bool,
    pause: Duration,
    group: Arc<SessionGroup>,
}

/// One connection's state.
struct Connection {
    begun: Monotonic,
    /// When the last coded picture came.
    last: Monotonic,
    /// RTP time of the last coded picture, in seconds.
    last_time: Option<f64>,
    pictures: Pictures,
    /// A picture of this connection was decoded.
    seen: bool,
    rate: Rate,
    datagrams_of_jpeg: bool,
}

impl Capture {
    pub fn new(config: RtspConfig, address: Address, clock: Arc<dyn Clock>, handover: Arc<Handover>) -> Self {
        Self {
            name: config.name.as_str().into(),
            config,
            address,
            clock,
            handover,
            pool: BufferPool::default(),
            sequence: 0,
            info: None,
            lost: false,
            pause: PAUSES.0,
            group: Arc::default(),
        }
    }

    /// Runs until it is asked to stop or cannot go on. Answers `opened` with the first picture or the first error.
    pub fn run(mut self, opened: Opened) {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(cause) => {
                let what = self.address.shown.clone();
                let _ =
                    opened.send(Err(SourceError::Io { what, action: "start the network runtime", cause }));
                return;
            }
        };
        while self.one_connection(&runtime, &opened).is_continue() {}
        let _ = runtime.block_on(async { timeout(FAREWELL, self.group.await_teardown()).await });
        // Not waited for: a name look-up may still hang in the system's resolver.
        runtime.shutdown_background();
    }

    /// Connects, plays until the connection ends, and pauses.
    fn one_connection(&mut self, runtime: &Runtime, opened: &Opened) -> ControlFlow<()> {
        let handover = Arc::clone(&self.handover);
        let playing = AssertUnwindSafe(|| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = handover.stopped() => None,
                    failure = self.play(opened) => Some(failure),
                }
            })
        });
        // Foreign bytes go through the client; should one of them make it panic, the camera is lost and no more.
        let failure = match catch_unwind(playing) {
            Ok(Some(failure)) => failure,
            Ok(None) => return ControlFlow::Break(()),
            Err(_) => Failure { error: self.client_failed(), for_good: false },
        };
        if self.info.is_none() {
            let _ = opened.send(Err(failure.error));
            return ControlFlow::Break(());
        }
        if failure.for_good {
            tracing::error!(source = %self.name, error = %failure.error, "source stopped");
            self.handover.failed(failure.error);
            return ControlFlow::Break(());
        }
        self.say_lost(failure.error);
        self.rest(runtime)
    }

    fn rest(&mut self, runtime: &Runtime) -> ControlFlow<()> {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSES.1);
        match runtime.block_on(async { timeout(pause, self.handover.stopped()).await }) {
            Ok(()) => ControlFlow::Break(()),
            Err(_) => ControlFlow::Continue(()),
        }
    }

    /// Plays until something fails.
    async fn play(&mut self, opened: &Opened) -> Failure {
        let begun = self.clock.monotonic();
        let limit = self.config.start_timeout();
        let connected = match timeout(limit, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => return self.silent(begun, limit),
        };
        match connected {
            Ok((playing, connection)) => {
                let mut connection = Connection { begun, ..connection };
                let failure = self.receive(playing, &mut connection, opened).await;
                self.handover.dropped(if connection.seen { connection.pictures.held() } else { 0 });
                failure
            }
            Err(failure) => failure,
        }
    }

    async fn connect(&mut self) -> Result<(Playing, Connection), Failure> {
        let final_at_first = self.info.is_none();
        let login = self.config.credentials_file.as_deref().map(Login::read).transpose();
        let login = login.map_err(|error| Failure { error, for_good: final_at_first })?;
        self.group = Arc::default();
        let playing = connect(&self.address, login, self.config.transport, Arc::clone(&self.group)).await?;
        let pictures = Pictures::new(playing.coding, &self.address.shown, &self.pool)
            .map_err(|error| Failure { error, for_good: true })?;
        let now = self.clock.monotonic();
        let rate = Rate::new(playing.period);
        let datagrams_of_jpeg = self.config.transport == Transport::Udp && playing.coding == Coding::Jpeg;
        let connection = Connection {
            begun: now,
            last: now,
            last_time: None,
            pictures,
            seen: false,
            rate,
            datagrams_of_jpeg,
        };
        Ok((playing, connection))
    }

    async fn receive(
        &mut self,
        mut playing: Playing,
        connection: &mut Connection,
        opened: &Opened,
    ) -> Failure {
        loop {
            let (since, limit) = self.patience(connection);
            let left = limit.saturating_sub(self.clock.monotonic().since(since));
            match timeout(left, playing.picture()).await {
                Ok(Ok(frame)) => {
                    if let Err(failure) = self.take(frame, connection, opened) {
                        return failure;
                    }
                }
                Ok(Err(failure)) => return failure,
                Err(_) if connection.seen && !self.lost => {
                    let Failure { error, .. } = self.silent(since, limit);
                    self.say_lost(error);
                }
                Err(_) => return self.silent(since, limit),
            }
        }
    }

    /// From when on, and for how long, nothing may come.
    fn patience(&self, connection: &Connection) -> (Monotonic, Duration) {
        let no_frame_limit = || {
            let configured = self.config.no_frame_limit_ms.map(Duration::from_millis);
            configured.or(self.info.as_ref().map(SourceInfo::no_frame_limit)).unwrap_or_default()
        };
        match (connection.seen, self.lost) {
            (false, _) => (connection.begun, self.config.start_timeout()),
            (true, false) => (connection.last, no_frame_limit()),
            (true, true) => (connection.last, self.config.reconnect_after()),
        }
    }

    /// Decodes a coded picture and hands over what comes of it.
    fn take(
        &mut self,
        frame: VideoFrame,
        connection: &mut Connection,
        opened: &Opened,
    ) -> Result<(), Failure> {
        connection.last = self.clock.monotonic();
        let time = frame.timestamp().elapsed_secs();
        let step = connection.last_time.replace(time).map(|last| time - last);
        if connection.pictures.joins_before_key_frame(&frame) {
            return Ok(());
        }
        connection.rate.observe(step);
        let uncounted = self.count_missing(connection, frame.loss() > 0, step);
        let arrived = Arrived { sequence: self.sequence, captured: connection.last, wall: self.clock.wall() };
        self.sequence += 1;
        match connection.pictures.decode(frame, arrived) {
            Outcome::Decoded(decoded) => self.deliver(decoded, connection, opened)?,
            Outcome::Held => {}
            Outcome::Skipped { why, also } => {
                // The client does not always say that the end of a picture is missing; its successor shows it.
                if uncounted && connection.rate.skips(step) {
                    self.count_missing(connection, true, step);
                }
                self.skip(why, also, connection);
            }
            Outcome::Hopeless(error) => return Err(Failure { error, for_good: true }),
        }
        Ok(())
    }

    /// Counts pictures that never came whole, where there were any; says whether there were none.
    fn count_missing(&mut self, connection: &Connection, packets_lost: bool, step: Option<f64>) -> bool {
        // Of JPEG pictures the client reports no lost packets; only where packets can be lost is a gap in time a loss.
        let lost = packets_lost || (connection.datagrams_of_jpeg && connection.rate.skips(step));
        if !connection.seen || !lost {
            return true;
        }
        let missing = connection.rate.missing(step);
        self.sequence += missing;
        self.handover.dropped(missing);
        false
    }

    fn deliver(
        &mut self,
        decoded: Decoded,
        connection: &mut Connection,
        opened: &Opened,
    ) -> Result<(), Failure> {
        if self.info.is_none() {
            let Some(period) = connection.rate.period() else { return Ok(()) };
            let info = self.describe(decoded.size, period);
            let _ = opened.send(Ok(info.clone()));
            self.info = Some(info);
        }
        let frame = self.frame(decoded).map_err(|error| Failure { error, for_good: true })?;
        connection.seen = true;
        self.pause = PAUSES.0;
        if std::mem::take(&mut self.lost) {
            tracing::info!(source = %self.name, "source restored");
            self.handover.restored();
        }
        self.handover.frame(frame);
        Ok(())
    }

    fn skip(&mut self, why: SourceError, also: u64, connection: &Connection) {
        // Nobody fetches between Lost and Restored, and nobody knows the source before its first picture.
        if self.lost || !connection.seen {
            self.handover.dropped(if self.info.is_some() { also + 1 } else { 0 });
        } else {
            self.handover.dropped(also);
            self.handover.skipped(why);
        }
    }

    fn describe(&self, size: (u32, u32), period: Duration) -> SourceInfo {
        SourceInfo {
            name: Arc::clone(&self.name),
            kind: "rtsp",
            live: true,
            size,
            period: Some(period),
            frames: None,
            duration: None,
            device: None,
        }
    }

    fn frame(&self, decoded: Decoded) -> Result<Frame, SourceError> {
        let Decoded { arrived, format, colour, size, buffer, copies } = decoded;
        let meta = FrameMeta {
            source: Arc::clone(&self.name),
            sequence: arrived.sequence,
            captured: arrived.captured,
            stamp: Stamp::Arrival,
            wall: arrived.wall,
            position: None,
            path: None,
            copies,
        };
        Frame::packed(meta, format, colour, size, buffer)
            .map_err(|cause| SourceError::Frame { what: self.address.shown.clone(), cause })
    }

    fn say_lost(&mut self, error: SourceError) {
        if std::mem::replace(&mut self.lost, true) {
            tracing::debug!(source = %self.name, %error, "still lost");
            return;
        }
        tracing::warn!(source = %self.name, %error, "source lost");
        self.handover.lost(error);
    }

    fn silent(&self, since: Monotonic, limit: Duration) -> Failure {
        let waited = self.clock.monotonic().since(since);
        Failure {
            error: SourceError::Silent { what: self.address.shown.clone(), waited, limit },
            for_good: false,
        }
    }

    fn client_failed(&self) -> SourceError {
        SourceError::Malformed {
            what: self.address.shown.clone(),
            problem: "the RTSP client stopped on something the server sent".into(),
            advice: "it connects again; if this repeats, report it with the camera's model and firmware"
                .into(),
        }
    }
}

/// How fast pictures come: as the server states it, else as the RTP times of the first pictures show it.
struct Rate {
    period: Option<Duration>,
    steps: Vec<f64>,
}

impl Rate {
    /// How many steps are looked at; the median of an odd number is one of them.
    const STEPS: usize = 3;
    /// What is taken for a step: 1 ms to 1 min. RTP times may jump or stand.
    const SENSIBLE: std::ops::RangeInclusive<f64> = 0.001..=60.0;

    fn new(stated: Option<Duration>) -> Self {
        Self { period: stated, steps: Vec::new() }
    }

    fn observe(&mut self, step: Option<f64>) {
        let Some(step) = step.filter(|step| Self::SENSIBLE.contains(step)) else { return };
        if self.period.is_some() {
            return;
        }
        self.steps.push(step);
        if self.steps.len() == Self::STEPS {
            self.steps.sort_by(f64::total_cmp);
            self.period = Some(Duration::from_secs_f64(self.steps[Self::STEPS / 2]));
        }
    }

    fn period(&self) -> Option<Duration> {
        self.period
    }

    /// Whether `step` is so long that a picture is missing in it.
    fn skips(&self, step: Option<f64>) -> bool {
        self.period.zip(step).is_some_and(|(period, step)| step > 1.75 * period.as_secs_f64())
    }

    /// How many pictures were lost where packets were, `step` after the last picture: at least a part of one.
    fn missing(&self, step: Option<f64>) -> u64 {
        let (Some(period), Some(step)) = (self.period, step.filter(|step| Self::SENSIBLE.contains(step)))
        else {
            return 1;
        };
        let pictures = (step / period.as_secs_f64()).round().clamp(2.0, 1000.0);
        pictures as u64 - 1
    }
}
