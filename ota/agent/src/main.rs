//! The `stopline-agent` command. Reads the command line and hands over to one command.

use std::process::ExitCode;

use stopline_agent::commands::Cli;
use stopline_journal::Journal;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

fn main() -> ExitCode {
    let cli = Cli::read();
    let filter = EnvFilter::try_from_env("STOPLINE_AGENT_LOG").unwrap_or_else(|_| "info".into());
    let lines = match Journal::connect("stopline-agent") {
        Some(journal) => journal.boxed(),
        None => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(stopline_journal::colours())
            .without_time()
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stopline-agent: {:#}", failure.error);
            ExitCode::from(failure.exit as u8)
        }
    }
}
