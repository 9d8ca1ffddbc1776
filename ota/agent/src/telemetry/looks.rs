//! Birth, state and figures: what the runtime's health file and the board say, said again when it changes or its time has
//! come.

use std::collections::BTreeMap;

use stopline_depot::digest::Digest;
use stopline_depot::health::{Health, StageHealth};
use stopline_depot::message::{
    Birth, BirthModel, Body, CameraStats, LatencyStats, MobileStats, ModelState, State, Stats,
};
use stopline_depot::record::WallTime;

use super::drifts::Drifts;
use super::machine::{self, Ticks};
use super::{Parts, say};
use crate::clock;
use crate::config::Config;

/// Milliseconds in which a runtime that lives writes its health file again.
const STALE_MS: u64 = 10_000;

/// Milliseconds between two states that differ in no alert, at least.
const FLICKER_MS: u64 = 10_000;

/// What was seen last.
#[derive(Debug)]
pub struct Looks {
    configuration: Digest,
    birth: Option<Birth>,
    /// The state that was said last, and when, milliseconds since boot.
    state: Option<(State, u64)>,
    /// The newest health file: when it was written by its own word, and when that was first seen, milliseconds since boot.
    seen: Option<(WallTime, u64)>,
    /// When figures were last said, milliseconds since boot.
    stats_at: Option<u64>,
    ticks: Option<Ticks>,
    stages: BTreeMap<String, StageHealth>,
    drifts: Drifts,
}

impl Looks {
    /// Nothing was seen yet.
    pub fn new(config: &Config) -> Self {
        let configuration = config.source.unwrap_or_else(|| Digest::of(b""));
        let (birth, state, seen, stats_at, ticks) = (None, None, None, None, machine::ticks());
        let drifts = Drifts::open(&config.home);
        Self { configuration, birth, state, seen, stats_at, ticks, stages: BTreeMap::new(), drifts }
    }

    /// Looks, and says what is new. `alerts` are those that nobody has acknowledged.
    pub fn step(&mut self, parts: &Parts, alerts: Vec<String>, now: u64) {
        let health = self.health(parts, now);
        self.birth(parts, health.as_ref().ok(), now);
        if let Ok(health) = &health {
            self.drifts.step(parts, health, now);
        }
        let state = state(health.as_ref(), alerts, parts.upload.waits());
        if self.is_news(&state, now) {
            say(&parts.outbox, &Body::State(Box::new(state.clone())), now);
            self.state = Some((state, now));
        }
        let every = u64::from(parts.config.telemetry.stats_s) * 1_000;
        let since = now.saturating_sub(*self.stats_at.get_or_insert(now));
        if every > 0 && since >= every {
            let span_s = since / 1_000;
            self.stats_at = Some(now);
            let stats = self.stats(parts, health.as_ref().ok(), span_s);
            say(&parts.outbox, &Body::Stats(Box::new(stats)), now);
        }
    }

    /// Alerts are news at once; what flickers is said now and then.
    fn is_news(&self, state: &State, now: u64) -> bool {
        match &self.state {
            Some((before, _)) if before == state => false,
            Some((before, at)) => before.alerts != state.alerts || now.saturating_sub(*at) >= FLICKER_MS,
            None => true,
        }
    }

    /// The health file, if it says what is and not what was.
    fn health(&mut self, parts: &Parts, now: u64) -> Result<Health, &'static str> {
        let path = parts.config.device.health_file.as_deref().ok_or("no_health_file")?;
        let health = Health::read(path).map_err(|_| "health_unreadable")?;
        match self.seen {
            Some((written, at)) if written == health.written_wall => {
                if health.state.name != "stopped" && now.saturating_sub(at) > STALE_MS {
                    return Err("health_stale");
                }
            }
            _ => self.seen = Some((health.written_wall, now)),
        }
        Ok(health)
    }

    fn birth(&mut self, parts: &Parts, health: Option<&Health>, now: u64) {
        let birth = Birth {
            agent: env!("CARGO_PKG_VERSION").into(),
            runtime: health.map(|health| health.version.clone()),
            name: health.map(|health| health.name.clone()),
            hardware: parts.config.hardware.clone(),
            system: machine::system(),
            kernel: machine::kernel(),
            configuration: self.configuration,
            settings: parts.config.settings.clone(),
            cameras: health.map_or_else(Vec::new, |health| {
                health.cameras.iter().map(|camera| camera.name.clone()).collect()
            }),
            models: health.map_or_else(Vec::new, birth_models),
            at_wall: None,
        };
        // A runtime that is away for a moment is the state's to tell: who it was stays known.
        if self.birth.as_ref() == Some(&birth) || (health.is_none() && self.birth.is_some()) {
            return;
        }
        let at_wall = clock::wall_label(&*parts.clock);
        say(&parts.outbox, &Body::Birth(Box::new(Birth { at_wall, ..birth.clone() })), now);
        self.birth = Some(birth);
    }

    fn stats(&mut self, parts: &Parts, health: Option<&Health>, span_s: u64) -> Stats {
        let ticks = machine::ticks();
        let cpu = self.ticks.zip(ticks).and_then(|(before, after)| machine::used(before, after));
        self.ticks = ticks;
        let surroundings = parts.senses.look(&*parts.clock);
        let folders = [
            ("home", Some(&parts.config.home)),
            ("depot", Some(&parts.config.depot)),
            ("spool", parts.config.upload.spool.as_ref()),
        ];
        let disks = folders
            .into_iter()
            .filter_map(|(name, folder)| machine::disk(folder?).map(|disk| (name.to_owned(), disk)));
        Stats {
            span_s,
            uptime_s: parts.clock.since_boot_ms() / 1_000,
            cpu,
            memory_total_bytes: machine::memory("MemTotal"),
            memory_available_bytes: machine::memory("MemAvailable"),
            runtime_resident_bytes: health.map(|health| health.machine.resident_kib.saturating_mul(1_024)),
            agent_resident_bytes: machine::own_resident(),
            temperature_c: machine::temperature(),
            throttled: machine::throttled(),
            disks: disks.collect(),
            mobile: MobileStats {
                day_bytes: surroundings.mobile.day_bytes,
                month_bytes: surroundings.mobile.month_bytes,
            },
            cameras: health.map_or_else(BTreeMap::new, cameras),
            latencies: health.map_or_else(BTreeMap::new, |health| self.latencies(health)),
            spool: parts.upload.stats(),
            messages: parts.outbox.stats(),
        }
    }

    fn latencies(&mut self, health: &Health) -> BTreeMap<String, LatencyStats> {
        let mut latencies = BTreeMap::new();
        for stage in &health.stages {
            let before = self.stages.insert(stage.stage.clone(), stage.clone());
            if let Some(latency) = latency(before.as_ref(), stage) {
                latencies.insert(stage.stage.clone(), latency);
            }
        }
        latencies
    }
}

