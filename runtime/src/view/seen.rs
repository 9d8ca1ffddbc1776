//! What the daemon said last. Bounded: one record and one picture a camera, the newest events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use stopline_depot::health::Health;
use stopline_depot::record::DecisionRecord;
use stopline_depot::stream::{Event, Message, Picture};
use stopline_sensors::clock::{Clock, Monotonic};

/// Events kept.
const EVENTS: usize = 200;
/// Cameras kept: what the daemon names, and never more.
const CAMERAS: usize = 64;

/// What was said last.
pub struct Seen {
    clock: Arc<dyn Clock>,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    name: String,
    version: String,
    /// Why nothing comes; `None` while connected.
    lost: Option<String>,
    heard: Option<Monotonic>,
    health: Option<Box<Health>>,
    records: BTreeMap<String, Box<DecisionRecord>>,
    pictures: BTreeMap<String, (Picture, Arc<[u8]>)>,
    events: VecDeque<Event>,
    /// Connections made since this process began.
    connections: u64,
}

impl Seen {
    /// Nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let said = Said { lost: Some("not connected yet".to_owned()), ..Said::default() };
        Self { clock, said: Mutex::new(said) }
    }

    /// Takes a message in; `jpeg` belongs to a picture.
    pub fn take(&self, message: Message, jpeg: &[u8]) {
        let now = self.clock.monotonic();
        let mut said = self.said();
        said.heard = Some(now);
        match message {
            Message::Hello { name, version, .. } => {
                let connections = said.connections + 1;
                // What an earlier process said is not what this one is in.
                *said = Said { name, version, connections, heard: Some(now), ..Said::default() };
            }
            Message::Record(record) => keep(&mut said.records, record.source.clone(), record),
            Message::Picture(picture) => {
                keep(&mut said.pictures, picture.camera.clone(), (picture, Arc::from(jpeg)));
            }
            Message::Health(health) => said.health = Some(health),
            Message::Event(event) => {
                if said.events.len() == EVENTS {
                    said.events.pop_front();
                }
                said.events.push_back(event);
            }
            Message::Unknown => {}
        }
    }

    /// The stream is gone, because of `why`.
    pub fn lost(&self, why: String) {
        self.said().lost = Some(why);
    }

    /// The newest JPEG of a camera.
    pub fn picture(&self, camera: &str) -> Option<Arc<[u8]>> {
        self.said().pictures.get(camera).map(|(_, jpeg)| Arc::clone(jpeg))
    }

    /// The newest health and whether the stream is there.
    pub fn health(&self) -> (bool, Option<Health>) {
        let said = self.said();
        (said.lost.is_none(), said.health.as_deref().cloned())
    }

    /// Everything but the pictures' bytes, for the page.
    pub fn as_json(&self) -> Value {
        let now = self.clock.monotonic();
        let said = self.said();
        let pictures: BTreeMap<&str, &Picture> =
            said.pictures.iter().map(|(name, (picture, _))| (name.as_str(), picture)).collect();
        json!({
            "schema": 1,
            "connected": said.lost.is_none(),
            "lost": said.lost,
            "silent_ms": said.heard.map(|heard| now.since(heard).as_millis()),
            "name": said.name,
            "version": said.version,
            "health": said.health,
            "records": said.records,
            "pictures": pictures,
            "events": said.events,
        })
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<T>(kept: &mut BTreeMap<String, T>, name: String, value: T) {
    if kept.len() < CAMERAS || kept.contains_key(&name) {
        kept.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use stopline_depot::record::WallTime;
    use stopline_sensors::clock::HeldClock;

    use super::*;

    fn hello() -> Message {
        Message::Hello { schema: 1, name: "car".into(), version: "1".into(), cameras: vec!["front".into()] }
    }

    fn event(number: u64) -> Message {
        let wall: WallTime = "2026-02-28T23:59:59.000250Z".parse().expect("a time");
        Message::Event(Event { number, wall, id: "state".into(), text: "state active".into() })
    }

    fn picture(camera: String) -> Message {
        let (size, image_size) = ([4, 3], [8, 6]);
        Message::Picture(Picture { camera, frame: 3, size, image_size, jpeg_bytes: 3 })
    }

    #[test]
    fn a_new_process_begins_with_nothing_of_the_last_one() {
        let clock = HeldClock::default();
        let seen = Seen::new(Arc::new(clock.clone()));
        assert_eq!(seen.as_json()["connected"], false);
        seen.take(hello(), &[]);
        seen.take(event(1), &[]);
        seen.take(picture("front".into()), b"jpg");
        assert_eq!(seen.picture("front").as_deref(), Some(&b"jpg"[..]));
        seen.lost("gone".into());
        let said = seen.as_json();
        assert_eq!((&said["connected"], &said["lost"]), (&json!(false), &json!("gone")));
        assert!(seen.picture("front").is_some(), "what was seen last stays to be looked at, told as old");
        seen.take(hello(), &[]);
        assert_eq!(seen.as_json()["events"], json!([]));
        assert!(seen.picture("front").is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let seen = Seen::new(Arc::new(HeldClock::default()));
        seen.take(hello(), &[]);
        for number in 0..1000 {
            seen.take(event(number), &[]);
            seen.take(picture(format!("camera-{number}")), b"jpg");
        }
        let said = seen.as_json();
        assert_eq!(said["events"].as_array().map(Vec::len), Some(EVENTS));
        assert_eq!(said["events"][EVENTS - 1]["number"], 999);
        assert_eq!(said["pictures"].as_object().map(serde_json::Map::len), Some(CAMERAS));
    }
}
