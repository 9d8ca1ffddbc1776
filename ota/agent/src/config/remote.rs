//! `[remote]`: how far the operator's signed settings may go on this device, and whether a diagnostic bundle may be asked for. Without the
//! table none are taken, and nobody may.

use std::path::PathBuf;

use serde::Deserialize;
use stopline_depot::settings::LEAST_CAP;

use super::parts::within;

/// Limits of this device for settings from afar.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Remote {
    /// Bytes over mobile networks in a day, at most; none: `window.mobile_day_bytes`.
    pub most_day_bytes: Option<u64>,
    /// Bytes over mobile networks in a month, at most; none: `window.mobile_month_bytes`.
    pub most_month_bytes: Option<u64>,
    /// Bytes of records in a second, at most; none: `upload.rate_bytes_per_s`.
    pub most_rate_bytes_per_s: Option<u64>,
    /// Seconds between two messages of figures, at least.
    pub least_stats_s: u32,
    /// Hosts that addresses may move to, and all hosts below them; empty: addresses stay.
    pub hosts: Vec<String>,
    /// Whether signed campaigns are brought to the runtime, which takes frames for them by its own rule `campaign` alone.
    pub campaigns: bool,
    /// Whether the fleet's server may ask for a diagnostic bundle, which leaves the vehicle then: what it holds, and what it costs over
    /// mobile networks, is its owner's to allow.
    pub diagnose: bool,
    /// The program `stopline`, whose doctor's findings go into it; none: without.
    pub diagnose_doctor: Option<PathBuf>,
    /// The runtime's configuration, without its secrets; none: without.
    pub diagnose_runtime_config: Option<PathBuf>,
    /// Log files; empty: the journal of both services.
    pub diagnose_logs: Vec<PathBuf>,
}

impl Default for Remote {
    fn default() -> Self {
        Self {
            most_day_bytes: None,
            most_month_bytes: None,
            most_rate_bytes_per_s: None,
            least_stats_s: 60,
            hosts: Vec::new(),
            campaigns: true,
            diagnose: false,
            diagnose_doctor: None,
            diagnose_runtime_config: None,
            diagnose_logs: Vec::new(),
        }
    }
}

impl Remote {
    pub(super) fn check(&self) -> Result<(), String> {
        within("remote.least_stats_s", self.least_stats_s, 1, 86_400)?;
        for (key, cap) in [
            ("remote.most_day_bytes", self.most_day_bytes),
            ("remote.most_month_bytes", self.most_month_bytes),
        ] {
            if cap.is_some_and(|cap| cap < LEAST_CAP) {
                return Err(format!("{key}: at least {LEAST_CAP} are expected: polls must go on"));
            }
        }
        let plain = |host: &&String| {
            let inner = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
            !inner || host.is_empty() || host.starts_with('.')
        };
        match self.hosts.iter().find(plain) {
            Some(host) => {
                Err(format!("remote.hosts: {host:?}; a host name is expected, such as example.org"))
            }
            None => Ok(()),
        }
    }

    /// Whether an address may move to `host`.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts.iter().any(|allowed| {
            let allowed = allowed.to_ascii_lowercase();
            host == allowed || host.strip_suffix(&allowed).is_some_and(|rest| rest.ends_with('.'))
        })
    }
}