fn birth_models(health: &Health) -> Vec<BirthModel> {
    let of = |model: &stopline_depot::health::ModelHealth| BirthModel {
        name: model.name.clone(),
        model: model.identity.as_ref().map(|identity| identity.name.clone()),
        version: model.identity.as_ref().map(|identity| identity.version.to_string()),
        digest: model.identity.as_ref().map(|identity| identity.digest.clone()),
        bundle: model.deployment.as_ref().map(|deployment| deployment.bundle.clone()),
    };
    health.models.iter().map(of).collect()
}

fn state(health: Result<&Health, &&'static str>, alerts: Vec<String>, upload_waits: Option<String>) -> State {
    let health = match health {
        Ok(health) => health,
        Err(cause) => {
            let (runtime, cause) = ("unknown".into(), Some((*cause).into()));
            return State { runtime, cause, alerts, upload_waits, ..State::default() };
        }
    };
    let model = |model: &stopline_depot::health::ModelHealth| {
        let deployment = model.deployment.as_ref()?;
        Some(ModelState {
            name: model.name.clone(),
            bundle: deployment.bundle.clone(),
            rollout_id: deployment.rollout_id.clone(),
            phase: deployment.phase.clone(),
            cause: deployment.cause.clone(),
        })
    };
    State {
        runtime: health.state.name.clone(),
        cause: health.state.cause.clone(),
        faults: health.faults.clone(),
        armed: health.arming.armed,
        cameras: health.cameras.iter().map(|camera| (camera.name.clone(), camera.faults.clone())).collect(),
        models: health.models.iter().filter_map(model).collect(),
        alerts,
        upload_waits,
    }
}

fn cameras(health: &Health) -> BTreeMap<String, CameraStats> {
    let of = |camera: &stopline_depot::health::CameraHealth| {
        let dropped = [camera.dropped, camera.replaced, camera.shed, camera.skipped];
        let stats = CameraStats {
            decided_fps: camera.decided_fps,
            decided: camera.decided,
            dropped: dropped.into_iter().fold(0, u64::saturating_add),
            lost: camera.lost,
            power: camera.power.clone(),
        };
        (camera.name.clone(), stats)
    };
    health.cameras.iter().map(of).collect()
}

/// What a stage took since `before`; none where it did not run. A process that began anew counts from zero.
fn latency(before: Option<&StageHealth>, now: &StageHealth) -> Option<LatencyStats> {
    let before = before.filter(|before| before.count <= now.count);
    let count = now.count - before.map_or(0, |before| before.count);
    let within = |power: usize| {
        let then = before.and_then(|before| before.within_power_us.get(power)).copied().unwrap_or(0);
        now.within_power_us.get(power).map(|all| all.saturating_sub(then))
    };
    let percentile = |percent: u64| {
        let wanted = u64::try_from((u128::from(count) * u128::from(percent)).div_ceil(100)).ok()?;
        let powers = 0..now.within_power_us.len().min(63);
        let power = powers.into_iter().find(|power| within(*power).is_some_and(|within| within >= wanted));
        Some(power.map_or(now.max_us, |power| 1_u64 << power).min(now.max_us))
    };
    if count == 0 {
        return None;
    }
    Some(LatencyStats { count, p50_us: percentile(50)?, p99_us: percentile(99)?, max_us: now.max_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(count: u64, within: &[u64], max_us: u64) -> StageHealth {
        StageHealth { stage: "total".into(), count, sum_us: 0, max_us, within_power_us: within.to_vec() }
    }

    #[test]
    fn percentiles_are_those_of_the_span_and_never_above_the_longest() {
        let before = stage(100, &[0, 0, 100, 100], 4);
        let now = stage(200, &[0, 0, 150, 199, 200], 9);
        let latency = |before, now| super::latency(before, now).unwrap();
        let expected = LatencyStats { count: 100, p50_us: 4, p99_us: 8, max_us: 9 };
        assert_eq!(latency(Some(&before), &now), expected);
        assert_eq!(latency(None, &before), LatencyStats { count: 100, p50_us: 4, p99_us: 4, max_us: 4 });
        assert_eq!(super::latency(Some(&now), &now), None, "it did not run");
        let restarted = stage(10, &[10], 1);
        assert_eq!(latency(Some(&now), &restarted).count, 10);
        let odd = stage(5, &[], 7);
        assert_eq!(latency(None, &odd), LatencyStats { count: 5, p50_us: 7, p99_us: 7, max_us: 7 });
    }
}
