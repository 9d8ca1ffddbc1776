//! The command line.

mod enrolling;
mod migrating;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::agent::Agent;
use crate::agent::usb::Installed;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::diagnose::{self, Ask};
use crate::exit::{Exit, Failure, HELP, OrExit as _};
use crate::identity::Identity;
use crate::{control, daemon, status};

/// systemd-timesyncd makes it when the clock is right for the first time since boot.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// Fetches the models that signed roll-outs name for this device and offers them to the runtime. It never activates one.
#[derive(Debug, Parser)]
#[command(name = "stopline-agent", version, after_help = HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run as a service: poll nightly, fetch when allowed, report.
    #[command(after_help = HELP)]
    Run(Of),
    /// Poll now: by the running agent, or here if none runs.
    #[command(after_help = HELP)]
    CheckNow(Of),
    /// Show deployments, offers and what decides.
    #[command(after_help = HELP)]
    Status(Of),
    /// Install from a folder with metadata/ and targets/, as on a USB stick, with a person standing by. The agent must not run.
    #[command(after_help = HELP)]
    Install {
        /// The folder.
        folder: PathBuf,
        #[command(flatten)]
        of: Of,
    },
    /// Gather versions, status, configuration and logs in a file for whoever helps, without keys, passwords and places.
    #[command(after_help = HELP)]
    Diagnose {
        /// The file; it must not be there yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// A log file, its end; may be given again. Left out: the journal of both services.
        #[arg(long, value_name = "FILE")]
        log: Vec<PathBuf>,
        /// The runtime's configuration.
        #[arg(long, value_name = "FILE")]
        runtime_config: Option<PathBuf>,
        /// The program `stopline`: its doctor looks at cameras, buses and lines, with the daemon stopped.
        #[arg(long, value_name = "PROGRAM", requires = "runtime_config")]
        doctor: Option<PathBuf>,
        #[command(flatten)]
        of: Of,
    },
    /// Bring the configuration to the newest schema.
    Config {
        #[command(subcommand)]
        what: migrating::What,
    },
    /// Make the device's identity if there is none, and show its id and public key.
    #[command(after_help = HELP)]
    Identity(Of),
    /// Get the device's certificate: by a token over HTTPS, or by a request and a certificate that a person carries. Makes the
    /// identity if there is none.
    #[command(after_help = HELP)]
    Enroll {
        #[command(flatten)]
        way: enrolling::Way,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/stopline/agent.toml")]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// Reads the command line; what is wrong with it ends the process with 2.
    pub fn read() -> Self {
        Self::parse()
    }

    /// Runs the command.
    ///
    /// # Errors
    /// [`Failure`] with its exit code.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Run(of) => run(&of),
            Command::CheckNow(of) => check_now(&of),
            Command::Status(of) => show_status(&of),
            Command::Install { folder, of } => install(&folder, &of),
            Command::Diagnose { out, log: logs, runtime_config, doctor, of } => {
                let ask = Ask { config: of.config.clone(), runtime_config, logs, doctor };
                diagnose(&out, &ask, &of)
            }
            Command::Config { what } => migrating::run(&what),
            Command::Identity(of) => identity(&of),
            Command::Enroll { way, of } => enrolling::enroll(&way, &of),
        }
    }
}

fn run(of: &Of) -> Result<(), Failure> {
    let config = read(of)?;
    let clock = clock(&config);
    daemon::run(config, clock)
}

fn check_now(of: &Of) -> Result<(), Failure> {
    let config = read(of)?;
    // An agent that ends in the middle has not gone for good: doing its work here would keep the next one from the depot.
    let answer = match control::check_now(&config.home).or_exit(Exit::Busy)? {
        Some(answer) => serde_json::from_str(&answer).or_exit(Exit::Internal)?,
        None => check_here(config)?,
    };
    show(of, &answer);
    match &answer["failed"] {
        serde_json::Value::Null => Ok(()),
        failed => {
            let problem = failed["problem"].as_str().unwrap_or("the agent did not say why").to_owned();
            Err(Failure { exit: Exit::of(&failed["exit"]), error: anyhow::Error::msg(problem) })
        }
    }
}

/// No agent runs: this process is one for a moment.
fn check_here(config: Config) -> Result<serde_json::Value, Failure> {
    let runtime = daemon::runtime().or_exit(Exit::Internal)?;
    let clock = clock(&config);
    let mut agent = Agent::open(config, clock, runtime.handle().clone()).map_err(daemon::open_failure)?;
    let asked = agent.check_now();
    Ok(control::answer_of(&agent, asked))
}

fn show_status(of: &Of) -> Result<(), Failure> {
    show(of, &status_of(of)?.1);
    Ok(())
}

fn status_of(of: &Of) -> Result<(Config, serde_json::Value), Failure> {
    let config = read(of)?;
    let identity = if config.home.join("device-id").exists() {
        Some(Identity::of(&config).or_exit(Exit::Config)?)
    } else {
        None
    };
    let clock = clock(&config);
    let status = status::of(&config, identity.as_ref(), clock).or_exit(Exit::Internal)?;
    Ok((config, status))
}

fn diagnose(out: &Path, ask: &Ask, of: &Of) -> Result<(), Failure> {
    let (config, status) = status_of(of)?;
    let bundle = diagnose::gather(ask, &config, &status, &*clock(&config));
    diagnose::write(out, &bundle).with_context(|| out.display().to_string()).or_exit(Exit::Internal)?;
    println!("{}: read it before you give it away", out.display());
    Ok(())
}

fn install(folder: &Path, of: &Of) -> Result<(), Failure> {
    let config = read(of)?;
    let runtime = daemon::runtime().or_exit(Exit::Internal)?;
    let clock = clock(&config);
    let mut agent = Agent::open(config, clock, runtime.handle().clone()).map_err(daemon::open_failure)?;
    let installed =
        agent.install(folder).map_err(|error| Failure { exit: error.exit(), error: error.into() })?;
    if of.json {
        println!("{}", serde_json::to_string(&installed).or_exit(Exit::Internal)?);
        return Ok(());
    }
    for Installed { model, version, digest } in installed {
        println!(
            "{model} {version} ({digest}) is staged and offered; the runtime tests it and takes it up at standstill"
        );
    }
    Ok(())
}

fn identity(of: &Of) -> Result<(), Failure> {
    let config = read(of)?;
    std::fs::create_dir_all(&config.home).or_exit(Exit::Config)?;
    let identity = Identity::of(&config).or_exit(Exit::Config)?;
    let key: String = identity.public_key().iter().map(|byte| format!("{byte:02x}")).collect();
    if of.json {
        println!("{}", serde_json::json!({ "device": identity.id(), "key": key }));
    } else {
        println!("device {}\nkey    {key} (ed25519)", identity.id());
    }
    Ok(())
}

fn read(of: &Of) -> Result<Config, Failure> {
    Config::read(&of.config).or_exit(Exit::Config)
}

fn clock(config: &Config) -> Arc<dyn Clock> {
    let file = config.device.synchronised_file.clone();
    Arc::new(SystemClock::new(file.unwrap_or_else(|| SYNCHRONISED.into())))
}

fn show(of: &Of, status: &serde_json::Value) {
    if of.json {
        println!("{status}");
    } else {
        println!("{}", status::in_words(status));
    }
}
