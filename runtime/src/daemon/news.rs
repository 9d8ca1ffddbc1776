//! What is new among a camera's situations, for the counts by which models are compared: each is an event once, when it is
//! confirmed, and an alert once, when somebody is told or the brake is asked for.

use stopline_decide::decision::{Decision, MAX_SITUATIONS, Phase};

/// Situations of a camera's newest decision that were counted.
#[derive(Debug)]
pub struct Situations {
    /// Id, and whether it was an alert already.
    known: Vec<(u32, bool)>,
    next: Vec<(u32, bool)>,
}

/// What one decision brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Situations confirmed.
    pub events: u64,
    /// Situations of which somebody is told, or for which braking is asked.
    pub alerts: u64,
}

impl Default for Situations {
    fn default() -> Self {
        // All that a decision holds: the loop allocates nothing later.
        Self { known: Vec::with_capacity(MAX_SITUATIONS), next: Vec::with_capacity(MAX_SITUATIONS) }
    }
}

impl Situations {
    /// What `decision` brings beyond the one before.
    pub fn news(&mut self, decision: &Decision) -> News {
        let mut news = News::default();
        self.next.clear();
        for situation in &decision.situations {
            let before = self.known.iter().find(|(id, _)| *id == situation.id).map(|(_, alert)| *alert);
            let alert = match situation.phase {
                Phase::Warning | Phase::Braking | Phase::Holding => true,
                Phase::Confirmed => false,
                // One that ends was counted if it ever counted.
                Phase::Suspected | Phase::Ended => match before {
                    Some(alert) => alert,
                    None => continue,
                },
            };
            news.events += u64::from(before.is_none());
            news.alerts += u64::from(alert && before != Some(true));
            self.next.push((situation.id, alert || before == Some(true)));
        }
        std::mem::swap(&mut self.known, &mut self.next);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stopline_decide::decision::{Situation, SituationKind};
    use stopline_decide::time::Nanos;

    fn decision(situations: &[(u32, Phase)]) -> Decision {
        let situation = |&(id, phase): &(u32, Phase)| Situation {
            id,
            kind: SituationKind::Pedestrian,
            phase,
            track: None,
            since: Nanos(0),
            distance: None,
            ttc: None,
            score: 0.9,
            reachable: true,
        };
        Decision { situations: situations.iter().map(situation).collect(), ..Decision::default() }
    }

    #[test]
    fn each_situation_counts_once_as_an_event_and_once_as_an_alert() {
        use Phase::{Braking, Confirmed, Ended, Holding, Suspected, Warning};
        let mut situations = Situations::default();
        let mut counted = |of: &[(u32, Phase)]| {
            let News { events, alerts } = situations.news(&decision(of));
            (events, alerts)
        };
        assert_eq!(counted(&[(1, Suspected)]), (0, 0));
        assert_eq!(counted(&[(1, Confirmed), (2, Suspected)]), (1, 0));
        assert_eq!(counted(&[(1, Warning), (2, Braking)]), (1, 2), "the second came at once");
        assert_eq!(counted(&[(1, Confirmed), (2, Holding)]), (0, 0), "it calms down");
        assert_eq!(counted(&[(1, Warning), (2, Suspected)]), (0, 0), "and rises again: the same alert");
        assert_eq!(counted(&[(1, Ended), (2, Ended), (3, Ended)]), (0, 0));
        assert_eq!(counted(&[]), (0, 0));
        assert_eq!(counted(&[(4, Warning)]), (1, 1));
    }
}
