//! Which models are left out of a frame whose time is spent.
//!
//! Left out is only what costs nothing but time: a model that has not begun, nothing of whose kind is followed or judged,
//! that was not left out of the frame before, and whose last answer is young enough. So something new is seen one frame
//! later at the most, and what is known is looked at in every frame.

use std::time::Duration;

use stopline_decide::decision::Decision;
use stopline_decide::observe::Role;
use stopline_sensors::clock::Monotonic;

use super::AttentionConfig;
use crate::observe::Roles;

/// Models that one thread may have: a bit for each.
const PLACES: usize = 64;

/// What is known of the models' looks at a camera's frames.
pub(super) struct Budget {
    most: Duration,
    max_age: Duration,
    /// Capture time of the newest frame for which the model in each place gave numbers that can be.
    answered: [Option<Monotonic>; PLACES],
    /// Bit i: the model in place i was left out of this frame, and of the one before.
    left: u64,
    left_before: u64,
    /// Kinds of what the last decision followed or judged; `None`: nobody knows.
    followed: Option<Followed>,
}

#[derive(Clone, Copy, Default)]
struct Followed {
    signs: bool,
    persons: bool,
    watched: bool,
}

impl Budget {
    /// As `config` says; none where nothing is to be left out.
    pub fn of(config: &AttentionConfig) -> Option<Self> {
        (config.budget_ms > 0).then(|| Self {
            most: Duration::from_millis(u64::from(config.budget_ms)),
            max_age: Duration::from_millis(u64::from(config.left_out_max_age_ms)),
            answered: [None; PLACES],
            left: 0,
            left_before: 0,
            followed: None,
        })
    }

    /// Another frame begins.
    pub fn begin(&mut self) {
        self.left_before = std::mem::take(&mut self.left);
    }

    /// Whether the model in `place`, which sees `roles`, is left out of the frame taken at `captured`, on which `spent` was
    /// spent so far; and notes that it is.
    pub fn leaves_out(&mut self, place: usize, captured: Monotonic, spent: Duration, roles: &Roles) -> bool {
        let Some(bit) = u32::try_from(place).ok().and_then(|place| 1u64.checked_shl(place)) else {
            return false;
        };
        let (Some(answered), Some(followed)) = (self.answered[place], self.followed) else { return false };
        let young = captured >= answered && captured.since(answered) <= self.max_age;
        let free = !roles.all().any(|role| followed.has(role));
        let left = spent >= self.most && young && free && self.left_before & bit == 0;
        self.left |= if left { bit } else { 0 };
        left
    }

    /// The model in `place` has looked at a frame taken at `captured`; `valid`: it gave numbers that can be.
    pub fn answered(&mut self, place: usize, captured: Monotonic, valid: bool) {
        if let Some(answered) = self.answered.get_mut(place) {
            *answered = valid.then_some(captured);
        }
    }

    /// What came of the frame.
    pub fn decided(&mut self, decision: Option<&Decision>) {
        self.followed = decision.filter(|decision| decision.situations.is_empty()).map(|decision| {
            let mut followed = Followed::default();
            decision.tracks.iter().for_each(|track| *followed.of(track.role) = true);
            followed
        });
    }
}

impl Followed {
    /// Of the kind of `role`: somebody who falls changes the role, not the kind.
    fn of(&mut self, role: Role) -> &mut bool {
        match role {
            Role::StopSign => &mut self.signs,
            Role::Person | Role::PersonDown => &mut self.persons,
            Role::Watched(_) => &mut self.watched,
        }
    }

    fn has(mut self, role: Role) -> bool {
        *self.of(role)
    }
}

#[cfg(test)]
mod tests {
    use stopline_decide::decision::TrackView;
    use stopline_depot::manifest::Manifest;

    use super::*;

    const CONFIG: fn() -> AttentionConfig =
        || AttentionConfig { budget_ms: 20, left_out_max_age_ms: 100, ..AttentionConfig::default() };
    const SPENT: Duration = Duration::from_millis(20);

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_nanos(ms * 1_000_000)
    }

    /// Of a model that sees what the label of the same name says.
    fn sees(label: &str) -> Roles {
        let text = include_str!("../../demo/model.toml");
        let mut manifest = Manifest::from_toml(text).unwrap();
        manifest.roles = [(label.to_owned(), vec![manifest.labels[0].clone()])].into_iter().collect();
        Roles::of(&manifest, &[])
    }

    /// A decision that follows something of this role.
    fn follows(role: Role) -> Decision {
        let mut decision = Decision::default();
        let track = TrackView { id: 1, role, bbox: [0.0; 4], score: 0.5, observation: None };
        decision.tracks.push(track).unwrap();
        decision
    }

    /// The next frame, taken at `ms`: whether the model in place 1 is left out; it answers where it is not.
    fn frame(budget: &mut Budget, ms: u64, spent: Duration, decision: Option<&Decision>) -> bool {
        budget.begin();
        let left = budget.leaves_out(1, at(ms), spent, &sees("stop_sign"));
        if !left {
            budget.answered(1, at(ms), true);
        }
        budget.decided(decision);
        left
    }

    fn frames(budget: &mut Budget, times: &[u64], spent: Duration, decision: &Decision) -> Vec<bool> {
        times.iter().map(|ms| frame(budget, *ms, spent, Some(decision))).collect()
    }

    #[test]
    fn nothing_is_left_out_by_default() {
        assert!(Budget::of(&AttentionConfig::default()).is_none());
    }

    #[test]
    fn what_is_left_out_is_looked_at_in_the_next_frame() {
        let (mut budget, nothing) = (Budget::of(&CONFIG()).unwrap(), Decision::default());
        let left = frames(&mut budget, &[1000, 1033, 1067, 1100, 1133], SPENT, &nothing);
        assert_eq!(left, [false, true, false, true, false], "the first has no answer before it");
        assert_eq!(frames(&mut budget, &[1167, 1200], SPENT / 2, &nothing), [false; 2], "there is time left");
    }

    #[test]
    fn no_answer_is_older_than_it_may_be() {
        let (mut budget, nothing) = (Budget::of(&CONFIG()).unwrap(), Decision::default());
        assert_eq!(frames(&mut budget, &[1000, 1100], SPENT, &nothing), [false, true]);
        let mut budget = Budget::of(&CONFIG()).unwrap();
        assert_eq!(frames(&mut budget, &[1000, 1101], SPENT, &nothing), [false, false]);
    }

    #[test]
    fn what_is_followed_is_looked_at_in_every_frame() {
        let mut budget = Budget::of(&CONFIG()).unwrap();
        let (sign, person) = (follows(Role::StopSign), follows(Role::PersonDown));
        assert_eq!(frames(&mut budget, &[1000, 1033, 1067], SPENT, &sign), [false; 3]);
        assert_eq!(frames(&mut budget, &[1100, 1133, 1167], SPENT, &person), [false, true, false]);
        budget.begin();
        assert!(
            !budget.leaves_out(1, at(1200), SPENT, &sees("pedestrian")),
            "who is down was upright before"
        );
    }

    #[test]
    fn nothing_is_left_out_where_nobody_knows_what_is_followed() {
        let mut budget = Budget::of(&CONFIG()).unwrap();
        assert!(!frame(&mut budget, 1000, SPENT, None) && !frame(&mut budget, 1033, SPENT, None));
        let nothing = Decision::default();
        assert!(!frame(&mut budget, 1067, SPENT, Some(&nothing)));
        budget.answered(1, at(1067), false);
        assert!(!frame(&mut budget, 1100, SPENT, Some(&nothing)), "its last answer was none");
    }
}
