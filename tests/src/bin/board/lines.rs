//! GPIO lines whose other end is in sysfs (gpio-sim).

use std::path::PathBuf;
use std::time::Duration;

use stopline::act::config::{GpioConfig, Kind};
use stopline::act::gpio::GpioActuator;
use stopline::act::{Actuator, Outcome};
use stopline_decide::command::Command;
use stopline_decide::time::Nanos;
use stopline_sensors::clock::{Clock, SystemClock};
use stopline_tests::actuator_suite::{Bench, PERIOD, conforms};
use stopline_tests::allocations::counted;

use crate::peer::{braking, idle};
use crate::rig::{Board, Found, ensure, pause};
use crate::victim::Victim;

/// What `init` wrote down: the chip's device, and its folder in sysfs.
pub const WRITTEN: &str = "/tmp/lines";

const CHECKS: [(&str, fn() -> Found); 9] = [
    ("the actuator suite on a level line", || {
        suite("mode = \"level\"\nwhen = \"brake\"\npull = \"down\"\n", 0)
    }),
    ("the actuator suite on a toggling line", || suite("mode = \"toggle\"\nwhen = \"brake\"\n", 1)),
    ("a level line that is active low", active_low),
    ("a toggling line has an edge each period and stands still when it is off", toggles),
    ("a toggling line with three periods between edges", toggles_slowly),
    ("kill -9: the dead-man line stands still", || dies("kill")),
    ("SIGSTOP: the dead-man line stands still", || dies("stop")),
    ("a line that somebody else has is refused", taken),
    ("the chip is unplugged", unplugged),
];

pub fn checks(board: &mut Board) {
    if !PathBuf::from(WRITTEN).exists() {
        for (name, _) in CHECKS {
            board.skip(name, "no gpio-sim");
        }
        return;
    }
    for (name, check) in CHECKS {
        board.check(name, check);
    }
}

/// The chip's device and its folder in sysfs.
pub fn chip() -> Result<(String, PathBuf), String> {
    let written = std::fs::read_to_string(WRITTEN).map_err(|error| error.to_string())?;
    let (chip, folder) = written.trim().split_once(' ').ok_or("no chip was written down")?;
    Ok((chip.into(), folder.into()))
}

/// The level of a line, from the other end.
pub fn level(line: u32) -> Result<bool, String> {
    let path = chip()?.1.join(format!("sim_gpio{line}/value"));
    let value = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(value.trim() == "1")
}

/// A line of the chip, as configured in a few words.
pub fn open(rest: &str) -> Result<GpioActuator, String> {
    let text = format!("name = \"line\"\nchip = \"{}\"\n{rest}", chip()?.0);
    let config: GpioConfig = toml::from_str(&text).map_err(|error| error.to_string())?;
    GpioActuator::open(&config).map_err(|error| error.to_string())
}

fn period(actuator: &mut GpioActuator, command: &Command) -> Outcome {
    let now = SystemClock.monotonic();
    actuator.send(now, &Command { made: Nanos(now.as_nanos()), ..*command })
}

struct OnALine {
    words: String,
    line: u32,
    toggles: bool,
    asked: bool,
    before: bool,
}

impl Bench for OnALine {
    fn kind(&self) -> Kind {
        Kind::Gpio
    }

    fn open(&mut self) -> Result<Box<dyn Actuator>, String> {
        Ok(Box::new(open(&self.words)?))
    }

    fn asks(&self) -> Command {
        braking(2.5)
    }

    fn look(&mut self) -> Result<(), String> {
        let level = level(self.line)?;
        self.asked |= if self.toggles { level != self.before } else { level };
        self.before = level;
        Ok(())
    }

    fn was_asked(&mut self, _patience: Duration) -> Result<bool, String> {
        Ok(std::mem::take(&mut self.asked))
    }
}

fn suite(words: &str, line: u32) -> Found {
    let toggles = words.contains("toggle");
    let words = format!("line = {line}\n{words}");
    conforms(&mut OnALine { words, line, toggles, asked: false, before: false })
}

