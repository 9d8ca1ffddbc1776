//! `dataset gallery`: one page of captured pictures with the model's boxes, why each was taken and what went on, to be looked at
//! on the operator's own machine. Servers have no key that opens records, and show them sealed.
//!
//! The page holds everything in itself and asks nobody for anything. It holds pictures in clear: `forget` does not know where it
//! lies.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::json;
use stopline_depot::digest::Digest;
use stopline_depot::record::RecordedSituation;
use stopline_depot::spool::{CaptureRecord, Reason};

use super::annotation::{Annotation, predicted};
use super::captured::{Source, digests, tombstones};
use super::picture::decode;
use crate::exit::{Failure, Result, Said};

/// Pixels across of a picture that is shown, at most.
const WIDTH: u32 = 640;
/// JPEG quality of it.
const QUALITY: u8 = 80;
/// Records that one page may show: what a browser takes.
const MOST: usize = 2_000;
const STYLE: &str = include_str!("gallery.css");

/// Writes the newest `limit` records of the store, or of those that `only` names, to the file `output`, which must not be there.
///
/// # Errors
/// The store's; the file is there already or cannot be written; a limit that no browser takes.
pub fn run(
    source: &Source<'_>,
    output: &Path,
    limit: usize,
    only: Option<&BTreeSet<Digest>>,
) -> Result<Said> {
    if !(1..=MOST).contains(&limit) {
        return Err(Failure::usage(format!("--limit {limit}: 1 to {MOST} are expected")));
    }
    let forgotten = tombstones(source.store)?;
    let wanted =
        |digest: &Digest| !forgotten.contains(digest) && only.is_none_or(|only| only.contains(digest));
    let mut records = Vec::new();
    let mut closed = 0_usize;
    for digest in digests(source.store)?.into_iter().filter(wanted) {
        match source.taken(&digest)? {
            Some(taken) => records.push((taken, digest)),
            None => closed += 1,
        }
    }
    let all = records.len();
    records.sort_unstable_by(|a, b| b.cmp(a));
    records.truncate(limit);
    let mut figures = Vec::new();
    for (_, digest) in &records {
        figures.push(match source.whole(digest)? {
            Ok((record, jpeg)) => figure(digest, &record, &jpeg),
            Err(problem) => unreadable(digest, &problem),
        });
    }
    let page = page(&figures, all, closed);
    write(output, page.into_string().as_bytes())?;
    let shown = records.len();
    let mut words = vec![format!("{shown} of {all} records, the newest first: {}", output.display())];
    if closed > 0 {
        words.push(format!("{closed} could not be opened; is it the right identity?"));
    }
    words.push("it holds pictures in clear: delete it when you have looked".into());
    Ok(Said::new(words, json!({"shown": shown, "records": all, "closed": closed, "file": output})))
}

/// For its owner alone, and never over another file.
fn write(output: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", output.display()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(output).map_err(failed)?;
    file.write_all(bytes).map_err(failed)
}

fn page(figures: &[Markup], all: usize, closed: usize) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                title { "Captured records" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Captured records" }
                p {
                    (figures.len()) " of " (all) ", the newest first. "
                    @if closed > 0 { (closed) " could not be opened. " }
                    "Boxes are the model's, not people's. This page holds pictures in clear: delete it when you have looked."
                }
                @for figure in figures { (figure) }
            }
        }
    }
}

fn unreadable(digest: &Digest, problem: &str) -> Markup {
    html! { figure { p class="problem" { (problem) } figcaption { dl { dt { "Address" } dd { code { (digest) } } } } } }
}

