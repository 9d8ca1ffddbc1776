//! The `stopline` command. Reads the command line, sets up the log, and hands over to one command.

use std::process::ExitCode;

use stopline::commands::Cli;

fn main() -> ExitCode {
    let cli = Cli::read();
    stopline::log::install(cli.log_level(), cli.log_level_given());
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stopline: {:#}", failure.error);
            ExitCode::from(failure.exit as u8)
        }
    }
}
