//! What the agent is in, read from what lies on disk: it can be asked while another process holds the depot.

use serde_json::{Value, json};
use stopline_depot::disk::RealDisk;
use stopline_depot::slots::{DepotError, DepotPaths, Journal, Offer, StatePaths, StateReader, read};

use crate::agent::Agent;
use crate::config::Config;
use crate::identity::Identity;

/// Of a running agent.
pub fn of_agent(agent: &Agent) -> Value {
    of(&agent.config, Some(&agent.identity)).unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// Of what lies on disk.
///
/// # Errors
/// A file that is newer than this program, broken, or cannot be read.
pub fn of(config: &Config, identity: Option<&Identity>) -> Result<Value, DepotError> {
    let paths = DepotPaths::new(&config.depot);
    let journal: Journal = read(&RealDisk, &paths.journal())?.unwrap_or_default();
    let state = StateReader::new(StatePaths::new(&config.state));
    let pointers = state.pointers()?;
    let mut models = serde_json::Map::new();
    for model in &config.models {
        let offer: Option<Offer> = read(&RealDisk, &paths.offer(model))?;
        models.insert(
            model.clone(),
            json!({
                "deployment": journal.of(model),
                "offer": offer,
                "pointers": pointers.models.get(model),
                "progress": state.progress(model)?,
            }),
        );
    }
    let waiting = std::fs::read_dir(config.home.join("outcomes")).map_or(0, Iterator::count);
    Ok(json!({
        "device": identity.map(Identity::id),
        "hardware": config.hardware,
        "repository": config.repository,
        "outcomes_waiting": waiting,
        "models": models,
    }))
}

/// In lines for people.
pub fn in_words(status: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = vec![
        format!("device      {}", text(&status["device"])),
        format!("hardware    {}", text(&status["hardware"])),
        format!("repository  {}", text(&status["repository"])),
        format!("outcomes    {} waiting", status["outcomes_waiting"]),
    ];
    for (model, state) in status["models"].as_object().into_iter().flatten() {
        let deployment = &state["deployment"];
        lines.push(if deployment.is_null() {
            format!("{model}: no deployment")
        } else {
            let cause =
                deployment.get("cause").map(|cause| format!(" ({})", text(cause))).unwrap_or_default();
            format!(
                "{model}: {}{cause} of {} in {}",
                text(&deployment["phase"]),
                text(&deployment["digest"]),
                text(&deployment["rollout_id"])
            )
        });
        let current = &state["pointers"]["current"];
        lines.push(format!(
            "{model}: decides: {}",
            if current.is_null() { "factory".into() } else { text(current) }
        ));
    }
    lines.join("\n")
}
