//! A bus that holds frames back, is down, or is gone: no old frame may leave when it is back.

use std::time::Duration;

use stopline::act::{Actuator, Fault};
use stopline_decide::receiver::Link;
use stopline_sensors::can::frame::BusId;
use stopline_sensors::clock::{Clock, SystemClock};

use crate::peer::{BUS, Peer, actuator, braking, fresh_bus, idle, period, periods, tc};
use crate::rig::{Board, Found, ensure, pause};

pub fn checks(board: &mut Board) {
    board.check("down in mid-brake and up again: no old frame", down);
    board.check("unarmed and silent, a bus that is down is told too", down_unarmed);
    board.check("the interface is removed and made again", removed);
    board.check("the send queue is full", queue_full);
    board.check("a queue of one frame is full: each of ours is refused, and none leaves late", queue_of_one);
    board.check("no echo for two periods, and what was held back is dropped", held_and_dropped);
    board.check("no echo, and what was held back leaves in the end", held_and_released);
    board.check("there is no such bus", no_bus);
}

fn down() -> Found {
    let bus = fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &braking(2.0), 10)?;
    peer.news()?;
    bus.bring_down().map_err(|error| error.to_string())?;
    // The peer's own socket is told once as well.
    let mut faults = Vec::new();
    for _ in 0..25 {
        let now = SystemClock.monotonic();
        let made = stopline_decide::time::Nanos(now.as_nanos());
        faults.push(sender.send(now, &stopline_decide::command::Command { made, ..braking(4.0) }).fault);
        pause(Duration::from_millis(20));
        let _ = peer.step();
    }
    ensure(faults.iter().all(|fault| *fault == Some(Fault::Down)), || format!("{faults:?}"))?;
    let _ = peer.until(Duration::from_millis(1), |brakes| brakes.link == Link::TimedOut);
    ensure(peer.brakes.link == Link::TimedOut, || format!("{:?}", peer.brakes))?;
    peer.heard.clear();
    bus.bring_up().map_err(|error| error.to_string())?;
    let outcome = periods(&mut sender, &mut peer, &braking(1.0), 10)?;
    let heard = peer.news()?;
    let old = heard.iter().filter(|frame| frame.payload.deceleration > 1.5).count();
    ensure(outcome.fault.is_none() && !heard.is_empty() && old == 0, || {
        format!("{outcome:?}, {} frames, {old} old", heard.len())
    })?;
    Ok(format!("down for 25 periods, told in each; {} frames after it, none old", heard.len()))
}

fn down_unarmed() -> Found {
    let bus = fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    let unarmed = stopline_decide::command::Command::default();
    let up = periods(&mut sender, &mut peer, &unarmed, 3)?;
    bus.bring_down().map_err(|error| error.to_string())?;
    let _ = peer.step();
    let down = periods(&mut sender, &mut peer, &unarmed, 5)?;
    bus.bring_up().map_err(|error| error.to_string())?;
    let again = periods(&mut sender, &mut peer, &unarmed, 3)?;
    let faults = [up.fault, down.fault, again.fault];
    ensure(faults == [None, Some(Fault::Down), None], || format!("{faults:?}"))?;
    ensure(peer.news()?.is_empty(), || "something was sent".into())?;
    Ok("up, down, up".into())
}

fn removed() -> Found {
    let bus = fresh_bus()?;
    let mut peer = Peer::new()?;
    let mut sender = actuator("")?;
    periods(&mut sender, &mut peer, &braking(2.0), 5)?;
    bus.delete().map_err(|(_, error)| error.to_string())?;
    let now = SystemClock.monotonic();
    let made = stopline_decide::time::Nanos(now.as_nanos());
    let outcome = sender.send(now, &stopline_decide::command::Command { made, ..braking(2.0) });
    ensure(outcome.fault == Some(Fault::Down), || format!("{outcome:?}"))?;
    fresh_bus()?;
    let mut peer = Peer::new()?;
    let begun = SystemClock.monotonic();
    let mut outcome = outcome;
    while outcome.fault.is_some() {
        outcome = period(&mut sender, &mut peer, &braking(1.0))?;
        let waited = SystemClock.monotonic().since(begun);
        ensure(waited < Duration::from_secs(4), || format!("{outcome:?} after {waited:?}"))?;
    }
    let waited = SystemClock.monotonic().since(begun);
    periods(&mut sender, &mut peer, &braking(1.0), 5)?;
    ensure(peer.heard.iter().all(|frame| frame.payload.deceleration <= 1.0), || format!("{:?}", peer.heard))?;
    Ok(format!("found again after {waited:?}"))
}

/// Another node of this machine fills the interface's queue.
fn queue_full() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &idle(), 3)?;
    tc(&format!("qdisc add dev {BUS} root netem delay 20s limit 3"))?;
    let other = Peer::new()?;
    let filled = (0..10).position(|_| other.send(BusId::Standard(0x700), &[0]).is_err());
    ensure(filled.is_some(), || "the queue takes everything".into())?;
    let outcome = period(&mut sender, &mut peer, &braking(2.0))?;
    ensure(outcome.fault == Some(Fault::QueueFull) && !outcome.sent, || format!("{outcome:?}"))?;
    let again = periods(&mut sender, &mut peer, &braking(2.0), 3)?;
    ensure(again.fault == Some(Fault::QueueFull), || format!("{again:?}"))?;
    peer.news()?;
    tc(&format!("qdisc del dev {BUS} root"))?;
    let after = periods(&mut sender, &mut peer, &braking(1.0), 5)?;
    let heard = peer.news()?;
    let old = heard.iter().filter(|frame| frame.payload.deceleration > 1.5).count();
    ensure(after.fault.is_none() && heard.len() >= 4 && old == 0, || format!("{after:?}, {heard:?}"))?;
    Ok(format!("told at once; {} frames after it, none old", heard.len()))
}

