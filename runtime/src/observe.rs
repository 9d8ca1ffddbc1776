//! Detections, as a model names them, to observations, as the decision takes them in.
//!
//! The manifest's `roles` say which labels play which part: `stop_sign`, `pedestrian` (or `person`), `fallen` (a person on
//! the ground), and any name of a `[[watch]]` section. Keypoints are matched by name to COCO's seventeen.

use stopline_decide::observe::{Keypoint, Keypoints, Observation, Role};
use stopline_depot::manifest::Manifest;

use crate::detection::Detection;

/// COCO's keypoints, in the order of [`Keypoints`].
const COCO: [&str; 17] = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
];

/// Which part each class of one model plays.
#[derive(Clone, Debug, PartialEq)]
pub struct Roles {
    /// By class number.
    classes: Vec<Option<Role>>,
    /// For each of COCO's keypoints the model's, where it has one.
    keypoints: Option<[Option<usize>; 17]>,
}

impl Roles {
    /// The parts that `manifest` gives; `watched` are the names of the `[[watch]]` sections in their order.
    pub fn of(manifest: &Manifest, watched: &[&str]) -> Self {
        let role = |label: &String| {
            let names =
                manifest.roles.iter().filter(|(_, labels)| labels.contains(label)).map(|(name, _)| name);
            names.filter_map(|name| role_named(name, watched)).min_by_key(|role| rank(*role))
        };
        let keypoints =
            (!manifest.keypoints.is_empty()).then(|| COCO.map(|name| keypoint_of(manifest, name)));
        Self { classes: manifest.labels.iter().map(role).collect(), keypoints }
    }

    /// The part that a class plays.
    pub fn role(&self, class: usize) -> Option<Role> {
        self.classes.get(class).copied().flatten()
    }

    /// Every part that a class of this model plays.
    pub fn all(&self) -> impl Iterator<Item = Role> + '_ {
        self.classes.iter().filter_map(|role| *role)
    }

    /// What `detection` is to the decision; `None` where its class plays no part.
    pub fn observation(&self, detection: &Detection) -> Option<Observation> {
        let role = self.role(detection.class)?;
        let keypoints = self.keypoints.map(|map| Keypoints(map.map(|at| point(detection, at))));
        Some(Observation { role, score: detection.score, bbox: detection.bbox, keypoints })
    }
}

fn role_named(name: &str, watched: &[&str]) -> Option<Role> {
    match name {
        "stop_sign" => Some(Role::StopSign),
        "pedestrian" | "person" => Some(Role::Person),
        "fallen" => Some(Role::PersonDown),
        other => {
            let number = watched.iter().position(|watched| *watched == other)?;
            Some(Role::Watched(u8::try_from(number).ok()?))
        }
    }
}

/// Where a label plays several parts the most urgent one counts.
fn rank(role: Role) -> u16 {
    match role {
        Role::StopSign => 0,
        Role::PersonDown => 1,
        Role::Person => 2,
        Role::Watched(number) => 3 + u16::from(number),
    }
}

fn keypoint_of(manifest: &Manifest, name: &str) -> Option<usize> {
    let plain = |name: &str| name.to_lowercase().replace([' ', '-'], "_");
    manifest.keypoints.iter().position(|known| plain(known) == name)
}

fn point(detection: &Detection, at: Option<usize>) -> Keypoint {
    let found = at.and_then(|at| detection.keypoints.get(at));
    found.map_or(Keypoint::default(), |point| Keypoint { x: point.x, y: point.y, score: point.score })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Keypoint as Seen;

    const MANIFEST: &str = r#"
schema = 1
name = "pose"
version = "1.0.0"
task = "pose"
decoder = "yolo-pose"
labels = ["person", "dog", "stop sign", "lying"]
keypoints = ["Nose", "right-hip"]
[input]
name = "images"
width = 64
height = 64
colour = "rgb"
resize = { mode = "stretch" }
[roles]
stop_sign = ["stop sign"]
pedestrian = ["person", "lying"]
fallen = ["lying"]
animal = ["dog"]
"#;

    fn manifest() -> Manifest {
        Manifest::from_toml(MANIFEST).expect("a manifest")
    }

    #[test]
    fn labels_play_the_parts_that_the_manifest_gives_them() {
        let roles = Roles::of(&manifest(), &["light", "animal"]);
        let all: Vec<_> = (0..5).map(|class| roles.role(class)).collect();
        let expected =
            [Some(Role::Person), Some(Role::Watched(1)), Some(Role::StopSign), Some(Role::PersonDown), None];
        assert_eq!(all, expected);
        assert_eq!(Roles::of(&manifest(), &[]).role(1), None, "nobody watches for animals");
    }

    #[test]
    fn keypoints_are_matched_by_name_and_the_others_are_unknown() {
        let roles = Roles::of(&manifest(), &[]);
        let keypoints = [(1.0, 2.0, 0.9), (3.0, 4.0, 0.5)].map(|(x, y, score)| Seen { x, y, score }).to_vec();
        let seen = Detection { class: 0, score: 0.8, bbox: [0.0, 0.0, 9.0, 9.0], keypoints };
        let Keypoints(points) = roles.observation(&seen).expect("a person").keypoints.expect("a pose");
        assert_eq!((points[0].x, points[12].y), (1.0, 4.0));
        assert_eq!(points.iter().filter(|point| point.score > 0.0).count(), 2);
        assert!(roles.observation(&Detection { class: 9, ..seen }).is_none());
    }
}
