//! The operator's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(stopline_fleet::cli::run() as u8)
}
