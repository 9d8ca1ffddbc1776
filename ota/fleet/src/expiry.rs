//! What expires when: `status` lists it, warns when a third of a file's life is left and alarms at a fifth; `refresh` signs
//! anew, at half life, what online keys sign.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use stopline_tuf::metadata::Metadata;
use stopline_tuf::write::{Draft, Signer};
use stopline_tuf::{RoleName, TargetPath};

use crate::commit::{Change, Online, commit};
use crate::exit::{Exit, Failure, Result, Said};
use crate::published::Published;
use crate::roles::{self, lifetime_days, stamped};
use crate::rollouts;
use crate::store::Store;

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// More than a third of its life is left.
    Good,
    /// A third or less.
    Warning,
    /// A fifth or less, or it has expired.
    Alarm,
}

/// One file's expiry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expiry {
    /// Whose.
    pub role: RoleName,
    /// Its version.
    pub version: u64,
    /// When.
    #[serde(serialize_with = "as_text")]
    pub expires: Timestamp,
    /// Seconds left; below 0 it has expired.
    pub left_s: i64,
    /// Seconds from signing to expiry.
    pub life_s: i64,
    /// How it stands.
    pub level: Level,
    /// Whether `refresh` should sign it anew: half of its life has passed.
    pub due: bool,
}

fn as_text<S: serde::Serializer>(time: &Timestamp, writer: S) -> Result<S::Ok, S::Error> {
    writer.collect_str(time)
}

/// All expiries, soonest first.
pub fn expiries(published: &Published, now: Timestamp) -> Vec<Expiry> {
    let mut all = vec![
        one(&RoleName::root(), &published.root, stamped(&published.root.extra), now),
        one(&RoleName::timestamp(), &published.timestamp, published.timestamp.signed_at, now),
        one(&RoleName::snapshot(), &published.snapshot, stamped(&published.snapshot.extra), now),
    ];
    let targets = published.targets.iter().map(|(role, draft)| (role, draft.signed()));
    all.extend(targets.map(|(role, targets)| one(role, targets, stamped(&targets.extra), now)));
    all.sort_by_key(|expiry| expiry.expires);
    all
}

fn one(role: &RoleName, file: &impl Metadata, signed: Option<Timestamp>, now: Timestamp) -> Expiry {
    let expires = file.expires();
    let usual = SignedDuration::from_hours(24 * lifetime_days(role)).as_secs();
    let life_s = signed.map_or(usual, |signed| expires.as_second() - signed.as_second()).max(1);
    let left_s = expires.as_second() - now.as_second();
    let level = if left_s.saturating_mul(5) <= life_s {
        Level::Alarm
    } else if left_s.saturating_mul(3) <= life_s {
        Level::Warning
    } else {
        Level::Good
    };
    let due = left_s.saturating_mul(2) <= life_s;
    Expiry { role: role.clone(), version: file.version(), expires, left_s, life_s, level, due }
}

/// Lists every expiry; ends with a warning or an alarm where one is.
pub fn status(store: &dyn Store, trusted_root: &[u8], now: Timestamp) -> Result<Said> {
    let published = Published::read(store, trusted_root)?;
    let published =
        published.ok_or_else(|| Failure::usage(format!("{}: nothing is published", store.name())))?;
    let all = expiries(&published, now);
    let words = all.iter().map(in_words).collect();
    let worst = all.iter().map(|expiry| expiry.level).max().unwrap_or(Level::Good);
    let exit = match worst {
        Level::Good => Exit::Done,
        Level::Warning => Exit::Warning,
        Level::Alarm => Exit::Alarm,
    };
    Ok(Said { words, json: json!({"level": worst, "expiries": all}), exit })
}

fn in_words(expiry: &Expiry) -> String {
    let days = |seconds: i64| format!("{}.{} d", seconds / 86_400, (seconds % 86_400).abs() / 8_640);
    let level = match expiry.level {
        Level::Good => "",
        Level::Warning => "  WARNING: a third of its life or less is left",
        Level::Alarm if expiry.left_s < 0 => "  ALARM: expired; vehicles take nothing new",
        Level::Alarm => "  ALARM: a fifth of its life or less is left",
    };
    format!(
        "{:<10} version {:<4} {} left of {}{level}",
        expiry.role.to_string(),
        expiry.version,
        days(expiry.left_s),
        days(expiry.life_s)
    )
}

/// Signs anew what online keys sign and half of whose life has passed; `now_all`: whatever its age.
pub fn refresh(
    store: &dyn Store,
    trusted_root: &[u8],
    online: &Online<'_>,
    rollout: Option<&dyn Signer>,
    now_all: bool,
    now: Timestamp,
) -> Result<Said> {
    let plan = |base: Option<&Published>, pass_over: u64| {
        let base = base.ok_or_else(|| Failure::usage(format!("{}: nothing is published", store.name())))?;
        let all = expiries(base, now);
        let is_due = |role: &RoleName| all.iter().any(|one| one.role == *role && (one.due || now_all));
        let mut change = Change { snapshot: is_due(&RoleName::snapshot()), ..Change::default() };
        if let Some(signer) = rollout.filter(|_| is_due(&roles::rollout())) {
            change.targets.push(renewed_rollouts(base, signer, now, pass_over)?);
            change.look_for.extend(rollout_paths(base));
        }
        let any = change.snapshot || !change.targets.is_empty() || is_due(&RoleName::timestamp());
        Ok(any.then_some(change))
    };
    let committed = commit(store, trusted_root, online, now, &plan)?;
    let words = match &committed {
        None => vec!["nothing is due: less than half of each life has passed".to_owned()],
        Some(committed) => {
            vec![format!(
                "signed anew: timestamp version {}, snapshot {}",
                committed.timestamp, committed.snapshot
            )]
        }
    };
    Ok(Said::new(words, json!({"published": committed})))
}

fn renewed_rollouts(
    base: &Published,
    signer: &dyn Signer,
    now: Timestamp,
    pass_over: u64,
) -> Result<Draft<stopline_tuf::metadata::Targets>> {
    let targets = rollouts::next_rollout_role(base, now, pass_over);
    rollouts::sign(base, roles::rollout(), targets, signer)
}

fn rollout_paths(base: &Published) -> Vec<TargetPath> {
    let targets = base.role(&roles::rollout()).into_iter().flat_map(|targets| targets.targets.keys());
    targets.filter_map(|path| TargetPath::new(path.as_str()).ok()).collect()
}
