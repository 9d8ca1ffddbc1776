//! The log: on stderr, one line per event; how much it holds can change while the process runs.

use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

/// Changes how much the log holds; set by [`install`].
static CHANGE: OnceLock<Box<dyn Fn(&str) + Send + Sync>> = OnceLock::new();

/// Begins the log. `level` is that of the command line; `fixed`: it was asked for there, and a configuration does not
/// change it. `STOPLINE_LOG` is stronger than both.
pub fn install(level: &str, fixed: bool) {
    let asked = EnvFilter::try_from_env("STOPLINE_LOG").ok();
    let fixed = fixed || asked.is_some();
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(asked.unwrap_or_else(|| level.into()))
        .without_time()
        .with_target(false)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    if !fixed {
        // A second call would find the log begun and end above; there is none.
        let _ = CHANGE.set(Box::new(move |level| drop(handle.reload(EnvFilter::from(level)))));
    }
}

/// Lets the log hold as much as the configuration says, unless command line or environment said otherwise.
pub fn set_level(level: &str) {
    if let Some(change) = CHANGE.get() {
        change(level);
    }
}
