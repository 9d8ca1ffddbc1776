//! A new model sees what the active one sees, in a process of its own, and acts on nothing.
//!
//! Parent and child share a socket of whole messages (SOCK_SEQPACKET), which is the child's standard input. A message is a
//! line of JSON; the bundle's and each frame's bytes come beside it as a sealed memfd: the kernel holds both sides to
//! what was written, and neither maps the other's memory. The child is asked for one frame at a time, so a slow one gets
//! fewer and costs the loop nothing; it ends with the parent, at its limits, or when the socket closes.

pub(crate) mod channel;
pub mod child;
pub mod parent;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use stopline_depot::manifest::Manifest;
use stopline_sensors::frame::{Colour, Frame, FrameMeta, Matrix, PixelFormat, Range, Stamp};

use crate::decode::nms::iou;
use crate::detection::Detection;
use crate::draw::label_of;
use crate::observe::Roles;

/// From the parent. The bytes come beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Shown {
    /// `bundle.tar`.
    Bundle {
        /// Its bytes.
        length: u64,
    },
    /// A frame, its planes one after the other without padding.
    Frame {
        /// Its number, for the answer.
        number: u64,
        /// Pixels across and down.
        size: [u32; 2],
        /// `FORMATS` by place.
        format: u8,
        /// `MATRICES` by place.
        matrix: u8,
        /// 0..255 instead of 16..235.
        full: bool,
        /// Its bytes.
        length: u64,
    },
}

/// From the child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Answered {
    /// It is loaded.
    Ready,
    /// It cannot go on.
    Failed {
        /// Why.
        problem: String,
    },
    /// What it found.
    Found {
        /// The frame's number.
        number: u64,
        /// Label, score, corners.
        found: Vec<(String, f32, [f32; 4])>,
        /// Prepare, infer and decode together, in microseconds.
        took_us: u64,
    },
    /// It gave numbers that cannot be.
    Invalid {
        /// The frame's number.
        number: u64,
        /// What.
        problem: String,
    },
}

const FORMATS: [PixelFormat; 7] = [
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::I420,
    PixelFormat::Grey,
    PixelFormat::Rgb,
    PixelFormat::Bgr,
];
const MATRICES: [Matrix; 3] = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020];

/// Message and bytes of a frame.
pub fn pack(number: u64, frame: &Frame, bytes: &mut Vec<u8>) -> Shown {
    bytes.clear();
    for plane in 0..frame.format().planes() {
        let plane = frame.plane(plane);
        (0..plane.rows)
            .for_each(|row| bytes.extend_from_slice(&plane.bytes[row * plane.stride..][..plane.row]));
    }
    let place = |of: Option<usize>| of.and_then(|at| u8::try_from(at).ok()).unwrap_or_default();
    Shown::Frame {
        number,
        size: [frame.width(), frame.height()],
        format: place(FORMATS.iter().position(|format| *format == frame.format())),
        matrix: place(MATRICES.iter().position(|matrix| *matrix == frame.colour().matrix)),
        full: frame.colour().range == Range::Full,
        length: bytes.len() as u64,
    }
}

/// The frame that a message and its bytes are.
///
/// # Errors
/// What does not fit.
pub fn unpack(shown: &Shown, bytes: Vec<u8>) -> Result<(u64, Frame), String> {
    let Shown::Frame { number, size, format, matrix, full, .. } = *shown else {
        return Err("a frame is expected".into());
    };
    let format = FORMATS.get(usize::from(format)).ok_or("a pixel format is expected")?;
    let matrix = *MATRICES.get(usize::from(matrix)).ok_or("a matrix is expected")?;
    let colour = Colour { matrix, range: if full { Range::Full } else { Range::Limited } };
    let meta = FrameMeta {
        source: "shadow".into(),
        sequence: number,
        captured: stopline_sensors::clock::Monotonic::default(),
        stamp: Stamp::Recording,
        wall: std::time::UNIX_EPOCH,
        position: None,
        path: None,
        copies: 1,
    };
    let frame = Frame::packed(meta, *format, colour, (size[0], size[1]), bytes.into());
    Ok((number, frame.map_err(|error| error.to_string())?))
}

/// Something that plays a part in decisions: which, how surely, where.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    role: String,
    /// Score above its threshold.
    clear: f32,
    bbox: [f32; 4],
}

/// Scores so little above a threshold are on one side of it today and on the other tomorrow.
const CLEAR: f32 = 0.15;
/// The same object, for this purpose.
const SAME: f32 = 0.3;

