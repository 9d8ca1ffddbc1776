//! `backup` and `restore`: the data folder as it was at one moment, while the server goes on, with a list of digests that
//! `restore` checks before it writes anything. Sealed records are copied only when asked for: they are large, and lie in a
//! store that has backups of its own.
//!
//! A backup holds the device authority's key: guard it as the data folder is guarded.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use stopline_depot::digest::Digest;
use stopline_depot::versioned::{self, Versioned};

use super::data::{self, Data};
use super::database::{Database, failed as database_failed};
use crate::exit::{Failure, Result, Said};
use crate::files;

/// The list of a backup's files.
const LIST: &str = "backup.json";
/// Bytes of one file of a backup, at most.
const LARGEST: u64 = 64 << 30;

/// What a backup holds: SHA-256 by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    schema: u32,
    made_s: i64,
    files: BTreeMap<String, Digest>,
}

impl Versioned for List {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "backup's list";
    const LIMIT: usize = 256 << 20;

    fn check(&self) -> Result<(), String> {
        let plain = |name: &String| !name.split('/').any(|part| matches!(part, "" | "." | ".."));
        let wrong = self.files.keys().find(|name| !plain(name));
        wrong.map_or(Ok(()), |name| Err(format!("files: {name:?} is no path in a backup")))
    }
}

/// Copies a data folder to `to`, which must not be there.
///
/// # Errors
/// A database that is not SQLite; the system's.
pub async fn backup(
    data: &Data,
    database: &Database,
    to: &Path,
    with_records: bool,
    now_s: i64,
) -> Result<Said> {
    if to.exists() {
        return Err(Failure::refused(format!(
            "{}: it is there already; nothing is written over it",
            to.display()
        )));
    }
    data::make(to)?;
    let copy = to.join("stopline.db");
    // One moment of the database, whole, although others write.
    let path =
        copy.to_str().ok_or_else(|| Failure::usage(format!("{}: its name is no text", to.display())))?;
    let statement = format!("VACUUM INTO '{}'", path.replace('\'', "''"));
    sqlx::query(&statement).execute(database.read()).await.map_err(|error| {
        let hint = "with PostgreSQL use pg_dump for the database";
        Failure::failed(format!("{}; {hint}", database_failed(error)))
    })?;
    let mut names = vec!["authorities.pem", "server.pem", "server.key", "server.names", "audit.jsonl"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    names.extend(
        files::names(&data.folder().join("authority"))?.into_iter().map(|name| format!("authority/{name}")),
    );
    if with_records {
        for folder in ["store/records", "store/tombstones"] {
            names.extend(
                files::names(&data.folder().join(folder))?.into_iter().map(|name| format!("{folder}/{name}")),
            );
        }
    }
    let mut list = List { schema: List::SCHEMA, made_s: now_s, files: BTreeMap::new() };
    list.files.insert("stopline.db".into(), digest_of(&copy)?);
    for name in names {
        let from = data.folder().join(&name);
        if from.exists() {
            copy_file(&from, &to.join(&name))?;
            list.files.insert(name.clone(), digest_of(&to.join(&name))?);
        }
    }
    files::write(&to.join(LIST), &versioned::write(&list)?)?;
    let words = vec![
        format!("{}: {} files", to.display(), list.files.len()),
        "it holds the device authority's key: guard it as the data folder is guarded".into(),
    ];
    Ok(Said::new(words, json!({"backup": to, "files": list.files.len(), "records": with_records})))
}

/// Makes a data folder from a backup. The folder must not be there, or be empty.
///
/// # Errors
/// A file that is not the one of the list; the system's.
pub fn restore(from: &Path, to: &Path) -> Result<Said> {
    let is_empty = !to.exists() || fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_none());
    if !is_empty {
        return Err(Failure::refused(format!(
            "{}: there is something; a backup is restored into a new folder only",
            to.display()
        )));
    }
    let limit = u64::try_from(List::LIMIT).unwrap_or(u64::MAX);
    let list: List = versioned::read(&files::read(&from.join(LIST), limit)?)?;
    for (name, expected) in &list.files {
        let found = digest_of(&from.join(name))?;
        if found != *expected {
            return Err(Failure::refused(format!(
                "{}: its digest is {found}, the list says {expected}; nothing was restored",
                from.join(name).display()
            )));
        }
    }
    data::make(to)?;
    for name in list.files.keys() {
        copy_file(&from.join(name), &to.join(name))?;
    }
    let words = vec![
        format!("{}: {} files, as they were at second {}", to.display(), list.files.len(), list.made_s),
        "what came after is not in it: devices send again what they have no receipt for, and tokens that were used since count \
         once more"
            .into(),
    ];
    Ok(Said::new(words, json!({"data": to, "files": list.files.len(), "made_s": list.made_s})))
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let failed = |path: &Path| {
        let path: PathBuf = path.to_owned();
        move |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()))
    };
    data::make(stopline_depot::disk::folder_of(to))?;
    // Permissions come along.
    fs::copy(from, to).map_err(failed(to))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(failed(to))
}

fn digest_of(path: &Path) -> Result<Digest> {
    use sha2::{Digest as _, Sha256};
    use std::io::Read as _;
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?.take(LARGEST);
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(Digest::from_bytes(hash.finalize().into())),
            read => hash.update(&buffer[..read]),
        }
    }
}