fn active_low() -> Found {
    let mut line = open("line = 3\nmode = \"level\"\nwhen = \"brake\"\npull = \"up\"\nactive_low = true\n")?;
    let mut levels = vec![level(3)?];
    for command in [idle(), braking(1.0), idle()] {
        let outcome = period(&mut line, &command);
        ensure(outcome.fault.is_none(), || format!("{outcome:?}"))?;
        levels.push(level(3)?);
    }
    ensure(levels == [true, true, false, true], || format!("{levels:?}"))?;
    Ok("high, high idle, low braking, high idle".into())
}

fn levels(line: &mut GpioActuator, number: u32, command: &Command, periods: u32) -> Result<String, String> {
    (0..periods)
        .map(|_| {
            let outcome = period(line, command);
            ensure(outcome.fault.is_none(), || format!("{outcome:?}"))?;
            Ok(if level(number)? { '1' } else { '0' })
        })
        .collect()
}

fn toggles() -> Found {
    let mut line = open("line = 4\nmode = \"toggle\"\nwhen = \"valid\"\n")?;
    let (outcome, allocated) = counted(|| period(&mut line, &Command { valid: false, ..idle() }));
    ensure(allocated == 0 && outcome.fault.is_none(), || format!("{allocated} allocations, {outcome:?}"))?;
    let on = levels(&mut line, 4, &idle(), 7)?;
    let off = levels(&mut line, 4, &Command { valid: false, ..idle() }, 5)?;
    let unarmed = levels(&mut line, 4, &Command { armed: false, ..idle() }, 3)?;
    let again = levels(&mut line, 4, &idle(), 4)?;
    let all = format!("{on} {off} {unarmed} {again}");
    ensure(all == "1010101 00000 000 1010", || all.clone())?;
    Ok(all)
}

fn toggles_slowly() -> Found {
    let mut line = open("line = 5\nmode = \"toggle\"\nwhen = \"valid\"\ntoggle_periods = 3\n")?;
    let all = levels(&mut line, 5, &idle(), 10)?;
    ensure(all == "1110001110", || all.clone())?;
    Ok(all)
}

/// The process that toggles line 2 is killed or stopped.
fn dies(how: &str) -> Found {
    let mut victim = Victim::start("toggle")?;
    let edges = |periods: u32| -> Result<u32, String> {
        let (mut edges, mut before) = (0, level(2)?);
        for _ in 0..periods * 4 {
            pause(PERIOD / 4);
            let now = level(2)?;
            edges += u32::from(now != before);
            before = now;
        }
        Ok(edges)
    };
    let begun = SystemClock.monotonic();
    while edges(4)? == 0 {
        ensure(SystemClock.monotonic().since(begun) < Duration::from_secs(10), || "it never toggled".into())?;
    }
    let alive = edges(20)?;
    if how == "kill" {
        victim.kill()?
    } else {
        victim.stop()?
    }
    pause(PERIOD * 2);
    let dead = edges(20)?;
    ensure(alive >= 5 && dead == 0, || format!("{alive} edges alive, {dead} dead"))?;
    Ok(format!("{alive} edges in 20 periods alive, {dead} dead"))
}

fn taken() -> Found {
    let first = open("line = 6\nmode = \"toggle\"\nwhen = \"valid\"\n")?;
    let second = open("line = 6\nmode = \"toggle\"\nwhen = \"valid\"\n");
    drop(first);
    let said = second.err().ok_or("taken twice")?;
    ensure(said.contains("line 6 of /dev/gpiochip") && said.contains("is it free"), || said.clone())?;
    let nowhere =
        open("line = 60\nmode = \"toggle\"\nwhen = \"valid\"\n").err().ok_or("line 60 was taken")?;
    ensure(nowhere.contains("line 60"), || nowhere.clone())?;
    Ok(said)
}

fn unplugged() -> Found {
    let mut line = open("line = 7\nmode = \"level\"\nwhen = \"brake\"\npull = \"down\"\n")?;
    ensure(period(&mut line, &braking(1.0)).fault.is_none(), || "a fault before".into())?;
    crate::rig::tell_kernel("/sys/kernel/config/gpio-sim/board/live", "0")?;
    let outcome = period(&mut line, &braking(1.0));
    ensure(outcome.fault.is_some(), || format!("{outcome:?}"))?;
    Ok(format!("{:?}", outcome.fault))
}