/// Somebody's frame fills it: the kernel says ENOBUFS to each of ours, and none of them may leave when it drains.
fn queue_of_one() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &idle(), 10)?;
    peer.news()?;
    peer.most = 0.0;
    tc(&format!("qdisc add dev {BUS} root netem delay 700ms limit 1"))?;
    let other = Peer::new()?;
    other.send(BusId::Standard(0x700), &[0])?;
    ensure(other.send(BusId::Standard(0x700), &[0]).is_err(), || "the queue takes two".into())?;
    for count in 1..=10 {
        let outcome = period(&mut sender, &mut peer, &braking(4.0))?;
        ensure(outcome.fault == Some(Fault::QueueFull) && !outcome.sent, || {
            format!("period {count}: {outcome:?}")
        })?;
    }
    // It drains, and nobody asks for the brake any more.
    periods(&mut sender, &mut peer, &idle(), 45)?;
    tc(&format!("qdisc del dev {BUS} root"))?;
    periods(&mut sender, &mut peer, &idle(), 80)?;
    let old = peer.news()?.iter().filter(|frame| frame.payload.deceleration > 0.0).count();
    ensure(old == 0 && peer.most <= 0.0, || {
        format!("{old} old frames left, the brake reached {}", peer.most)
    })?;
    let after = period(&mut sender, &mut peer, &idle())?;
    ensure(after.fault.is_none() && peer.brakes.link == Link::Alive, || {
        format!("{after:?}, {:?}", peer.brakes)
    })?;
    Ok("10 of 10 periods refused, none of their frames left when it drained".into())
}

fn held_and_dropped() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &braking(2.0), 5)?;
    peer.news()?;
    tc(&format!("qdisc add dev {BUS} root netem delay 20s limit 1000"))?;
    let mut told = None;
    let mut given = 0;
    for count in 1..=100_u32 {
        let outcome = period(&mut sender, &mut peer, &braking(4.0))?;
        given += u32::from(outcome.sent);
        if outcome.fault == Some(Fault::NoEcho) && told.is_none() {
            told = Some(count);
        }
    }
    // The frame of the first period; its echo is missing for two.
    ensure(told.is_some_and(|count| count <= 3), || format!("told in period {told:?}"))?;
    // One that asks for a brake, and one each second that asks for nothing.
    ensure(given <= 4, || format!("{given} frames were given to a stuck bus"))?;
    tc(&format!("qdisc del dev {BUS} root"))?;
    let mut after = periods(&mut sender, &mut peer, &braking(1.0), 5)?;
    let begun = SystemClock.monotonic();
    while after.fault.is_some() && SystemClock.monotonic().since(begun) < Duration::from_secs(4) {
        after = period(&mut sender, &mut peer, &braking(1.0))?;
    }
    let old = peer.news()?.iter().filter(|frame| frame.payload.deceleration > 1.5).count();
    ensure(after.fault.is_none() && old == 0, || format!("{after:?}, {old} old"))?;
    Ok(format!(
        "told in period {}, {given} frames given in 100 periods, none old after it",
        told.unwrap_or(0)
    ))
}

/// What the kernel holds cannot be called back: one frame at most, and the receiver must prove the sender anew first.
fn held_and_released() -> Found {
    fresh_bus()?;
    let (mut sender, mut peer) = (actuator("")?, Peer::new()?);
    periods(&mut sender, &mut peer, &idle(), 10)?;
    peer.news()?;
    peer.most = 0.0;
    tc(&format!("qdisc add dev {BUS} root netem delay 600ms limit 1000"))?;
    periods(&mut sender, &mut peer, &braking(4.0), 10)?;
    periods(&mut sender, &mut peer, &idle(), 40)?;
    tc(&format!("qdisc del dev {BUS} root"))?;
    periods(&mut sender, &mut peer, &idle(), 80)?;
    let heard = peer.news()?;
    let old = heard.iter().filter(|frame| frame.payload.deceleration > 0.0).count();
    ensure(old <= 1, || format!("{old} old frames left"))?;
    ensure(peer.most <= 0.0, || format!("an old frame moved the brake to {} m/s²", peer.most))?;
    let after = period(&mut sender, &mut peer, &idle())?;
    ensure(after.fault.is_none() && peer.brakes.link == Link::Alive, || {
        format!("{after:?}, {:?}", peer.brakes)
    })?;
    Ok(format!("{old} old frame, which the receiver did not act on"))
}

fn no_bus() -> Found {
    if let Ok(bus) = socketcan::CanInterface::open(BUS) {
        bus.delete().map_err(|(_, error)| error.to_string())?;
    }
    match actuator("") {
        Ok(_) => Err("opened".into()),
        Err(said) if said.contains("there is none of this name") => Ok(said),
        Err(said) => Err(said),
    }
}
