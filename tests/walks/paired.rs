//! Whether something costs the model that decides a frame: counted while it goes on, and beside it, on the same daemon
//! right before and right after, while nothing does.
//!
//! The bound is never loosened: frame numbers without a gap, and no more than two periods from one decision to the next. A
//! machine that others use breaks it without our doing, so an attempt in which it was broken says something only where the
//! machine was quiet: neither paired run broke it, no more than [`MOST_STOLEN`] of its time went to other machines and no
//! more than [`MOST_OTHERS`] to other processes. One that is broken on a quiet machine must be outweighed by two that hold. Where nothing was learned the test is skipped,
//! and the run counts that.

use std::io::BufReader;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, setpriority_process};
use stopline_depot::stream::{Message, Messages};
use stopline_tests::daemon::{Bench, Daemon, RATE, connect};
use stopline_tests::skip;

/// Attempts until it is given up.
const MOST_ATTEMPTS: usize = 5;
/// Frames of a paired run.
const PAIRED: usize = 150;
/// Frames that are looked at after the story.
const AFTERWARDS: usize = 30;
/// Share of the machine's time that its host gave to others, above which nothing is learned.
const MOST_STOLEN: f64 = 0.02;
/// Share of the machine's time that went to processes that are neither the daemon nor its children nor this test, above
/// which nothing is learned.
const MOST_OTHERS: f64 = 0.1;
/// How long a record may be waited for.
const LONG: Duration = Duration::from_secs(120);
/// Before what else runs here, as a vehicle's unit file has it. Not everybody may.
const PRIORITY: i32 = -10;

/// A frame that was decided on.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its number.
    pub frame: u64,
    /// Capture time, nanoseconds.
    pub captured: u64,
    /// Version of the model that looked.
    pub version: String,
}

/// How well a span of frames was kept.
#[derive(Clone, Copy)]
struct Kept {
    frames: usize,
    longest: Duration,
    missing: u64,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { frames, longest, missing } = self;
        write!(f, "{missing} of {frames} missing, at most {:.1} ms apart", longest.as_secs_f64() * 1e3)
    }
}

impl Kept {
    fn of(seen: &[Seen]) -> Self {
        let pairs = || seen.windows(2);
        let longest = pairs().map(|pair| pair[1].captured - pair[0].captured).max().unwrap_or_default();
        let missing = pairs().map(|pair| pair[1].frame.saturating_sub(pair[0].frame).saturating_sub(1)).sum();
        Self { frames: seen.len(), longest: Duration::from_nanos(longest), missing }
    }

    fn holds(&self) -> bool {
        self.missing == 0 && self.longest <= 2 * Duration::from_secs(1) / RATE as u32
    }
}

/// One attempt.
pub struct Attempt {
    /// The frames while it went on.
    pub seen: Vec<Seen>,
    before: Kept,
    during: Kept,
    after: Kept,
    stolen: f64,
    others: f64,
}

impl Attempt {
    /// Counts while `story` goes on, and before and after it.
    pub fn new<'a>(bench: &Bench, daemon: &mut Daemon<'a>, story: impl FnOnce(&mut Daemon<'a>)) -> Self {
        go_before_others(daemon.pid());
        let times = Times::read(daemon.pid());
        let before = read(bench, |seen| seen.len() >= PAIRED);
        let seen = while_it_goes_on(bench, || story(daemon));
        let after = read(bench, |seen| seen.len() >= PAIRED);
        let (stolen, others) = times.shares_until(&Times::read(daemon.pid()));
        Self {
            before: Kept::of(&before),
            during: Kept::of(&seen),
            after: Kept::of(&after),
            stolen,
            others,
            seen,
        }
    }

    fn is_quiet(&self) -> bool {
        let free = self.stolen <= MOST_STOLEN && self.others <= MOST_OTHERS;
        self.before.holds() && self.after.holds() && free
    }
}

