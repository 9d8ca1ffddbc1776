//! The brake frame on a bus: its suite, the reference receiver at the other end, and what a bus can do to it.

use std::time::Duration;

use stopline::act::config::Kind;
use stopline::act::{Actuator, Fault, Shown};
use stopline_decide::command::{Command, Row};
use stopline_decide::e2e::Check;
use stopline_decide::frame::ID;
use stopline_decide::receiver::Link;
use stopline_decide::time::Nanos;
use stopline_sensors::can::frame::{BusId, BusTrouble};
use stopline_sensors::clock::{Clock, SystemClock};
use stopline_tests::actuator_suite::{Bench, PERIOD, conforms};
use stopline_tests::allocations::counted;

use crate::peer::{Peer, actuator, braking, fresh_bus, idle, period, periods};
use crate::rig::{Board, Found, ensure, pause};
use crate::victim::Victim;

pub fn checks(board: &mut Board) {
    board.check("the actuator suite on a bus", suite);
    board.check("every period a frame that the reference receiver takes", periodic);
    board.check("a forged frame under our identifier moves no brake and is a fault", forged);
    board.check("unarmed the bus hears nothing, or frames that ask for nothing", unarmed);
    board.check("disarmed, the bus hears a farewell", farewell);
    board.check("an old command is not sent", old_command);
    board.check("a maker's own frame with CAN FD", makers_frame);
    board.check("bus off and restarted", bus_off);
    board.check("error passive and active again", passive);
    board.check("sending and listening allocate nothing", allocates_nothing);
    board.check("kill -9 in mid-brake: the receiver times out", || dies("kill"));
    board.check("SIGSTOP in mid-brake: the receiver times out", || dies("stop"));
    board.check("shutdown in mid-brake: the last command is the one of the end", shutdown);
}

struct OnTheBus(Peer);

impl Bench for OnTheBus {
    fn kind(&self) -> Kind {
        Kind::Can
    }

    fn open(&mut self) -> Result<Box<dyn Actuator>, String> {
        Ok(Box::new(actuator("")?))
    }

    fn asks(&self) -> Command {
        braking(2.5)
    }

    fn look(&mut self) -> Result<(), String> {
        self.0.step().map(drop)
    }

    fn was_asked(&mut self, _patience: Duration) -> Result<bool, String> {
        Ok(self.0.news()?.iter().any(|frame| frame.payload.valid && frame.payload.deceleration > 0.0))
    }
}

fn suite() -> Found {
    fresh_bus()?;
    conforms(&mut OnTheBus(Peer::new()?))
}

fn periodic() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &idle(), 10)?;
    let before = peer.news()?.len();
    let begun = SystemClock.monotonic();
    periods(&mut sender, &mut peer, &braking(3.0), 40)?;
    let reached = peer.brakes;
    let heard = peer.news()?;
    let wrong = heard.iter().filter(|frame| frame.check != Check::Ok).count();
    ensure(before == 10 && heard.len() == 40 && wrong == 0, || {
        format!("{before}, {} frames, {wrong} wrong", heard.len())
    })?;
    ensure((reached.requested - 3.0).abs() < 0.03 && reached.link == Link::Alive, || format!("{reached:?}"))?;
    let late = heard.windows(2).map(|two| two[1].at.since(two[0].at)).max().unwrap_or_default();
    ensure(heard[0].at >= begun, || "stamped before it was sent".into())?;
    Ok(format!("40 frames, at most {late:?} apart, the brake reached {:.2} m/s²", reached.requested))
}

fn forged() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    let foreign = Peer::new()?;
    periods(&mut sender, &mut peer, &idle(), 5)?;
    let good = peer.news()?.len();
    // Wrong checksum; then a right checksum under a counter that is out of order, as a replayed frame has.
    let Shown::Frame(right) = period(&mut sender, &mut peer, &braking(2.0))?.shown else {
        return Err("no frame is shown".into());
    };
    periods(&mut sender, &mut peer, &idle(), 7)?;
    peer.news()?;
    let mut flipped = [0; 8];
    flipped.copy_from_slice(right.data());
    flipped[3] ^= 0x10;
    foreign.send(BusId::Standard(ID), &flipped)?;
    foreign.send(BusId::Standard(ID), right.data())?;
    pause(Duration::from_millis(5));
    let outcome = period(&mut sender, &mut peer, &idle())?;
    ensure(outcome.fault == Some(Fault::Intruder), || format!("{outcome:?}"))?;
    let checks: Vec<Check> = peer.news()?.iter().map(|frame| frame.check).collect();
    ensure(checks.contains(&Check::WrongCrc) && checks.contains(&Check::WrongSequence), || {
        format!("{checks:?}")
    })?;
    periods(&mut sender, &mut peer, &idle(), 5)?;
    ensure(peer.most <= 2.0 && peer.brakes.requested < 0.01, || {
        format!("{:?}, most {}", peer.brakes, peer.most)
    })?;
    let after = period(&mut sender, &mut peer, &idle())?;
    ensure(after.fault.is_none() && peer.brakes.link == Link::Alive, || {
        format!("{after:?} {:?}", peer.brakes)
    })?;
    Ok(format!("{good} good frames before; wrong checksum and wrong counter refused, in order again after"))
}

