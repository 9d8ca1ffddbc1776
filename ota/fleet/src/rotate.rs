//! Changing who signs: drafts of a new root or new delegations, to be signed by the holders before and after.

use jiff::Timestamp;
use serde_json::json;
use stopline_tuf::key::Key;
use stopline_tuf::metadata::{DelegatedRole, Root, Targets};
use stopline_tuf::write::Draft;
use stopline_tuf::{KeyId, RoleName};

use crate::exit::{Failure, Result, Said};
use crate::published::Published;
use crate::roles::{expires, stamp};
use crate::staging::{AnyDraft, Staging};
use crate::store::Store;

/// Puts `new` in the place of `old` for a role; without `new` the old key is taken away, without `old` the new one joins.
pub fn run(
    staging: &Staging,
    role: &RoleName,
    old: Option<&KeyId>,
    new: Option<&Key>,
    now: Timestamp,
) -> Result<Said> {
    let mut words = Vec::new();
    let draft = if role.is_top_level() {
        AnyDraft::Root(of_root(staging, role, old, new, now)?)
    } else {
        AnyDraft::Targets(of_targets(staging, role, old, new, now)?)
    };
    match &draft {
        AnyDraft::Root(draft) => staging.write(draft)?,
        AnyDraft::Targets(draft) => staging.write(draft)?,
    }
    words.extend(draft.summary());
    let who = match draft {
        AnyDraft::Root(_) => "holders of root sign it, as many of the old as of the new",
        AnyDraft::Targets(_) => "holders of targets sign it",
    };
    words.push(format!("next: {who}; then `publish`"));
    if *role == crate::roles::models() {
        words.push("  where the models metadata loses a signature by it, two holders sign that anew too (`models renew`)".into());
    }
    Ok(Said::new(words, json!({"draft": draft.role(), "version": draft.version(), "role": role})))
}

fn of_root(
    staging: &Staging,
    role: &RoleName,
    old: Option<&KeyId>,
    new: Option<&Key>,
    now: Timestamp,
) -> Result<Draft<Root>> {
    let expiry = expires(&RoleName::root(), now);
    let mut root = match (staging.root()?, staging.trusted_root()?) {
        (Some(draft), _) => Root { expires: expiry, ..draft.into_signed() },
        (None, Some(trusted)) => trusted.next(expiry),
        (None, None) => return Err(Failure::usage("there is no root: begin with `init`")),
    };
    let ids = root.roles.get(role.as_str()).map(|keys| keys.keyids.clone()).unwrap_or_default();
    check_old(role, &ids, old)?;
    if let Some(key) = new {
        root.allow(role, key.clone());
    }
    if let Some(id) = old {
        root.revoke(role, id);
    }
    let keys = root.roles.get(role.as_str());
    check_left(role, keys.map_or(0, |keys| keys.keyids.len()), keys.map_or(1, |keys| keys.threshold))?;
    stamp(&mut root.extra, now);
    Ok(Draft::new(RoleName::root(), root)?)
}

fn of_targets(
    staging: &Staging,
    role: &RoleName,
    old: Option<&KeyId>,
    new: Option<&Key>,
    now: Timestamp,
) -> Result<Draft<Targets>> {
    let top = RoleName::targets();
    let expiry = expires(&top, now);
    let mut targets = match (staging.targets(&top)?, staging.trusted_targets()?) {
        (Some(draft), _) => Targets { expires: expiry, ..draft.into_signed() },
        (None, Some(trusted)) => trusted.next(expiry),
        (None, None) => return Err(Failure::usage("there is no targets metadata: begin with `init`")),
    };
    let known = targets.delegations.clone();
    let delegation = known.as_ref().and_then(|known| known.roles.iter().find(|one| one.name == *role));
    let (mut keys, delegation) = match (delegation, &known) {
        (Some(delegation), Some(known)) => {
            check_old(role, &delegation.keyids, old)?;
            let left = delegation.keyids.iter().filter(|id| Some(*id) != old);
            (left.filter_map(|id| known.keys.get(id).cloned()).collect::<Vec<_>>(), delegation.clone())
        }
        // Operators may do without campaigns at first.
        _ if *role == crate::roles::campaigns() => {
            (Vec::new(), DelegatedRole::new(role.clone(), 1, &[crate::roles::CAMPAIGNS.1]).terminating())
        }
        _ => return Err(Failure::usage(format!("{role}: targets does not delegate to it"))),
    };
    keys.extend(new.filter(|key| !keys.contains(key)).cloned());
    check_left(role, keys.len(), delegation.threshold)?;
    targets.delegate(delegation, keys);
    stamp(&mut targets.extra, now);
    Ok(Draft::new(top, targets)?)
}

fn check_old(role: &RoleName, ids: &[KeyId], old: Option<&KeyId>) -> Result<()> {
    match old.filter(|id| !ids.contains(id)) {
        None => Ok(()),
        Some(id) => {
            let known: Vec<&str> = ids.iter().map(KeyId::as_str).collect();
            Err(Failure::usage(format!("{role}: {id} is not among its keys: {}", known.join(", "))))
        }
    }
}

fn check_left(role: &RoleName, left: usize, threshold: u64) -> Result<()> {
    let enough = u64::try_from(left).is_ok_and(|left| left > threshold || (threshold == 1 && left == 1));
    if enough {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "{role}: {left} keys would be left, and {threshold} sign: one more lost, and nobody can sign any more. Rotate: give \
         a new key with --new"
    )))
}

/// A next version of a role that says the same, to renew its expiry or its signatures; of models less what nobody needs.
pub fn renew(
    staging: &Staging,
    store: &dyn Store,
    published: &Published,
    role: &RoleName,
    now: Timestamp,
) -> Result<Said> {
    let expiry = expires(role, now);
    let draft = if *role == RoleName::root() {
        let root = staging.trusted_root()?.ok_or_else(|| Failure::usage("there is no root"))?;
        let mut root = root.next(expiry);
        stamp(&mut root.extra, now);
        AnyDraft::Root(Draft::new(role.clone(), root)?)
    } else {
        let targets = published.role(role);
        let targets = targets.ok_or_else(|| Failure::usage(format!("{role}: nothing of it is published")))?;
        let mut targets = targets.next(expiry);
        stamp(&mut targets.extra, now);
        if *role == crate::roles::models() {
            crate::models::delist(&mut targets, store, Some(published))?;
        }
        AnyDraft::Targets(Draft::new(role.clone(), targets)?)
    };
    if staging.drafts()?.iter().any(|known| known.role() == role) {
        return Err(Failure::refused(format!(
            "{role}: there is a draft already; it renews the expiry as well"
        )));
    }
    crate::files::write(&staging.draft_path(role), &draft.to_bytes())?;
    let mut words = draft.summary();
    words.push("next: its holders run `sign`, then `publish`".into());
    Ok(Said::new(words, json!({"draft": role, "version": draft.version()})))
}
