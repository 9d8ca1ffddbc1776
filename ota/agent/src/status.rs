//! What the agent is in, read from what lies on disk: it can be asked while another process holds the depot.

mod words;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use stopline_depot::disk::RealDisk;
use stopline_depot::slots::{
    DepotError, DepotPaths, Floor, Journal, Offer, StatePaths, StateReader, Trust, TrustPaths, read,
    slot_record,
};

use crate::agent::{Agent, floor_path};
use crate::budget::Meter;
use crate::certificate::Age;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::control;
use crate::identity::Identity;
use crate::power;
use crate::settings::Keeper;
use crate::surroundings::Senses;
use crate::tls::{Papers, TimeBound};

pub use words::{date, in_words};

/// Of a running agent.
pub fn of_agent(agent: &Agent) -> Value {
    let status = of(&agent.config, Some(&agent.identity), agent.clock.clone());
    status.unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// Of what lies on disk.
///
/// # Errors
/// A file that is newer than this program, broken, or cannot be read.
pub fn of(config: &Config, identity: Option<&Identity>, clock: Arc<dyn Clock>) -> Result<Value, DepotError> {
    let paths = DepotPaths::new(&config.depot);
    let journal: Journal = read(&RealDisk, &paths.journal())?.unwrap_or_default();
    let state = StateReader::new(StatePaths::new(&config.state));
    let pointers = state.pointers()?;
    let floor: Floor = read(&RealDisk, &floor_path(&config.home))?.unwrap_or_default();
    let trust = Trust::read(&RealDisk, &TrustPaths::new(&config.trust));
    let mut models = serde_json::Map::new();
    for model in &config.models {
        let offer: Option<Offer> = read(&RealDisk, &paths.offer(model))?;
        let of_model = pointers.models.get(model);
        let version =
            |digest| Some(slot_record(&RealDisk, &paths, digest).ok()??.release.version.to_string());
        models.insert(
            model.clone(),
            json!({
                "deployment": journal.of(model),
                "deployment_version": journal.of(model).and_then(|deployment| version(&deployment.digest)),
                "offer": offer,
                "pointers": of_model,
                "current_version": of_model.and_then(|of_model| version(of_model.current.as_ref()?)),
                "progress": state.progress(model)?,
                "floor": {
                    "trust": trust.as_ref().map(|trust| trust.floor_of(model)).ok(),
                    "seen": floor.models.get(model).copied().unwrap_or(0),
                },
            }),
        );
    }
    let waiting = |folder| std::fs::read_dir(config.home.join(folder)).map_or(0, Iterator::count);
    Ok(json!({
        "device": identity.map(Identity::id),
        "hardware": config.hardware,
        "running": control::is_running(&config.home),
        "repository": config.repository,
        "clock": clock::wall_s(&*clock),
        "certificate": identity.map(|identity| certificate(config, identity, clock.clone())),
        "network": network(config, &*clock),
        "power": power::status(config),
        "settings": Keeper::open(&config.home).kept().in_words(),
        "outcomes_waiting": waiting("outcomes"),
        "messages_waiting": waiting("messages"),
        "alerts_open": waiting("alerts"),
        "records": config.upload.spool.as_deref().map(records),
        "trust": trust_problem(&config.trust, trust.err().as_ref()),
        "models": models,
    }))
}

/// What was captured and what became of it, as both ledgers of the spool say.
fn records(spool: &Path) -> Value {
    match stopline_depot::spool::counts(&RealDisk, spool) {
        Ok(counts) => json!(counts),
        Err(error) => json!({ "problem": error.to_string() }),
    }
}

/// `state` is one of `none`, `given`, `unusable`, `fresh`, `due`, `expired`.
fn certificate(config: &Config, identity: &Identity, clock: Arc<dyn Clock>) -> Value {
    let papers = Papers::new(config, identity, clock, TimeBound::default());
    if let Some(file) = &config.tls.certificate_file {
        return json!({ "state": "given", "file": file });
    }
    match papers.certificate() {
        Ok(None) => json!({ "state": "none", "server": config.enrolment.url }),
        Err(error) => json!({ "state": "unusable", "problem": error.to_string() }),
        Ok(Some(own)) => {
            let state = match own.age(papers.now()) {
                Age::Fresh => "fresh",
                Age::Due => "due",
                Age::Expired => "expired",
            };
            json!({
                "state": state,
                "not_before": own.not_before,
                "renew_at": own.renew_at(),
                "not_after": own.not_after,
                "server": config.enrolment.url,
            })
        }
    }
}

fn network(config: &Config, clock: &dyn Clock) -> Value {
    let zone = config.zone().unwrap_or(jiff::tz::TimeZone::UTC);
    let meter = Meter::of_another(&config.home, zone.clone(), config.budget.clone());
    let now = Senses::new(config.device.clone(), zone, meter).look(clock);
    json!({
        "kind": now.network,
        "parked": now.parked,
        "battery_percent": now.battery_percent,
        "mobile_day_bytes": now.mobile.day_bytes,
        "mobile_day_most": config.window.mobile_day_bytes,
        "mobile_month_bytes": now.mobile.month_bytes,
        "mobile_month_most": config.window.mobile_month_bytes,
    })
}

/// Without a trust folder nothing is installed: that is said here, not only when it matters.
fn trust_problem(folder: &Path, problem: Option<&DepotError>) -> Value {
    json!({ "folder": folder, "problem": problem.map(ToString::to_string) })
}
