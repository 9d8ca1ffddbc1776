//! Chaos: a spool that is written to, the agent, the server and a broker as they are installed, while links are cut, programs
//! killed, disks filled and a clock set wrong. At the end every record has ended exactly once, and the spool's ledger, the
//! server's database and its store say the same, digest by digest.
//!
//! Faults are drawn from listed seeds; their moments depend on the machine, so a run is not repeated to the millisecond.

mod board;
mod disks;
mod ledger;
mod producer;
mod programs;

use std::time::Duration;

use stopline_tests::scenario::random::Random;
use stopline_tests::{full, skip};

use board::Board;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The link between agent and server goes away, and connections with it.
    LinkCut,
    /// The server ends without warning.
    ServeKilled,
    /// The agent ends without warning.
    AgentKilled,
    /// The board's file system, spool and agent's folder, is full.
    BoardFull,
    /// The server's file system is full.
    ServerFull,
    /// The agent's wall clock is wrong, and says that it is right.
    ClockJump,
    /// The broker ends without warning.
    BrokerKilled,
}

const ALL: [Fault; 7] = [
    Fault::LinkCut,
    Fault::ServeKilled,
    Fault::AgentKilled,
    Fault::BoardFull,
    Fault::ServerFull,
    Fault::ClockJump,
    Fault::BrokerKilled,
];

/// What the agent's clock is off by while it is wrong. The first makes what it holds look too old, the second what is too old
/// look new, the third every certificate expired.
const JUMPS: [&str; 3] = ["+40d", "-600", "+12y"];

/// Seeds, times that each kind happens, records.
const FULL: (&[u64], usize, usize) = (&[1, 2], 2, 600);
/// A server that was full asks for a minute's patience, so the gate has no such fault.
const GATE: (&[u64], usize, usize) = (&[1], 1, 150);

#[test]
fn every_record_ends_once_whatever_is_cut_killed_filled_or_set_wrong() {
    let (seeds, times, records) = if full() { FULL } else { GATE };
    let (mut happened, mut captured) = (Vec::new(), 0);
    for seed in seeds {
        let Some(run) = chaos(*seed, times, records) else { return };
        happened.extend(run.0);
        captured += run.1;
    }
    println!("faults: {} (full: {})", happened.len(), FULL.0.len() * FULL.1 * ALL.len());
    println!("records captured: {captured} (full: {}, less what full disks refuse)", FULL.0.len() * FULL.2);
    for kind in ALL {
        println!("  {kind:?}: {}", happened.iter().filter(|fault| **fault == kind).count());
    }
}

/// One seed; the faults that happened, and how many records were captured.
fn chaos(seed: u64, times: usize, records: usize) -> Option<(Vec<Fault>, usize)> {
    let mut random = Random::of(&[seed, 0xC4A05]);
    let mut board = Board::new(seed)?;
    let schedule = schedule(&board, times, &mut random);
    println!("seed {seed}: {schedule:?}");
    let producer = board.produce(records, &schedule);
    let (mut lasting, mut jump) = (None, 0);
    for (at, fault) in schedule.iter().enumerate() {
        board.go_on(Duration::from_secs_f64(random.between(0.3, 1.0)));
        if *fault == Fault::ClockJump {
            board.set_jump(JUMPS[jump % JUMPS.len()]);
            jump += 1;
        }
        if *fault == Fault::ServerFull {
            // It would change nothing while the agent is still patient with the last one.
            board.until_uploading();
        }
        board.begin(*fault);
        board.go_on(Duration::from_secs_f64(random.between(0.5, 2.0)));
        if let Some(earlier) = lasting.take() {
            board.end(earlier);
        }
        // Every third fault is still there when the next one comes; a server fills up only while something arrives.
        let next = schedule.get(at + 1).is_some_and(|next| ![*fault, Fault::ServerFull].contains(next));
        if next && random.unit() < 0.34 {
            lasting = Some(*fault);
        } else {
            board.end(*fault);
        }
    }
    let put = producer.join();
    board.drain();
    board.stop();
    let captured = ledger::same_everywhere(&board, &put);
    Some((schedule, captured))
}

/// The faults in the order in which they happen: each kind that this machine can make, so many times.
fn schedule(board: &Board, times: usize, random: &mut Random) -> Vec<Fault> {
    let possible = |fault: &Fault| match fault {
        Fault::BoardFull => {
            board.has_own_disks() || skip::<()>("no right to mount a tmpfs: disk full").is_some()
        }
        Fault::ServerFull => full() && board.has_own_disks(),
        Fault::ClockJump => board.clock_can_jump() || skip::<()>("no libfaketime: clock jump").is_some(),
        Fault::BrokerKilled => board.has_broker() || skip::<()>("no mosquitto: broker killed").is_some(),
        Fault::LinkCut | Fault::ServeKilled | Fault::AgentKilled => true,
    };
    let kinds: Vec<Fault> = ALL.into_iter().filter(possible).collect();
    let mut drawn: Vec<(f64, Fault)> =
        (0..times).flat_map(|_| kinds.clone()).map(|fault| (random.unit(), fault)).collect();
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    drawn.into_iter().map(|(_, fault)| fault).collect()
}