/// Attempts until it is known whether the bound holds.
pub fn strictly(what: &str, mut attempt: impl FnMut() -> Attempt) {
    let (mut held, mut broken) = (0, 0);
    for number in 1..=MOST_ATTEMPTS {
        let attempt = attempt();
        let Attempt { before, during, after, stolen, others, .. } = &attempt;
        let quiet = attempt.is_quiet();
        println!(
            "{what}, attempt {number}: {during}; paired before: {before}; after: {after}; quiet {quiet}, stolen {:.1} %, others {:.1} %",
            stolen * 100.0,
            others * 100.0
        );
        match during.holds() {
            true => held += 1,
            false if quiet => broken += 1,
            false => {}
        }
        if held > broken {
            return;
        }
    }
    assert!(broken == 0, "{what}: broken {broken} times on a quiet machine, held {held} times");
    let _: Option<()> = skip(&format!("{what}: too much else runs on this machine to count frames"));
}

/// The frames that the stream tells of until `enough` says so.
fn read(bench: &Bench, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
    let stream = connect(bench);
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut messages = Messages::new(BufReader::new(stream));
    let (mut jpeg, mut seen) = (Vec::new(), Vec::new());
    while !enough(&seen) {
        match messages.next(&mut jpeg).unwrap() {
            Some(Message::Record(record)) => seen.push(Seen {
                frame: record.frame,
                captured: record.captured_ns,
                version: record.model.version.to_string(),
            }),
            Some(_) => {}
            None => panic!("the stream ended after {} records", seen.len()),
        }
    }
    seen
}

/// The frames from before `story` begins until some after its end.
fn while_it_goes_on(bench: &Bench, story: impl FnOnce()) -> Vec<Seen> {
    /// Also where the story fails: the thread that reads must end.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let (over, begun) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let last = std::cell::Cell::new(None);
            read(bench, |seen| {
                begun.store(!seen.is_empty(), Ordering::Release);
                if over.load(Ordering::Acquire) && last.get().is_none() {
                    last.set(Some(seen.len() + AFTERWARDS));
                }
                last.get().is_some_and(|last| seen.len() >= last)
            })
        });
        let end = Over(&over);
        while !begun.load(Ordering::Acquire) && !reader.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        story();
        drop(end);
        reader.join().expect("the stream was read")
    })
}

/// Gives every thread of the process its turn first. Threads and children that it starts later inherit that, and the
/// runtime lets those that may wait stand back by themselves.
fn go_before_others(process: Pid) {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).unwrap().flatten();
    let threads = tasks.filter_map(|task| Pid::from_raw(task.file_name().to_str()?.parse().ok()?));
    let refused = threads.filter(|thread| setpriority_process(Some(*thread), PRIORITY).is_err()).count();
    if refused > 0 {
        println!("{refused} threads stay among the others: no right to another priority");
    }
}

/// What the machine did with its time, in ticks of all processors.
struct Times {
    all: u64,
    stolen: u64,
    busy: u64,
    /// Of it, the daemon, its ended children, and this process.
    own: u64,
}

impl Times {
    /// `cpu user nice system idle iowait irq softirq steal …` of /proc/stat; guest time is within user time.
    fn read(daemon: Pid) -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> =
            line.split_whitespace().skip(1).take(8).filter_map(|one| one.parse().ok()).collect();
        let tick = |at: usize| ticks.get(at).copied().unwrap_or_default();
        let own = of_process(&daemon.as_raw_nonzero().to_string()) + of_process("self");
        Self {
            all: ticks.iter().sum(),
            stolen: tick(7),
            busy: tick(0) + tick(1) + tick(2) + tick(5) + tick(6),
            own,
        }
    }

    /// The shares that other machines and other processes had.
    #[allow(clippy::cast_precision_loss, reason = "shares")]
    fn shares_until(&self, now: &Self) -> (f64, f64) {
        let all = now.all.saturating_sub(self.all).max(1) as f64;
        let others = now.busy.saturating_sub(self.busy).saturating_sub(now.own.saturating_sub(self.own));
        (now.stolen.saturating_sub(self.stolen) as f64 / all, others as f64 / all)
    }
}

/// User and system time of a process and of its children that were waited for (fields 14 to 17 of its `stat`).
fn of_process(process: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(4).filter_map(|one| one.parse::<u64>().ok()).sum()
}