fn unarmed() -> Found {
    fresh_bus()?;
    let mut peer = Peer::new()?;
    let would = Command { armed: false, ..braking(4.0) };
    let mut silent = actuator("")?;
    let outcome = periods(&mut silent, &mut peer, &would, 10)?;
    let heard = peer.news()?;
    ensure(heard.is_empty() && !outcome.sent, || format!("{} frames, {outcome:?}", heard.len()))?;
    let Shown::Frame(shown) = outcome.shown else { return Err(format!("{outcome:?}")) };
    let shown = stopline_decide::frame::Payload::unpack(shown.data().try_into().map_err(|_| "length")?);
    let shown = shown.map_err(|error| error.to_string())?;
    ensure(shown.valid && (shown.deceleration - 4.0).abs() < 0.03, || format!("{shown:?}"))?;
    drop(silent);
    let mut idle_sender = actuator("send_idle = true")?;
    let outcome = periods(&mut idle_sender, &mut peer, &would, 10)?;
    let heard = peer.news()?;
    let asks = heard.iter().any(|frame| frame.payload.valid || frame.payload.deceleration > 0.0);
    ensure(heard.len() == 10 && outcome.sent && !asks, || {
        format!("{} frames, {:?}", heard.len(), heard.last())
    })?;
    Ok("0 frames with what would have been sent shown; 10 of 10 that ask for nothing".into())
}

fn farewell() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &braking(2.0), 10)?;
    peer.news()?;
    periods(&mut sender, &mut peer, &Command { armed: false, ..braking(2.0) }, 20)?;
    let heard = peer.news()?;
    let asks = heard.iter().filter(|frame| frame.payload.valid).count();
    ensure((1..20).contains(&heard.len()) && asks == 0, || format!("{} frames, {asks} valid", heard.len()))?;
    Ok(format!("{} frames that ask for nothing, then silence", heard.len()))
}

fn old_command() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    let now = SystemClock.monotonic();
    let old = Command { made: Nanos(now.as_nanos().saturating_sub(100_000_000)), ..braking(5.0) };
    let outcome = sender.send(now, &old);
    pause(PERIOD);
    let heard = peer.news()?;
    ensure(outcome.fault == Some(Fault::OldCommand) && heard.is_empty(), || {
        format!("{outcome:?}, {heard:?}")
    })?;
    Ok("a command of 100 ms ago: fault, nothing on the bus".into())
}

/// Twelve bytes, Motorola order, acceleration instead of deceleration, a checksum of the maker's own.
fn makers_frame() -> Found {
    const DBC: &str = "BO_ 2550136833 ACC: 12 ECU\n SG_ Accel : 23|12@0- (0.01,0) [-12|5] \"m/s2\" X\n \
                       SG_ Active : 39|1@0+ (1,0) [0|1] \"\" X\n";
    fresh_bus()?;
    std::fs::write("/tmp/acc.dbc", DBC).map_err(|error| error.to_string())?;
    let mut sender = actuator(
        "dbc = \"/tmp/acc.dbc\"\nmessage = \"ACC\"\n\
         signals = { valid = \"Active\", deceleration = { signal = \"Accel\", factor = -1.0 } }\n",
    )?;
    let everything = stopline_sensors::can::CanOptions {
        hear: stopline_sensors::can::Hear::All,
        echo: false,
        send_buffer: None,
    };
    let clock = std::sync::Arc::new(SystemClock);
    let mut port = stopline_sensors::can::CanPort::open(crate::peer::BUS, everything, clock)
        .map_err(|error| error.to_string())?;
    let now = SystemClock.monotonic();
    let outcome = sender.send(now, &Command { made: Nanos(now.as_nanos()), ..braking(3.5) });
    ensure(outcome.fault.is_none() && outcome.sent, || format!("{outcome:?}"))?;
    port.wait(Duration::from_millis(500));
    let heard = port.receive().map_err(|error| error.to_string())?;
    let Some((stopline_sensors::can::Heard::Frame(frame), _)) = heard else {
        return Err(format!("{heard:?}"));
    };
    let database = stopline_sensors::dbc::Database::parse(DBC).map_err(|error| error.to_string())?;
    let acc = database.message("ACC").map_err(|error| error.to_string())?;
    let accel = acc.signal("Accel").map_err(|error| error.to_string())?;
    let value = acc.value(accel, frame.data());
    ensure(frame.fd && frame.data().len() == 12 && value == Some(-3.5), || format!("{frame:?}: {value:?}"))?;
    Ok(format!("{frame:?}"))
}

