//! `stopline model verdicts` and `stopline model reopen`: what this device knows of bundles, and taking it back.

use std::path::PathBuf;

use stopline_depot::deployment::{Verdict, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::slots::{self, StatePaths};

use crate::commands::arm;
use crate::config::Config;
use crate::daemon::control::Order;
use crate::exit::{Exit, Failure, OrExit};
use crate::models::store::Store;

/// Arguments of `stopline model verdicts`.
#[derive(clap::Args, Debug)]
pub struct Verdicts {
    /// The daemon's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `stopline model reopen`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A bundle that was found bad is never tried again by itself, but for one that did not load with an \
older runtime. Reopened, it is judged, tested and watched like a new one when it is offered; its signatures, the floor and \
the deny list count as before. `stopline model verdicts` lists the digests.

A running daemon is told and does it; without one it is done here. Exit code 10: nothing is known of that bundle."
)]
pub struct Reopen {
    /// SHA-256 of its bundle.tar, 64 hexadecimal digits.
    #[arg(value_name = "DIGEST")]
    digest: Digest,
    /// The daemon's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn verdicts(args: &Verdicts) -> Result<(), Failure> {
    let known = known(&StatePaths::new(state(&args.config)?)).or_exit(Exit::Input)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&known).or_exit(Exit::Internal)?);
        return Ok(());
    }
    if known.is_empty() {
        println!("nothing is known of any bundle");
    }
    for verdict in known {
        let state = match verdict.verdict {
            VerdictState::Bad { cause } => format!("bad: {cause:?}").to_lowercase(),
            other => format!("{other:?}").to_lowercase(),
        };
        let deferred = match verdict.deferred {
            0 => String::new(),
            count => format!(", put off {count} times"),
        };
        println!("{}  {state}{deferred} (stopline {})", verdict.digest, verdict.runtime);
    }
    Ok(())
}

pub(super) fn reopen(args: &Reopen) -> Result<(), Failure> {
    let folder = state(&args.config)?;
    // The state has one writer: a daemon that runs holds it, and is asked.
    let Ok(store) = Store::open(&folder) else {
        return arm::tell(&args.config, Order::Reopen(args.digest));
    };
    let Some(before) = store.reopen(&args.digest) else {
        let problem = anyhow::anyhow!("bundle {}: nothing is known of it here", args.digest);
        return Err(Failure::new(Exit::Refused, problem));
    };
    println!("bundle {} is open again; it was {before:?}", args.digest);
    Ok(())
}

fn state(config: &std::path::Path) -> Result<PathBuf, Failure> {
    let depot = Config::load(config).or_exit(Exit::Config)?.depot;
    let missing = || {
        let problem = anyhow::anyhow!("{}: no [depot]: no models over the air", config.display());
        Failure::new(Exit::Config, problem)
    };
    depot.map(|depot| depot.state).ok_or_else(missing)
}

/// By digest; what another program left there is no verdict.
fn known(paths: &StatePaths) -> anyhow::Result<Vec<Verdict>> {
    let entries = match std::fs::read_dir(paths.verdicts()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut digests: Vec<Digest> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
        .collect();
    digests.sort();
    let read = |digest: &Digest| slots::read(&RealDisk, &paths.verdict(digest)).transpose();
    Ok(digests.iter().filter_map(read).collect::<Result<_, _>>()?)
}
