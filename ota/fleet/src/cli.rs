//! The program's command line. Every command says in words what it did, and with `--json` the same for a machine.

mod arguments;
mod commands;

use std::io::Write as _;

use clap::{CommandFactory as _, Parser as _};

use crate::clock::{Clock as _, SystemClock};
use crate::exit::{Exit, Said};
use arguments::Cli;

/// What the command line takes, for manual pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Reads the command line, does what it says and tells how to end.
pub fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for = !error.use_stderr();
            // A closed pipe is no reason to complain about.
            let _ = error.print();
            return if asked_for { Exit::Done } else { Exit::Usage };
        }
    };
    match commands::run(&cli, SystemClock.now()) {
        Ok(said) => tell(&said, cli.json),
        Err(failure) => {
            if cli.json {
                let code = failure.exit as u8;
                println!("{}", serde_json::json!({"error": failure.message, "exit": code}));
            }
            eprintln!("stopline-fleet: {failure}");
            failure.exit
        }
    }
}

fn tell(said: &Said, json: bool) -> Exit {
    let mut out = std::io::stdout().lock();
    let written = if json {
        writeln!(out, "{}", said.json)
    } else {
        said.words.iter().try_for_each(|line| writeln!(out, "{line}"))
    };
    if written.and_then(|()| out.flush()).is_err() { Exit::Failure } else { said.exit }
}
