//! Records that are opened on the server, where its operator has given it a key for that (`--gallery-key`); without one they stay
//! sealed here. Whoever has the server then has the key: it is one of several recipients, and not the one of the data set.
//!
//! A record is opened in memory, for one page or picture, and lies nowhere in clear. Who opened which is written down before it
//! is opened: one line for each person and record in an hour.

use std::collections::HashMap;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;
use stopline_depot::digest::Digest;
use stopline_depot::record::RecordedSituation;
use stopline_depot::spool::Reason;
use tokio::sync::Semaphore;

use super::records::Records;
use crate::dataset::annotation::{Annotation, predicted};
use crate::dataset::captured::Source;
use crate::dataset::identity::Identities;
use crate::dataset::picture::decode;
use crate::exit::{Failure, Result};

/// Pixels across of a picture that is shown, at most.
const WIDTH: u32 = 640;
/// JPEG quality of it.
const QUALITY: u8 = 80;
/// Seconds within which somebody's opening of a record is written down once.
const HOUR_S: i64 = 3_600;
/// Openings that are remembered, at most; beyond them all are written down anew.
const MOST: usize = 50_000;

/// What opens records.
pub struct Gallery {
    identities: Identities,
    /// When somebody's opening of a record was last written down.
    written: Mutex<HashMap<(String, Digest), i64>>,
    /// One at a time: what decoding takes is bounded, and large.
    pub decoding: Semaphore,
}

/// What a record says of itself, without its picture.
#[derive(Debug)]
pub struct Opened {
    /// Pixels across and down of its picture, as it says.
    pub size: [u32; 2],
    /// What the model found, in those pixels.
    pub boxes: Vec<Annotation>,
    /// Why it was taken.
    pub reason: Reason,
    /// What went on.
    pub situations: Vec<RecordedSituation>,
    /// When it was taken by the device's clock, seconds since 1970.
    pub taken_s: i64,
}

impl Gallery {
    /// With the key that `key` names: a file that nobody else may read, or `credential:NAME`.
    ///
    /// # Errors
    /// The file is missing, open to others, or no such key.
    pub fn open(key: &str) -> Result<Self> {
        let identities = Identities::read(&[path_of(key)?])?;
        Ok(Self { identities, written: Mutex::default(), decoding: Semaphore::new(1) })
    }

    /// Writes down by `write` that `who` opens a record, unless that was done within the hour.
    ///
    /// # Errors
    /// What `write` says; then the record must not be opened.
    pub fn write_down(
        &self,
        who: &str,
        digest: &Digest,
        now_s: i64,
        write: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        // Held while it is written: two requests at once are one opening.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (who.to_owned(), *digest);
        if written.get(&key).is_some_and(|at_s| (0..HOUR_S).contains(&(now_s - at_s))) {
            return Ok(());
        }
        write()?;
        if written.len() >= MOST {
            written.retain(|_, at_s| (0..HOUR_S).contains(&(now_s - *at_s)));
        }
        if written.len() >= MOST {
            written.clear();
        }
        written.insert(key, now_s);
        Ok(())
    }

    /// Opens a record; in words why not, where it cannot be opened.
    ///
    /// # Errors
    /// The store's.
    pub fn read(&self, records: &Records, digest: &Digest) -> Result<std::result::Result<Opened, String>> {
        let whole = self.source(records).whole(digest)?;
        Ok(whole.map(|(record, _)| {
            let size = [record.picture.width, record.picture.height];
            let decision = record.decision;
            Opened {
                size,
                boxes: predicted(&decision.detections, decision.image_size, size),
                reason: record.reason,
                situations: decision.situations.unwrap_or_default(),
                taken_s: i64::try_from(decision.captured_wall.unix_seconds()).unwrap_or(0),
            }
        }))
    }

    /// Its picture as a JPEG of at most 640 pixels across; in words why not.
    ///
    /// # Errors
    /// The store's.
    pub fn picture(
        &self,
        records: &Records,
        digest: &Digest,
    ) -> Result<std::result::Result<Vec<u8>, String>> {
        let whole = self.source(records).whole(digest)?;
        Ok(whole.and_then(|(_, jpeg)| shown(&jpeg)))
    }

    fn source<'a>(&'a self, records: &'a Records) -> Source<'a> {
        Source { store: records.store(), identities: &self.identities }
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

fn path_of(key: &str) -> Result<PathBuf> {
    let Some(name) = key.strip_prefix("credential:") else {
        let path = PathBuf::from(key);
        let mode = std::fs::metadata(&path).map(|metadata| metadata.permissions().mode());
        return match mode {
            Ok(mode) if mode & 0o077 != 0 => Err(Failure::refused(format!(
                "--gallery-key: {key} can be read by others (mode {:o}); chmod 600 {key}",
                mode & 0o777
            ))),
            Ok(_) => Ok(path),
            Err(error) => Err(Failure::failed(format!("--gallery-key: {key}: {error}"))),
        };
    };
    if name.is_empty() || name.contains('/') || name == ".." {
        return Err(Failure::usage(format!("--gallery-key: {key:?}; credential:NAME is expected")));
    }
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        Failure::usage(
            "--gallery-key: CREDENTIALS_DIRECTORY is not set: credentials are given by systemd's LoadCredential",
        )
    })?;
    Ok(Path::new(&folder).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::identity;

    fn gallery(folder: &tempfile::TempDir) -> Gallery {
        let path = folder.path().join("gallery.key");
        identity::new(&path).unwrap();
        Gallery::open(path.to_str().unwrap()).unwrap()
    }

    #[test]
    fn who_opens_what_is_written_down_once_an_hour_and_what_is_not_written_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let gallery = gallery(&folder);
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let lines = std::cell::Cell::new(0);
        let opens = |who: &str, digest: &Digest, now_s: i64| {
            let write = || {
                lines.set(lines.get() + 1);
                Ok(())
            };
            gallery.write_down(who, digest, now_s, write).unwrap();
            lines.get()
        };
        assert_eq!(opens("anna", &one, 0), 1);
        assert_eq!(opens("anna", &one, 3_599), 1);
        assert_eq!(opens("anna", &other, 3_599), 2);
        assert_eq!(opens("ben", &one, 3_599), 3);
        assert_eq!(opens("anna", &one, 3_600), 4);
        // A clock that was set back hides nothing.
        assert_eq!(opens("anna", &one, 3_500), 5);
        let full = || Err(Failure::failed("the disk is full"));
        assert!(gallery.write_down("cleo", &one, 0, full).is_err());
        assert_eq!(opens("cleo", &one, 1), 6, "what failed was not written down");
    }

    #[test]
    fn a_picture_is_shown_small_and_one_that_claims_to_be_huge_not_at_all() {
        let mut jpeg = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_pixel(1_280, 480, image::Rgb([9, 99, 199]));
        picture.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        let small = decode(&shown(&jpeg).unwrap()).unwrap();
        assert_eq!(small.dimensions(), (640, 240));
        // Height and width of the frame's header: 65,500 each way.
        let mut huge = jpeg;
        let at = huge.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        huge[at + 5..at + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        assert!(shown(&huge).unwrap_err().contains("picture.jpg"));
        assert!(shown(b"no picture").is_err());
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gallery.key");
        let named = path.to_str().unwrap();
        assert!(Gallery::open(named).is_err(), "it is not there");
        identity::new(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let failure = Gallery::open(named).err().unwrap();
        assert!(failure.message.contains("chmod 600"), "{failure}");
        for name in ["credential:", "credential:../x", "credential:.."] {
            assert!(Gallery::open(name).err().unwrap().message.contains("credential:NAME"));
        }
    }
}
