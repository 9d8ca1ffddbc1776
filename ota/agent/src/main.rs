//! The `stopline-agent` command. Reads the command line and hands over to one command.

use std::process::ExitCode;

use stopline_agent::commands::Cli;

fn main() -> ExitCode {
    let cli = Cli::read();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("STOPLINE_AGENT_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .without_time()
        .with_target(false)
        .init();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stopline-agent: {:#}", failure.error);
            ExitCode::from(failure.exit as u8)
        }
    }
}
