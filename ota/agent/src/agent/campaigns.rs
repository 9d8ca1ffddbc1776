//! What frames the operator asks for: brought from the repository to where the runtime looks, with what speaks for it. The runtime
//! judges it by its own root and holds it to its own limits; here nothing is taken out of it or added.
//!
//! ```text
//! DEPOT/campaigns.json          what the runtime reads
//! HOME/campaigns-signed.json    the document as it was signed, so that it is fetched once
//! ```

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use stopline_depot::campaign::Brought;
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::versioned::{self, Versioned as _};

use super::Agent;
use crate::error::AgentError;

impl Agent {
    /// Puts what is asked for where the runtime looks, or takes it away where nothing is asked any more. What cannot be had or is
    /// refused changes nothing, and keeps no roll-out waiting.
    pub(super) fn bring_campaigns(&mut self, said: Result<Option<Brought>, AgentError>) {
        let brought = said.and_then(|said| self.brought(said));
        if let Err(error) = brought {
            tracing::warn!(id = "ota.campaigns.refused", code = error.code(), "{error}; what stands stays");
        }
    }

    fn brought(&self, said: Option<Brought>) -> Result<(), AgentError> {
        let (path, signed) = (self.depot.paths().campaigns(), document_path(&self.config.home));
        let Some(said) = said else {
            taken_away(&path)?;
            return taken_away(&signed);
        };
        if std::fs::read(&signed).ok().as_deref() != Some(said.document.as_bytes()) {
            replace(&mut RealDisk, &signed, said.document.as_bytes()).map_err(AgentError::io(&signed))?;
        }
        let limit = u64::try_from(Brought::LIMIT).unwrap_or(u64::MAX);
        let refused = |source| AgentError::Document { path: path.display().to_string(), source };
        let bytes = versioned::write(&said).map_err(refused)?;
        if RealDisk.read(&path, limit).ok().flatten().as_deref() == Some(bytes.as_slice()) {
            return Ok(());
        }
        replace(&mut RealDisk, &path, &bytes).map_err(AgentError::io(&path))?;
        tracing::info!(id = "ota.campaigns", "the operator asks for frames: the runtime is told");
        Ok(())
    }
}

/// Where the signed document lies.
pub(super) fn document_path(home: &Path) -> PathBuf {
    home.join("campaigns-signed.json")
}

pub(super) fn taken_away(path: &Path) -> Result<(), AgentError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(AgentError::io(path)(error)),
        _ => Ok(()),
    }
}
