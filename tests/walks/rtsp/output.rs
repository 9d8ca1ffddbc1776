//! Everything this process logs, by `log` or by `tracing`, at every level.

use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What was said so far.
pub struct Said(Mutex<Vec<u8>>);

/// Listens from the first call on.
pub fn everything_said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    static BEGUN: OnceLock<()> = OnceLock::new();
    let said = SAID.get_or_init(|| Said(Mutex::default()));
    BEGUN.get_or_init(|| {
        log::set_logger(said).expect("nothing else listens to `log` here");
        log::set_max_level(log::LevelFilter::Trace);
        let listener = tracing_subscriber::fmt()
            .with_max_level(tracing::level_filters::LevelFilter::TRACE)
            .with_writer(move || said)
            .finish();
        tracing::subscriber::set_global_default(listener).expect("nothing else listens to `tracing` here");
    });
    said
}

impl Said {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for &Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Said {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut listener = self;
        let _ = writeln!(listener, "{} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}
