//! How often somebody may fail. In memory: a restart begins anew, and a restart is not in an attacker's hand.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Failures of one name from one address before it must wait.
const OF_NAME_AT_ADDRESS: u32 = 5;
/// Failures from one address.
const AT_ADDRESS: u32 = 30;
/// Failures of one name from everywhere.
const OF_NAME: u32 = 60;
/// Seconds in which they count.
pub const SPAN_S: i64 = 15 * 60;
/// Keys that are remembered, at most.
const MOST: usize = 50_000;

/// Failures that count.
#[derive(Debug, Default)]
pub struct Limits {
    failures: Mutex<HashMap<String, (i64, u32)>>,
}

impl Limits {
    /// Counts a try as failed before it is made; `false` if it must not be made. A try that succeeds is taken back by
    /// [`succeeded`](Self::succeeded): so many tries at once count as many.
    pub fn begin(&self, name: &str, address: &str, now_s: i64) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (began_s, _)| now_s - *began_s < SPAN_S);
        let keys = Self::keys(name, address);
        let count = |key: &String| failures.get(key).map_or(0, |(_, count)| *count);
        if failures.len() > MOST || keys.iter().any(|(key, most)| count(key) >= *most) {
            return false;
        }
        for (key, _) in keys {
            failures.entry(key).or_insert((now_s, 0)).1 += 1;
        }
        true
    }

    /// The try was none of an attacker.
    pub fn succeeded(&self, name: &str, address: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let [(both, _), (at, _), (of, _)] = Self::keys(name, address);
        failures.remove(&both);
        for key in [at, of] {
            if let Some((_, count)) = failures.get_mut(&key) {
                *count = count.saturating_sub(1);
            }
        }
    }

    fn keys(name: &str, address: &str) -> [(String, u32); 3] {
        let name: String = name.chars().take(80).collect();
        [
            (format!("b {address} {name}"), OF_NAME_AT_ADDRESS),
            (format!("a {address}"), AT_ADDRESS),
            (format!("n {name}"), OF_NAME),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_five_times_waits_a_quarter_of_an_hour_and_others_do_not() {
        let limits = Limits::default();
        for _ in 0..OF_NAME_AT_ADDRESS {
            assert!(limits.begin("anna", "1", 0));
        }
        assert!(!limits.begin("anna", "1", SPAN_S - 1));
        assert!(limits.begin("anna", "2", 0) && limits.begin("ben", "1", 0));
        assert!(limits.begin("anna", "1", SPAN_S));
    }

    #[test]
    fn one_address_that_tries_many_names_and_many_addresses_that_try_one_are_stopped_too() {
        let limits = Limits::default();
        let tries = (0..100).filter(|n| limits.begin(&format!("n{n}"), "1", 0)).count();
        assert_eq!(tries, usize::try_from(AT_ADDRESS).unwrap());
        let limits = Limits::default();
        let tries = (0..100).filter(|n| limits.begin("anna", &n.to_string(), 0)).count();
        assert_eq!(tries, usize::try_from(OF_NAME).unwrap());
    }

    #[test]
    fn a_success_is_no_failure() {
        let limits = Limits::default();
        for _ in 0..100 {
            assert!(limits.begin("anna", "1", 0));
            limits.succeeded("anna", "1");
        }
    }
}
