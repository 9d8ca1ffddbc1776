//! Who may say and hear what. Everything that is not named here is refused.

use stopline_depot::message::Kind;
use stopline_depot::versioned::check_name;

use crate::serve::authority::check_device;

/// Bytes of a topic or filter, at most.
pub const LONGEST: usize = 256;

/// What a device publishes, by the last part of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Whether it is there.
    Available,
    /// A message.
    Says(Kind),
    /// A signed outcome.
    Update,
}

impl Part {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Available,
        Self::Says(Kind::Birth),
        Self::Says(Kind::State),
        Self::Says(Kind::Event),
        Self::Says(Kind::Stats),
        Self::Says(Kind::Drift),
        Self::Update,
    ];

    /// The last part of its topic.
    pub fn word(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Says(kind) => kind.topic(),
            Self::Update => "update",
        }
    }

    /// Whether the newest is kept for those who come later.
    pub fn is_kept(self) -> bool {
        match self {
            Self::Available => true,
            Self::Says(kind) => kind.is_retained(),
            Self::Update => false,
        }
    }
}

/// A fleet's topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    fleet: String,
}

impl Topics {
    /// Of a fleet of this name.
    ///
    /// # Errors
    /// That it is no name.
    pub fn of(fleet: &str) -> Result<Self, String> {
        check_name("fleet", fleet)?;
        Ok(Self { fleet: fleet.to_owned() })
    }

    /// The fleet.
    pub fn fleet(&self) -> &str {
        &self.fleet
    }

    /// What a device publishes on.
    pub fn topic(&self, device: &str, part: Part) -> String {
        format!("stopline/{}/{device}/{}", self.fleet, part.word())
    }

    /// Where a device hears a command.
    pub fn command(&self, device: &str, word: &str) -> String {
        format!("stopline/{}/{device}/cmd/{word}", self.fleet)
    }

    /// Whose topic of what this is; `None` if it is none that a device publishes on.
    pub fn read<'a>(&self, topic: &'a str) -> Option<(&'a str, Part)> {
        let (device, word) = self.below_fleet(topic)?.split_once('/')?;
        check_device(device).ok()?;
        Some((device, Part::ALL.into_iter().find(|part| part.word() == word)?))
    }

    /// What a device publishes on this topic.
    ///
    /// # Errors
    /// In words, that it may not.
    pub fn may_say(&self, device: &str, topic: &str) -> Result<Part, String> {
        match self.read(topic) {
            Some((of, part)) if of == device => Ok(part),
            Some((of, _)) => {
                Err(format!("{device} publishes in the name of {of}; a device speaks below its own id alone"))
            }
            None => Err(format!(
                "{device} publishes on {:?}; devices publish on stopline/{}/{device}/ available, birth, state, event, \
                 stats, drift or update",
                short(topic),
                self.fleet
            )),
        }
    }

    /// Whether a device may subscribe to a filter: its own commands, all or some of them.
    pub fn may_hear(&self, device: &str, filter: &str) -> bool {
        let own = self.below_fleet(filter).and_then(|rest| rest.strip_prefix(device)?.strip_prefix("/cmd/"));
        own.is_some_and(|word| {
            matches!(word, "#" | "+" | "poll" | "receipt" | "acknowledge" | "diagnose" | "forget")
        })
    }

    /// Whether a reader may subscribe to a filter: below the fleet, and not to commands alone.
    pub fn may_read(&self, filter: &str) -> bool {
        filter.len() <= LONGEST && is_filter(filter) && self.below_fleet(filter).is_some()
    }

    fn below_fleet<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix("stopline/")?.strip_prefix(self.fleet.as_str())?.strip_prefix('/')
    }
}

/// Whether a filter is well formed: MQTT 3.1.1 §4.7.1, wildcards stand alone in a level and `#` in the last.
fn is_filter(filter: &str) -> bool {
    let last = filter.split('/').count() - 1;
    !filter.contains('\0')
        && filter.split('/').enumerate().all(|(at, level)| match level {
            "#" => at == last,
            "+" => true,
            level => !level.contains(['+', '#']),
        })
}

/// Whether a topic is one that a filter means: MQTT 3.1.1 §4.7. Topics here begin with no `$`.
pub fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// What is shown of a stranger's text.
pub fn short(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";
    const B: &str = "ffffffffffffffffffffffffffffffff";

    fn topics() -> Topics {
        Topics::of("north").unwrap()
    }

    #[test]
    fn a_device_speaks_below_its_own_id_and_nowhere_else() {
        for part in Part::ALL {
            let topic = topics().topic(A, part);
            assert_eq!(topics().may_say(A, &topic), Ok(part));
            assert!(topics().may_say(B, &topic).unwrap_err().contains("in the name of"));
        }
        for wrong in [
            "",
            "/",
            "stopline",
            "stopline/north/+/state",
            "stopline/north/#",
            "$SYS/broker",
            "homeassistant/status",
            &format!("stopline/south/{A}/state"),
            &format!("stopline/north/{A}"),
            &format!("stopline/north/{A}/"),
            &format!("stopline/north/{A}/state/"),
            &format!("stopline/north/{A}/cmd/receipt"),
            &format!("stopline/north//{A}/state"),
            &format!("/stopline/north/{A}/state"),
            &format!("stopline/north/{A}/State"),
            &format!("stopline/north/{}/state", A.to_uppercase()),
        ] {
            assert!(topics().may_say(A, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_device_hears_its_own_commands_and_nothing_else() {
        for word in ["#", "+", "poll", "receipt", "acknowledge", "diagnose", "forget"] {
            assert!(topics().may_hear(A, &format!("stopline/north/{A}/cmd/{word}")), "{word}");
            assert!(!topics().may_hear(B, &format!("stopline/north/{A}/cmd/{word}")), "{word}");
        }
        for wrong in [
            "#".to_owned(),
            "stopline/north/#".into(),
            "stopline/north/+/cmd/receipt".into(),
            format!("stopline/+/{A}/cmd/#"),
            format!("stopline/north/{A}/#"),
            format!("stopline/north/{A}/state"),
            format!("stopline/north/{A}/cmd"),
            format!("$share/g/stopline/north/{A}/cmd/#"),
        ] {
            assert!(!topics().may_hear(A, &wrong), "{wrong}");
        }
    }

    #[test]
    fn a_reader_reads_below_the_fleet() {
        for good in ["stopline/north/#", "stopline/north/+/state", "stopline/north/+/+"] {
            assert!(topics().may_read(good), "{good}");
        }
        for wrong in [
            "#",
            "stopline/#",
            "stopline/+/x/state",
            "stopline/north/a#",
            "stopline/north/#/state",
            "$share/g/stopline/north/#",
        ] {
            assert!(!topics().may_read(wrong), "{wrong}");
        }
    }

    #[test]
    fn filters_mean_what_the_standard_says() {
        for (filter, topic, is) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/#", "a/b/c", true),
            // Section 4.7.1.2: the parent too.
            ("a/#", "a", true),
            ("+/+", "a/b", true),
            ("a/+/c", "a/b/d", false),
        ] {
            assert_eq!(matches(filter, topic), is, "{filter} {topic}");
        }
    }

    proptest! {
        #[test]
        fn no_text_lets_a_device_speak_or_hear_as_another(text in "(stopline/north/)?[0-9a-f+#/]{0,70}(/cmd/[#+a-z]{0,8}|/[a-z]{0,9})?") {
            if topics().may_say(A, &text).is_ok() || topics().may_hear(A, &text) {
                let own = format!("stopline/north/{A}/");
                prop_assert!(text.starts_with(&own));
            }
        }
    }
}