/// Whether two models disagree on a frame: one shows clearly what plays a part in decisions, and the other nothing of that
/// part there. `active` and `shadow` each with their manifest.
pub fn disagree(active: (&Manifest, &[Detection]), shadow: (&Manifest, &[(String, f32, [f32; 4])])) -> bool {
    let of_active =
        active.1.iter().flat_map(|one| parts(active.0, &label_of(active.0, one.class), one.score, one.bbox));
    let of_shadow = shadow.1.iter().flat_map(|(label, score, bbox)| parts(shadow.0, label, *score, *bbox));
    let (of_active, of_shadow): (Vec<Part>, Vec<Part>) = (of_active.collect(), of_shadow.collect());
    let alone = |these: &[Part], those: &[Part]| {
        these
            .iter()
            .filter(|one| one.clear >= CLEAR)
            .any(|one| !those.iter().any(|other| other.role == one.role && iou(one.bbox, other.bbox) >= SAME))
    };
    alone(&of_active, &of_shadow) || alone(&of_shadow, &of_active)
}

fn parts(manifest: &Manifest, label: &str, score: f32, bbox: [f32; 4]) -> Vec<Part> {
    let thresholds = &manifest.thresholds;
    let threshold = thresholds.per_class.get(label).copied().unwrap_or(thresholds.score);
    let roles: BTreeSet<&String> = manifest
        .roles
        .iter()
        .filter(|(_, labels)| labels.iter().any(|one| one == label))
        .map(|(role, _)| role)
        .collect();
    roles.into_iter().map(|role| Part { role: role.clone(), clear: score - threshold, bbox }).collect()
}

/// Whether a new model has every part that the active one plays: one without would be blind where this one sees.
pub fn covers(active: &Manifest, new: &Manifest, watched: &[&str]) -> bool {
    let parts = |manifest: &Manifest| Roles::of(manifest, watched).all().collect::<Vec<_>>();
    let new = parts(new);
    parts(active).iter().all(|role| new.contains(role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stopline_sensors::frame::BufferPool;

    fn manifest(name: &str, label: &str) -> Manifest {
        let text = format!(
            "schema = 1\nname = \"{name}\"\nversion = \"1.0.0\"\ntask = \"detect\"\ndecoder = \"yolox\"\nlabels = [\"{label}\", \"tree\"]\n\
            [input]\nname = \"images\"\nwidth = 32\nheight = 32\ncolour = \"bgr\"\nresize = {{ mode = \"stretch\" }}\n\
            [thresholds]\nscore = 0.3\n[roles]\npedestrian = [\"{label}\"]\n"
        );
        Manifest::from_toml(&text).expect("a manifest")
    }

    #[test]
    fn models_with_other_labels_agree_by_what_plays_a_part() {
        let (old, new) = (manifest("old", "person"), manifest("new", "human"));
        let person =
            |score: f32| Detection { class: 0, score, bbox: [0.0, 0.0, 10.0, 20.0], keypoints: Vec::new() };
        let human = |score: f32, x: f32| vec![("human".to_owned(), score, [x, 0.0, x + 10.0, 20.0])];
        assert!(!disagree((&old, &[person(0.8)]), (&new, &human(0.4, 1.0))));
        assert!(disagree((&old, &[person(0.8)]), (&new, &human(0.8, 50.0))), "elsewhere");
        assert!(
            disagree((&old, &[person(0.8)]), (&new, &[])) && disagree((&old, &[]), (&new, &human(0.9, 0.0)))
        );
        assert!(!disagree((&old, &[person(0.4)]), (&new, &[])), "hardly above the threshold");
        let tree = vec![("tree".to_owned(), 0.99, [0.0, 0.0, 9.0, 9.0])];
        assert!(!disagree((&old, &[]), (&new, &tree)), "plays no part");
        assert!(covers(&old, &new, &[]));
    }

    #[test]
    fn a_frame_comes_out_as_it_went_in() {
        let mut buffer = BufferPool::default().take(6 * 4 * 3 / 2);
        buffer.bytes_mut().iter_mut().zip(0..).for_each(|(byte, at)| *byte = at);
        let meta = || {
            unpack(
                &Shown::Frame { number: 7, size: [2, 2], format: 4, matrix: 0, full: false, length: 4 },
                vec![0; 4],
            )
            .expect("a frame")
            .1
            .meta()
            .clone()
        };
        let colour = Colour { matrix: Matrix::Bt709, range: Range::Full };
        let frame = Frame::packed(meta(), PixelFormat::I420, colour, (6, 4), buffer).expect("fits");
        let mut bytes = Vec::new();
        let shown = pack(9, &frame, &mut bytes);
        let (number, again) = unpack(&shown, bytes.clone()).expect("reads");
        assert_eq!((number, again.format(), again.colour()), (9, frame.format(), frame.colour()));
        for plane in 0..3 {
            assert_eq!(again.plane(plane).bytes, frame.plane(plane).bytes);
        }
        bytes.pop();
        unpack(&shown, bytes).expect_err("one byte short");
    }
}
