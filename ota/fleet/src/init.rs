//! Beginning a repository: who signs what. It takes public keys only.

use jiff::Timestamp;
use serde_json::json;
use stopline_tuf::RoleName;
use stopline_tuf::key::Key;
use stopline_tuf::metadata::{DelegatedRole, Root, Targets};
use stopline_tuf::write::Draft;

use crate::exit::{Failure, Result, Said};
use crate::roles::{self, expires, stamp};
use crate::staging::{AnyDraft, Staging};

/// Signatures that root, targets and models need.
pub const THRESHOLD: u64 = 2;

/// Public keys of each role.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    /// Of root.
    pub root: Vec<Key>,
    /// Of targets.
    pub targets: Vec<Key>,
    /// Of models.
    pub models: Vec<Key>,
    /// Of rollout.
    pub rollout: Vec<Key>,
    /// Of campaigns; none: the role is not delegated.
    pub campaigns: Vec<Key>,
    /// Of snapshot.
    pub snapshot: Vec<Key>,
    /// Of timestamp.
    pub timestamp: Vec<Key>,
}

impl Holders {
    fn check(&self) -> Result<()> {
        for (role, keys) in [("root", &self.root), ("targets", &self.targets), ("models", &self.models)] {
            let mut ids: Vec<_> = keys.iter().map(Key::id).collect();
            ids.sort();
            ids.dedup();
            if ids.len() < 3 {
                return Err(Failure::usage(format!(
                    "{role}: {} different keys, expected three holders or more: {THRESHOLD} sign, and one may lose theirs",
                    ids.len()
                )));
            }
        }
        let online =
            [("rollout", &self.rollout), ("snapshot", &self.snapshot), ("timestamp", &self.timestamp)];
        for (role, keys) in online {
            if keys.is_empty() {
                return Err(Failure::usage(format!("{role}: no key; give its .pub file")));
            }
            // An online key lies on a server: whoever takes it must not be a third of the holders.
            let offline = [&self.root, &self.targets, &self.models].into_iter().flatten();
            if let Some(both) = offline.into_iter().find(|key| keys.contains(key)) {
                return Err(Failure::refused(format!(
                    "{role}: the key {} is a holder's too; online keys are keys of their own",
                    both.id()
                )));
            }
        }
        Ok(())
    }
}

/// Makes the drafts of root, targets and models, to be signed by their holders.
pub fn run(staging: &Staging, holders: &Holders, now: Timestamp) -> Result<Said> {
    holders.check()?;
    if staging.trusted_root_bytes()?.is_some() || !staging.drafts()?.is_empty() {
        return Err(Failure::refused(format!(
            "{}: there are drafts or a trusted root already; a repository is begun once",
            staging.folder().display()
        )));
    }
    let root = Draft::new(RoleName::root(), root(holders, now))?;
    let targets = Draft::new(RoleName::targets(), targets(holders, now))?;
    let models = Draft::new(roles::models(), empty(&roles::models(), now))?;
    staging.write(&root)?;
    staging.write(&targets)?;
    staging.write(&models)?;
    let mut words =
        vec![format!("made drafts in {}, to be signed by their holders:", staging.folder().display())];
    for draft in [AnyDraft::Root(root), AnyDraft::Targets(targets), AnyDraft::Targets(models)] {
        words.extend(draft.summary());
    }
    words.push(format!(
        "next: each holder runs `sign` with their own key; {THRESHOLD} signatures each are needed"
    ));
    Ok(Said::new(words, json!({"staging": staging.folder(), "drafts": ["root", "targets", "models"]})))
}

fn root(holders: &Holders, now: Timestamp) -> Root {
    let mut root = Root::new(expires(&RoleName::root(), now));
    let roles = [
        (RoleName::root(), &holders.root, THRESHOLD),
        (RoleName::targets(), &holders.targets, THRESHOLD),
        (RoleName::snapshot(), &holders.snapshot, 1),
        (RoleName::timestamp(), &holders.timestamp, 1),
    ];
    for (role, keys, threshold) in roles {
        keys.iter().for_each(|key| root.allow(&role, key.clone()));
        root.require(&role, threshold);
    }
    stamp(&mut root.extra, now);
    root
}

fn targets(holders: &Holders, now: Timestamp) -> Targets {
    let mut targets = empty(&RoleName::targets(), now);
    let models = DelegatedRole::new(roles::models(), THRESHOLD, &[roles::MODELS.1]);
    targets.delegate(models, holders.models.clone());
    let rollout = DelegatedRole::new(roles::rollout(), 1, &[roles::ROLLOUT.1]).terminating();
    targets.delegate(rollout, holders.rollout.clone());
    if !holders.campaigns.is_empty() {
        let campaigns = DelegatedRole::new(roles::campaigns(), 1, &[roles::CAMPAIGNS.1]).terminating();
        targets.delegate(campaigns, holders.campaigns.clone());
    }
    targets
}

/// A targets role that lists nothing.
pub fn empty(role: &RoleName, now: Timestamp) -> Targets {
    let mut targets = Targets::new(expires(role, now));
    stamp(&mut targets.extra, now);
    targets
}
