//! Configurations of an older schema, brought to the newest.
//!
//! A [`Chain`] goes from schema N to N + 1, and so on, each step an edit of the document: comments, order and whatever a step
//! does not name stay as they were written. The same chain serves who starts by an old file, in memory
//! ([`Chain::bring`]), and who rewrites the file for good ([`Chain::rewrite`]). A file of a newer schema is refused with what
//! to do, and never guessed at.

mod file;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, value};

use crate::disk::{Disk as _, RealDisk};

/// The key that holds the schema, in every configuration.
const KEY: &str = "schema";

/// From one schema to the next.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The schema that it begins with.
    pub from: u32,
    /// Edits the document and says in words what it changed. The key `schema` is the chain's to set.
    pub edit: fn(&mut DocumentMut) -> Vec<String>,
}

/// All steps of one kind of configuration.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    /// The program that reads it, for advice.
    pub program: &'static str,
    /// The newest schema, which that program reads.
    pub newest: u32,
    /// The schema of a file that names none.
    pub unnamed: u32,
    /// One for each schema below the newest that was ever in use, in order.
    pub steps: &'static [Step],
    /// Bytes of the file, at most.
    pub limit: u64,
}

/// A document of an older schema as one of the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The schema that it had.
    pub from: u32,
    /// The schema that it has.
    pub to: u32,
    /// What was changed, in words.
    pub changes: Vec<String>,
    /// The document.
    pub text: String,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewritten {
    /// It is of the newest schema: nothing was written.
    Newest(u32),
    /// It was brought to the newest; `kept`: where the old one lies, and none where nothing was to be written.
    Changed {
        /// What was changed.
        migration: Migration,
        /// Where the old file lies.
        kept: Option<PathBuf>,
    },
}

/// Why a configuration is not brought to the newest schema. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A newer program wrote it.
    #[error("schema: found {found}, expected at most {newest}: {}", advice(.program, .newest))]
    Newer {
        /// Its schema.
        found: i64,
        /// The newest that is read.
        newest: u32,
        /// Who reads it.
        program: &'static str,
    },
    /// No step begins with its schema.
    #[error("schema: found {found}, expected {oldest} to {newest}")]
    Unknown {
        /// What stands there.
        found: String,
        /// The oldest that is read.
        oldest: u32,
        /// The newest that is read.
        newest: u32,
    },
    /// It is no TOML.
    #[error("{0}")]
    Toml(String),
    /// What would come of it is refused, for a reason that was there before.
    #[error("it stays as it is: brought to schema {to} it would be refused: {problem}")]
    Refused {
        /// The schema that it was to get.
        to: u32,
        /// What is wrong.
        problem: String,
    },
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The new file, or the one that is kept, cannot be written.
    #[error("{}: not written: {source}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What to do about a file that is newer than the program.
pub fn advice(program: &str, newest: &u32) -> String {
    format!(
        "install the newer {program}, or put the file back that `{program} config migrate` kept beside it (its name ends in \
         .schema-{newest})"
    )
}

impl Chain {
    /// The text as one of the newest schema; none if it is that already.
    ///
    /// # Errors
    /// [`MigrationError`].
    pub fn bring(&self, text: &str) -> Result<Option<Migration>, MigrationError> {
        let from = self.schema_of(text)?;
        if from == self.newest {
            return Ok(None);
        }
        let toml = |error: toml_edit::TomlError| MigrationError::Toml(error.to_string());
        let mut document: DocumentMut = text.parse().map_err(toml)?;
        let mut changes = Vec::new();
        for at in from..self.newest {
            let step = self.steps.iter().find(|step| step.from == at);
            changes.extend((step.ok_or_else(|| self.unknown(from))?.edit)(&mut document));
            changes.push(set(&mut document, at + 1));
        }
        // Of each step's word on the schema the last one counts.
        let said = format!("{KEY} = ");
        let last = changes.pop();
        changes.retain(|change| !change.starts_with(&said));
        changes.extend(last);
        Ok(Some(Migration { from, to: self.newest, changes, text: document.to_string() }))
    }

    /// Brings the file `path` to the newest schema and keeps the old one beside it, as `PATH.schema-N`. `check` says whether
    /// the program takes the new text; `dry`: nothing is written. Each file is there whole, the old or the new one, with mode
    /// and owner of the old, whatever ends this in between.
    ///
    /// # Errors
    /// [`MigrationError`]; the file is as it was.
    pub fn rewrite(
        &self,
        path: &Path,
        dry: bool,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Rewritten, MigrationError> {
        let io = |source| MigrationError::Read { path: path.to_owned(), source };
        let bytes = RealDisk.read(path, self.limit).map_err(io)?;
        let bytes = bytes.ok_or_else(|| io(std::io::ErrorKind::NotFound.into()))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| MigrationError::Toml(error.to_string()))?;
        let Some(migration) = self.bring(text)? else { return Ok(Rewritten::Newest(self.newest)) };
        let refused = |problem| MigrationError::Refused { to: migration.to, problem };
        check(&migration.text).map_err(refused)?;
        let kept = if dry { None } else { Some(file::exchange(path, &bytes, &migration)?) };
        Ok(Rewritten::Changed { migration, kept })
    }

    /// The schema of a text, one that this chain knows the way from.
    fn schema_of(&self, text: &str) -> Result<u32, MigrationError> {
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| MigrationError::Toml(error.to_string()))?;
        let found = match table.get(KEY) {
            None => return Ok(self.unnamed),
            Some(found) => found,
        };
        match found.as_integer() {
            Some(found) if found > i64::from(self.newest) => {
                Err(MigrationError::Newer { found, newest: self.newest, program: self.program })
            }
            Some(found) => u32::try_from(found)
                .ok()
                .filter(|found| *found >= self.oldest())
                .ok_or_else(|| self.unknown(found)),
            None => Err(self.unknown(found)),
        }
    }

    fn oldest(&self) -> u32 {
        self.steps.first().map_or(self.newest, |step| step.from)
    }

    fn unknown(&self, found: impl std::fmt::Display) -> MigrationError {
        MigrationError::Unknown { found: found.to_string(), oldest: self.oldest(), newest: self.newest }
    }
}

impl Rewritten {
    /// In lines for people: what was changed in the file `path`, or would be.
    pub fn in_words(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Newest(schema) => format!("{path}: schema {schema} is the newest; nothing to change"),
            Self::Changed { migration: Migration { from, to, changes, .. }, kept } => {
                let changes: String = changes.iter().map(|change| format!("\n  {change}")).collect();
                let end = match kept {
                    Some(kept) => format!("the old one is kept: {}", kept.display()),
                    None => "nothing was written".to_owned(),
                };
                format!("{path}: from schema {from} to {to}{changes}\n{end}")
            }
        }
    }
}

/// Writes the schema down: in its place where it has one, with what is said beside it, else above all sections.
fn set(document: &mut DocumentMut, schema: u32) -> String {
    match document.get_mut(KEY).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = i64::from(schema).into();
            *old.decor_mut() = decor;
        }
        None => drop(document.insert(KEY, value(i64::from(schema)))),
    }
    format!("{KEY} = {schema}")
}
