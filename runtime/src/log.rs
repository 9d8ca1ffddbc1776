//! The log: to systemd's journal with its fields where standard error is that, else on standard error, one line per event; how
//! much it holds can change while the process runs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use stopline_journal::Journal;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, reload};

/// Whether the log goes to the journal.
static JOURNAL: AtomicBool = AtomicBool::new(false);
/// Changes how much the log holds; set by [`install`].
static CHANGE: OnceLock<Box<dyn Fn(&str) + Send + Sync>> = OnceLock::new();

/// Begins the log. `level` is that of the command line; `fixed`: it was asked for there, and a configuration does not
/// change it. `STOPLINE_LOG` is stronger than both.
pub fn install(level: &str, fixed: bool) {
    let asked = EnvFilter::try_from_env("STOPLINE_LOG").ok();
    let fixed = fixed || asked.is_some();
    let (filter, handle) = reload::Layer::new(asked.unwrap_or_else(|| level.into()));
    let lines = match Journal::connect("stopline") {
        Some(journal) => {
            JOURNAL.store(true, Ordering::Relaxed);
            journal.boxed()
        }
        None => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(stopline_journal::colours())
            .without_time()
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    if !fixed {
        // A second call would find the log begun and end above; there is none.
        let _ = CHANGE.set(Box::new(move |level| drop(handle.reload(EnvFilter::from(level)))));
    }
}

/// The `id` of an event for the journal's catalogue; nothing where the log is text, which says the same in words.
pub fn id(id: &str) -> Option<&str> {
    JOURNAL.load(Ordering::Relaxed).then_some(id)
}

/// Lets the log hold as much as the configuration says, unless command line or environment said otherwise.
pub fn set_level(level: &str) {
    if let Some(change) = CHANGE.get() {
        change(level);
    }
}
