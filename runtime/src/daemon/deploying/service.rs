//! What the bundle that decides has done since it took its place: counted here, kept over starts, told by the agent.
//!
//! It follows what sits in the model's place, however that came there: a start, an exchange, a way back.

use stopline_depot::deployment::Exposure;
use stopline_depot::slots::{FACTORY, RETURNED, ServiceRecord};
use stopline_depot::versioned::Versioned as _;

use crate::daemon::report::BundleFacts;
use crate::models::store::Store;

/// Seconds from one write to the next: a power cut costs as much, and a day 144 small writes at most.
const KEEP_S: u64 = 600;

/// The record of one model's place.
pub(super) struct Service {
    /// The model's name in releases.
    model: String,
    /// What was counted before this process, or before the bundle took its place in it; none until one is seen there.
    record: Option<ServiceRecord>,
    /// What this process had counted, of all but frames, when the bundle took its place.
    mark: Exposure,
    written: Exposure,
    written_s: u64,
    /// The process before crashed, and that is not counted yet.
    crashed: bool,
}

impl Service {
    pub fn new(model: &str, crashed: bool) -> Self {
        let (mark, written) = (Exposure::default(), Exposure::default());
        Self { model: model.to_owned(), record: None, mark, written, written_s: 0, crashed }
    }

    /// One look: `bundle` decides, `counted` is what it did in this process by `now_s`, the marks' counts since the process
    /// began; it is asked for only where something is written. `brought` names the roll-out that brought a bundle.
    pub fn look(
        &mut self,
        bundle: BundleFacts,
        counted: impl FnOnce() -> Exposure,
        now_s: u64,
        brought: impl FnOnce() -> Option<String>,
        store: &Store,
    ) {
        let same = self.record.as_ref().is_some_and(|record| record.digest == bundle.digest);
        if same && now_s < self.written_s.saturating_add(KEEP_S) {
            return;
        }
        let counted = counted();
        if !same {
            self.take_up(bundle, &counted, brought, store);
        }
        self.keep(&counted, now_s, store);
    }

    fn take_up(
        &mut self,
        bundle: BundleFacts,
        counted: &Exposure,
        brought: impl FnOnce() -> Option<String>,
        store: &Store,
    ) {
        // Only a start goes on with what was counted: within a process another bundle was here in between.
        let begins = self.record.is_none();
        let kept = store.service(&self.model).filter(|kept| begins && kept.digest == bundle.digest);
        let crashed = std::mem::take(&mut self.crashed);
        let mut record = kept.unwrap_or_else(|| ServiceRecord {
            schema: ServiceRecord::SCHEMA,
            rollout_id: match bundle.factory {
                true => FACTORY.to_owned(),
                false => brought().unwrap_or_else(|| RETURNED.to_owned()),
            },
            digest: bundle.digest,
            exposure: Exposure::default(),
        });
        record.exposure.crashes += u64::from(crashed && record.exposure.frames > 0);
        self.mark = if begins { Exposure::default() } else { *counted };
        self.record = Some(record);
    }

    /// What it has done.
    fn exposure(&self, counted: &Exposure) -> Option<Exposure> {
        let record = self.record.as_ref()?;
        let since = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
        let here = Exposure {
            ignition_cycles: since(counted.ignition_cycles, self.mark.ignition_cycles),
            overrides: since(counted.overrides, self.mark.overrides),
            ..*counted
        };
        Some(record.exposure.and_then(&here))
    }

    /// Writes it, where there is something new to write.
    fn keep(&mut self, counted: &Exposure, now_s: u64, store: &Store) {
        let Some((exposure, record)) = self.exposure(counted).zip(self.record.as_ref()) else { return };
        self.written_s = now_s;
        if exposure == self.written {
            return;
        }
        self.written = exposure;
        store.keep_service(&self.model, &ServiceRecord { exposure, ..record.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stopline_depot::digest::Digest;

    fn bundle(name: &str, factory: bool) -> BundleFacts {
        BundleFacts { digest: Digest::of(name.as_bytes()), factory }
    }

    fn counted(frames: u64, overrides: u64) -> Exposure {
        Exposure { frames, active_s: frames / 30, overrides, alerts: frames / 300, ..Exposure::default() }
    }

    fn told(store: &Store) -> (String, u64, u64, u64) {
        let record = store.service("m").unwrap();
        let Exposure { frames, crashes, overrides, .. } = record.exposure;
        (record.rollout_id, frames, crashes, overrides)
    }

    #[test]
    fn what_is_counted_belongs_to_the_bundle_that_was_there_and_survives_starts_and_crashes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let by = || Some("r-2".to_owned());
        let mut first = Service::new("m", false);
        first.look(bundle("old", true), || counted(300, 1), 1, by, &store);
        assert_eq!(told(&store), ("factory".into(), 300, 0, 1));
        first.look(bundle("old", true), || counted(600, 1), 2, by, &store);
        assert_eq!(told(&store).1, 300, "not at every look");
        first.look(bundle("old", true), || counted(900, 2), 700, by, &store);
        assert_eq!(told(&store), ("factory".into(), 900, 0, 2));

        // Another takes its place: its frames are counted anew, overrides go on in the process.
        first.look(bundle("new", false), || counted(30, 2), 701, by, &store);
        assert_eq!(told(&store), ("r-2".into(), 30, 0, 0));
        first.keep(&counted(60, 3), 702, &store);
        assert_eq!(told(&store), ("r-2".into(), 60, 0, 1));

        let mut second = Service::new("m", true);
        second.look(bundle("new", false), || counted(15, 0), 1, || None, &store);
        assert_eq!(told(&store), ("r-2".into(), 75, 1, 1), "the start after a crash counts it");
        second.look(bundle("old", false), || counted(3, 0), 2, || None, &store);
        assert_eq!(told(&store), ("returned".into(), 3, 0, 0));
    }

    #[test]
    fn a_crash_is_not_charged_to_a_bundle_that_was_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut service = Service::new("m", true);
        service.look(bundle("new", false), || counted(30, 0), 1, || None, &store);
        assert_eq!(told(&store), ("returned".into(), 30, 0, 0));
    }
}
