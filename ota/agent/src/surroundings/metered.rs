//! Whether the connection costs, by NetworkManager: the property `Metered` of `org.freedesktop.NetworkManager` (its D-Bus
//! interface, `NMMetered`: 0 unknown, 1 yes, 2 no, 3 and 4 the same as guesses). Asked with systemd's `busctl`, which spares a
//! bus library; a board without it, or without NetworkManager, is one that cannot tell.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::asked;
use crate::clock::Clock;

/// Milliseconds for which an answer counts: networks come and go.
const COUNTS_MS: u64 = 20_000;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of an answer, at most.
const MOST: u64 = 256;
const QUESTION: [&str; 7] = [
    "--system",
    "--timeout=2",
    "get-property",
    "org.freedesktop.NetworkManager",
    "/org/freedesktop/NetworkManager",
    "org.freedesktop.NetworkManager",
    "Metered",
];

/// Asks, and remembers for a while; clones ask together.
#[derive(Debug, Clone)]
pub(super) struct NetworkManager {
    program: PathBuf,
    known: Arc<Mutex<Option<Known>>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// Milliseconds since boot.
    at: u64,
    costs: Option<bool>,
}

impl NetworkManager {
    pub(super) fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), known: Arc::default() }
    }

    /// Whether the connection costs; `None` where nobody can tell.
    pub(super) fn costs(&self, clock: &dyn Clock) -> Option<bool> {
        let now = clock.since_boot_ms();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.filter(|known| now.saturating_sub(known.at) < COUNTS_MS) {
            return known.costs;
        }
        let costs = self.ask();
        // Told when it changes, not every look.
        if costs.is_none() && known.is_none_or(|known| known.costs.is_some()) {
            tracing::warn!(
                id = "network.metered.unknown",
                "NetworkManager does not say whether this connection costs: it counts as one that does"
            );
        }
        *known = Some(Known { at: now, costs });
        costs
    }

    fn ask(&self) -> Option<bool> {
        let mut command = Command::new(&self.program);
        command.args(QUESTION);
        meaning(&asked::said(command, PATIENCE, MOST).ok()?)
    }
}

/// `u 4`: a number of `NMMetered`.
fn meaning(answer: &str) -> Option<bool> {
    match answer.trim().strip_prefix("u ")?.parse::<u32>().ok()? {
        1 | 3 => Some(true),
        2 | 4 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::HeldClock;

    #[test]
    fn an_answer_is_a_number_of_nm_metered_and_nothing_else_is_one() {
        let meanings = ["u 0\n", "u 1\n", "u 2\n", "u 3", "u 4", "u 9", "s \"yes\"", "", "u -1"].map(meaning);
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(meanings, [None, yes, no, yes, no, None, None, None, None]);
    }

    #[test]
    fn it_is_asked_once_in_a_while_and_a_program_that_is_not_there_cannot_tell() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("busctl");
        let script = format!("#!/bin/sh\necho \"$7\" >> {}/asked\necho 'u 3'\n", folder.path().display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let manager = NetworkManager::new(&program);
        let clock = HeldClock::at("2026-11-29T12:34:00Z");
        assert_eq!([manager.costs(&clock), manager.clone().costs(&clock)], [Some(true); 2]);
        let asked = || std::fs::read_to_string(folder.path().join("asked")).unwrap();
        assert_eq!(asked(), "Metered\n");
        clock.sleep(Duration::from_secs(21));
        assert_eq!((manager.costs(&clock), asked().lines().count()), (Some(true), 2));
        assert_eq!(NetworkManager::new(&folder.path().join("none")).costs(&clock), None);
    }
}
