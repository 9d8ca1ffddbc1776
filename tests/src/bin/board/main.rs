//! The checks of the virtual board (`tests/board/run`): runs inside the machine, as root, with `vivid` and `v4l2loopback` as
//! its cameras, `vcan` as its bus and `gpio-sim` as its lines. Prints `OK` or `FAIL` per check and at last `BOARD DONE`,
//! without which the run failed.

mod bus;
mod faults;
mod lines;
mod mjpeg;
mod peer;
mod pictures;
mod rig;
mod signals;
mod stuck;
mod victim;

use std::process::ExitCode;

use stopline_tests::allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    if let Some(part) = std::env::args().nth(1) {
        return victim::play(&part);
    }
    let mut board = rig::Board::default();
    bus::checks(&mut board);
    stuck::checks(&mut board);
    signals::checks(&mut board);
    lines::checks(&mut board);
    pictures::checks(&mut board);
    faults::checks(&mut board);
    mjpeg::checks(&mut board);
    println!("BOARD DONE passed={} failed={} skipped={}", board.passed, board.failed, board.skipped);
    if board.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
