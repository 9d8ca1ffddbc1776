//! The checks of the virtual board (`tests/board/run`): runs inside the machine, as root, with `vivid` and `v4l2loopback` as
//! its cameras, `vcan` as its bus and `gpio-sim` as its lines. Prints `OK` or `FAIL` per check and at last `BOARD DONE`,
//! without which the run failed. As `board sight` it runs the daemon on a film instead (`tests/board/run sight`), as
//! `board service` under systemd with the package (`tests/board/service`).

mod bus;
mod daemon;
mod fallen;
mod faults;
mod film;
mod lines;
mod metered;
mod mjpeg;
mod network;
mod newcomer;
mod nightly;
mod operator;
mod peer;
mod pictures;
mod rig;
mod scene;
mod service;
mod sight;
mod signals;
mod stuck;
mod victim;
mod wall;

use std::process::ExitCode;

use stopline_tests::allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let mut board = rig::Board::default();
    match std::env::args().nth(1).as_deref() {
        None | Some("devices") => devices(&mut board),
        Some("service") => service::checks(&mut board),
        Some("sight") => sight::checks(&mut board),
        Some("film") => return told(film::make(std::env::args().nth(2))),
        Some("probe") => return wall::probe(),
        Some("network") => return metered::probe(),
        Some(part) => return victim::play(part),
    }
    println!("BOARD DONE passed={} failed={} skipped={}", board.passed, board.failed, board.skipped);
    if board.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn told(found: rig::Found) -> ExitCode {
    match found {
        Ok(detail) => {
            println!("{detail}");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            println!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

fn devices(board: &mut rig::Board) {
    bus::checks(board);
    stuck::checks(board);
    signals::checks(board);
    lines::checks(board);
    pictures::checks(board);
    faults::checks(board);
    mjpeg::checks(board);
    network::checks(board);
}
