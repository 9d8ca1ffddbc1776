//! `stopline run`: threads, started in one place and ended in one place.
//!
//! In walk order: [`start`] (everything opened, every thread started), then the threads: [`crate::intake::capture`],
//! [`looking`] (inference and decision), [`act`] with [`tick`] (commands), [`polling`] (heat, supply, outbox),
//! [`switch`] and [`control`] (arming, [`acknowledge`]), [`deploying`] with [`exchange`] (models over the air), [`publish`] (log, health file, stream, systemd). What they share: [`slot`],
//! [`notes`], [`timing`], [`pace`], [`report`], [`arming`]. [`ending`] holds the signals; here is what goes on until the end, and the
//! end itself.
//!
//! **The end, in this order**: capture and inference stop; the actuator thread goes on until nothing is asked of the brake
//! any more, as the safe-command table has it for lost eyes, and sends its last command; then everything that tells the
//! outside ends. A second signal ends the process at once.

pub mod acknowledge;
pub mod act;
pub mod arming;
pub mod control;
pub mod deploying;
pub mod drive;
pub mod ending;
pub mod exchange;
pub mod health;
pub mod light;
pub mod looking;
pub mod models;
pub mod news;
pub mod notes;
pub mod notify;
pub mod pace;
pub mod polling;
pub mod priority;
pub mod publish;
pub mod record;
pub mod report;
pub mod slot;
pub mod start;
pub mod stream;
pub mod switch;
pub mod tick;
pub mod timing;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stopline_sensors::clock::{Clock, SystemClock};
use tracing::Level;

use crate::config::reload::InForce;
use crate::exit::{Exit, Failure, OrExit};
use crate::log;
use ending::Signals;
use start::Running;

/// How often signals and threads are looked after.
const ROUND: Duration = Duration::from_millis(20);

/// Runs the daemon by the configuration `path`, until a signal ends it or something that cannot mend itself.
///
/// # Errors
/// [`Failure`] with its exit code.
pub fn run(path: &Path) -> Result<(), Failure> {
    let signals = Signals::register().or_exit(Exit::Internal)?;
    let mut in_force = InForce::load(path).or_exit(Exit::Config)?;
    log::set_level(in_force.config.run.log.name());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut running = Running::start(&in_force.config, Arc::clone(&clock))?;
    let verdict = watch(path, &mut in_force, &mut running, &signals, clock.as_ref());
    // A model that hangs has been taken back already; nothing is left to find out at the next start.
    let crashed = verdict.is_err() && !running.restarts();
    running.end(clock.as_ref(), crashed);
    verdict
}

/// Until the end.
fn watch(
    path: &Path,
    in_force: &mut InForce,
    running: &mut Running,
    signals: &Signals,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    while !signals.ending() {
        if signals.reload_asked() {
            reload(path, in_force, running);
        }
        running.look_after()?;
        clock.sleep(ROUND);
    }
    Ok(())
}

fn reload(path: &Path, in_force: &mut InForce, running: &Running) {
    match in_force.reload(path) {
        Ok((new, keys)) if keys.is_empty() => {
            *in_force = new;
            running.notes.log(Level::INFO, "reloaded: nothing has changed");
        }
        Ok((new, keys)) => {
            *in_force = new;
            let config = &in_force.config;
            log::set_level(config.run.log.name());
            running.hot.set(&config.run);
            for (camera, priority) in config.cameras.iter().zip(&running.priorities) {
                priority.store(camera.priority, Ordering::Relaxed);
            }
            running.notes.event("reloaded", format!("reloaded: {}", keys.join(", ")));
        }
        Err(error) => running.notes.event("refused", error.to_string()),
    }
}