fn bus_off() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &braking(2.0), 10)?;
    peer.news()?;
    peer.inject(BusTrouble::BUS_OFF)?;
    let outcome = period(&mut sender, &mut peer, &braking(2.0))?;
    ensure(outcome.fault == Some(Fault::BusOff), || format!("{outcome:?}"))?;
    let outcome = periods(&mut sender, &mut peer, &braking(2.0), 20)?;
    let heard = peer.news()?;
    let asks = heard.iter().filter(|frame| frame.payload.valid).count();
    ensure(outcome.fault == Some(Fault::BusOff) && asks == 0, || {
        format!("{outcome:?}, {asks} of {} ask", heard.len())
    })?;
    peer.inject(BusTrouble::RESTARTED)?;
    pause(Duration::from_millis(2));
    let outcome = periods(&mut sender, &mut peer, &braking(2.5), 3)?;
    let heard = peer.news()?;
    let first = heard.first().map(|frame| frame.payload.deceleration);
    ensure(outcome.fault.is_none() && first == Some(2.5), || format!("{outcome:?}, first {first:?}"))?;
    Ok("nothing asked while off; the first frame after it is the newest command".into())
}

fn passive() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &idle(), 3)?;
    peer.inject(BusTrouble::PASSIVE)?;
    let outcome = period(&mut sender, &mut peer, &idle())?;
    ensure(outcome.fault == Some(Fault::Passive) && outcome.sent, || format!("{outcome:?}"))?;
    peer.inject(BusTrouble::ACTIVE)?;
    let outcome = period(&mut sender, &mut peer, &idle())?;
    ensure(outcome.fault.is_none(), || format!("{outcome:?}"))?;
    Ok("told while passive, and still sent".into())
}

fn allocates_nothing() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &idle(), 5)?;
    let mut most = 0;
    for count in 0..50 {
        let now = SystemClock.monotonic();
        let command = if count % 10 < 5 { braking(2.0) } else { idle() };
        let command = Command { made: Nanos(now.as_nanos()), ..command };
        let (outcome, allocated) = counted(|| sender.send(now, &command));
        ensure(outcome.sent && outcome.fault.is_none(), || format!("{outcome:?}"))?;
        most = most.max(allocated);
        pause(Duration::from_millis(5));
        peer.step()?;
    }
    ensure(most == 0, || format!("{most} allocations in one period"))?;
    Ok("50 periods, 0 allocations".into())
}

/// The sender's process is killed or stopped in mid-brake. Nothing more is sent: the receiver must find out by itself.
fn dies(how: &str) -> Found {
    fresh_bus()?;
    let mut peer = Peer::new()?;
    let mut victim = Victim::start("brake")?;
    let limit = Duration::from_secs(10);
    peer.until(limit, |brakes| brakes.requested > 1.9)?;
    if how == "kill" {
        victim.kill()?
    } else {
        victim.stop()?
    }
    let (timed_out, released) = timed_out(&mut peer)?;
    // Three periods of 20 ms; the rest is this machine's scheduling.
    ensure(timed_out < Duration::from_millis(150), || format!("after {timed_out:?}"))?;
    drop(victim);
    Ok(format!("timed out {timed_out:?} after the last frame, brake out {released:?} after it"))
}

/// How long after the last frame the receiver timed out, and its brake was out.
fn timed_out(peer: &mut Peer) -> Result<(Duration, Duration), String> {
    let limit = Duration::from_secs(5);
    peer.until(limit, |brakes| brakes.link == Link::TimedOut)?;
    let last = peer.heard.last().ok_or("no frame")?.at;
    let timed_out = SystemClock.monotonic().since(last);
    peer.until(limit, |brakes| brakes.requested <= 0.0)?;
    Ok((timed_out, SystemClock.monotonic().since(last)))
}

fn shutdown() -> Found {
    fresh_bus()?;
    let mut peer = Peer::new()?;
    let mut victim = Victim::start("brake")?;
    peer.until(Duration::from_secs(10), |brakes| brakes.requested > 1.9)?;
    let status = victim.end()?;
    peer.step()?;
    let last = peer.heard.last().ok_or("no frame")?;
    ensure(status.success(), || format!("{status}"))?;
    let none = !last.payload.valid && last.payload.row == Row::Idle && last.payload.deceleration <= 0.0;
    ensure(none && last.check == Check::Ok, || format!("{last:?}"))?;
    Ok(format!("{:?}", last.payload.row))
}
