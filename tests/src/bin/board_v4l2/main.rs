//! The V4L2 checks of the virtual board (`tests/board/run`): runs inside the machine, as root, with `vivid` and
//! `v4l2loopback` as its cameras. Prints `OK` or `FAIL` per check and at last `BOARD DONE`, without which the run failed.

mod faults;
mod mjpeg;
mod pictures;
mod rig;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut board = rig::Board::default();
    pictures::checks(&mut board);
    faults::checks(&mut board);
    mjpeg::checks(&mut board);
    println!("BOARD DONE passed={} failed={} skipped={}", board.passed, board.failed, board.skipped);
    if board.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