fn figure(digest: &Digest, record: &CaptureRecord, jpeg: &[u8]) -> Markup {
    let picture = match shown(jpeg) {
        Ok(picture) => picture,
        Err(problem) => return unreadable(digest, &problem),
    };
    let size = [record.picture.width, record.picture.height];
    let decision = &record.decision;
    let boxes = predicted(&decision.detections, decision.image_size, size);
    let situations = decision.situations.as_deref().unwrap_or_default();
    html! {
        figure {
            div class="frame" {
                img src=(format!("data:image/jpeg;base64,{}", base64(&picture))) width=(size[0]) height=(size[1])
                    loading="lazy" alt=(format!("Captured picture. {}", in_words(&boxes)));
                (overlay(size, &boxes))
            }
            figcaption { dl {
                dt { "Reason" } dd { (reason(&record.reason)) }
                dt { "Boxes" } dd { (in_words(&boxes)) }
                dt { "Situation" } dd {
                    @if situations.is_empty() { "none" }
                    @for situation in situations { div { (situation_in_words(situation)) } }
                }
                dt { "Camera" } dd { (decision.source) }
                dt { "Model" } dd { (decision.model.name) " " (decision.model.version) }
                dt { "Taken" } dd { (decision.captured_wall) }
                dt { "Address" } dd { code { (digest) } }
            } }
        }
    }
}

/// Boxes over a picture of this size; their words are as large on every screen, whatever the picture's own pixels.
fn overlay([width, height]: [u32; 2], boxes: &[Annotation]) -> Markup {
    let letters = f64::from(width.max(320)) / 20.0;
    html! {
        svg viewBox=(format!("0 0 {width} {height}")) preserveAspectRatio="none" aria-hidden="true" {
            @for found in boxes {
                @let [x, y, w, h] = found.bbox;
                // Above the box, or within it at the picture's upper edge; towards the middle where the right edge is near.
                @let below = if y > letters { y - letters / 4.0 } else { y + letters };
                @let (at, anchor) = if x > f64::from(width) * 0.6 { (x + w, "end") } else { (x, "start") };
                rect x=(x) y=(y) width=(w) height=(h) {}
                text x=(at) y=(below) font-size=(letters) text-anchor=(anchor) { (found.label) " " (score(found)) }
            }
        }
    }
}

/// Decoded and encoded anew: what a browser gets is no device's own file.
fn shown(jpeg: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let whole = decode(jpeg)?;
    let (width, height) = whole.dimensions();
    let picture = if width > WIDTH {
        let scaled = u64::from(height) * u64::from(WIDTH) / u64::from(width);
        thumbnail(&whole, WIDTH, u32::try_from(scaled).unwrap_or(u32::MAX).max(1))
    } else {
        whole
    };
    let mut bytes = Cursor::new(Vec::new());
    let written = JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&picture);
    written.map_err(|error| format!("picture.jpg: {error}"))?;
    Ok(bytes.into_inner())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn score(found: &Annotation) -> String {
    found.score.map(|score| format!("{score:.2}")).unwrap_or_default()
}

fn in_words(boxes: &[Annotation]) -> String {
    if boxes.is_empty() {
        return "none".into();
    }
    let all = boxes.iter().map(|found| format!("{} {}", found.label, score(found)).trim_end().to_owned());
    all.collect::<Vec<_>>().join(", ")
}

/// The rule, what it has to say, and where in what it is about the frame lies.
fn reason(reason: &Reason) -> String {
    let mut words = reason.rule.code().replace('_', " ");
    if let Some(detail) = &reason.detail {
        let _ = write!(words, ": {detail}");
    }
    if reason.offset_ms != 0 {
        let when = if reason.offset_ms < 0 { "before" } else { "after" };
        let ms = reason.offset_ms.unsigned_abs();
        let _ = write!(words, ", {}.{} s {when} it", ms / 1_000, ms % 1_000 / 100);
    }
    words
}

fn situation_in_words(situation: &RecordedSituation) -> String {
    let mut words = format!("{}: {}", situation.kind.replace('_', " "), situation.phase);
    if let Some(metres) = situation.distance_m {
        let _ = write!(words, ", {metres:.1} m");
    }
    if let Some(seconds) = situation.ttc_s {
        let _ = write!(words, ", {seconds:.1} s left");
    }
    words
}
