//! A process of its own that acts, to be killed.

use std::process::{Child, Command as Program, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline::act::gpio::GpioActuator;
use stopline::act::thread::{self, Conductor};
use stopline::act::{Actuator, Outcome};
use stopline_decide::command::Command;
use stopline_decide::time::Nanos;
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_tests::actuator_suite::PERIOD;

use crate::{lines, peer};

/// Plays `part` until its standard input is closed: `brake` on the bus, or `toggle` on line 2.
pub fn play(part: &str) -> ExitCode {
    let actuator: Result<Box<dyn Actuator>, String> = match part {
        "brake" => peer::actuator("").map(|actuator| Box::new(actuator) as Box<dyn Actuator>),
        "toggle" => lines::open("line = 2\nmode = \"toggle\"\nwhen = \"valid\"\n")
            .map(|actuator: GpioActuator| Box::new(actuator) as Box<dyn Actuator>),
        other => Err(format!("no part {other:?}")),
    };
    let actuator = match actuator {
        Ok(actuator) => actuator,
        Err(error) => {
            println!("victim {part}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    std::thread::spawn(move || {
        // Ends with the other end of the pipe.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stopping.store(true, Ordering::Relaxed);
    });
    thread::run(&mut [actuator], &mut Braking, PERIOD, &SystemClock, &stop);
    ExitCode::SUCCESS
}

struct Braking;

impl Conductor for Braking {
    fn command(&mut self, now: Monotonic) -> Command {
        Command { made: Nanos(now.as_nanos()), ..peer::braking(2.0) }
    }

    fn last(&mut self, now: Monotonic) -> Command {
        Command { made: Nanos(now.as_nanos()), armed: true, ..Command::default() }
    }

    fn told(&mut self, _now: Monotonic, _actuator: usize, _outcome: &Outcome) {}

    fn late(&mut self, _now: Monotonic, _periods: u64) {}
}

/// The process, from outside. Dropped, it is killed.
pub struct Victim(Child);

impl Victim {
    pub fn start(part: &str) -> Result<Self, String> {
        let child = Program::new("/proc/self/exe").arg(part).stdin(Stdio::piped()).spawn();
        child.map(Self).map_err(|error| format!("cannot be started: {error}"))
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<(), String> {
        self.0.kill().map_err(|error| error.to_string())?;
        self.0.wait().map(drop).map_err(|error| error.to_string())
    }

    /// SIGSTOP.
    pub fn stop(&mut self) -> Result<(), String> {
        let process =
            i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw).ok_or("no number")?;
        rustix::process::kill_process(process, rustix::process::Signal::STOP)
            .map_err(|error| error.to_string())
    }

    /// Asks it to end.
    pub fn end(&mut self) -> Result<ExitStatus, String> {
        drop(self.0.stdin.take());
        let begun = SystemClock.monotonic();
        loop {
            if let Some(status) = self.0.try_wait().map_err(|error| error.to_string())? {
                return Ok(status);
            }
            if SystemClock.monotonic().since(begun) > Duration::from_secs(5) {
                return Err("it did not end".into());
            }
            SystemClock.sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
