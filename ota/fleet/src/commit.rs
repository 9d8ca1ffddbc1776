//! Publishing: everything that is new first, under names that nothing else has, and `timestamp.json` last, only if it is
//! still what this publication started from. Until then nobody sees any of it; after it everybody sees all of it.
//!
//! What another publisher was quicker with is read again and the change is made anew on top of it. What a publisher that
//! was cut off left behind under the next version's name is passed over: versions only have to rise.

use jiff::Timestamp as Time;
use stopline_tuf::fetch::MemoryRepository;
use stopline_tuf::metadata::{MetaFile, Root, Snapshot, Targets, Timestamp};
use stopline_tuf::write::{Authority, Draft, Publication, Signer, prove};
use stopline_tuf::{MetadataFile, RoleName, TargetPath};

use crate::exit::{Failure, Result};
use crate::published::Published;
use crate::roles::{expires, stamp};
use crate::store::{Added, Content, Store, TIMESTAMP};

/// Tries before giving way.
const ATTEMPTS: u32 = 64;

/// What is to be published.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new root, signed.
    pub root: Option<Draft<Root>>,
    /// New metadata of targets roles, signed.
    pub targets: Vec<Draft<Targets>>,
    /// Other files, by their path in the repository.
    pub files: Vec<(String, NewFile)>,
    /// Targets that a device must find afterwards.
    pub look_for: Vec<TargetPath>,
    /// Sign the snapshot anew although nothing that it lists changes.
    pub snapshot: bool,
}

/// Content of a new file.
#[derive(Debug, Clone)]
pub enum NewFile {
    /// In memory.
    Bytes(Vec<u8>),
    /// On disk.
    Path(std::path::PathBuf),
}

/// The keys that are online.
pub struct Online<'a> {
    /// Of snapshot.
    pub snapshot: &'a dyn Signer,
    /// Of timestamp.
    pub timestamp: &'a dyn Signer,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Committed {
    /// Version of root.
    pub root: u64,
    /// Version of snapshot.
    pub snapshot: u64,
    /// Version of timestamp.
    pub timestamp: u64,
    /// New versions of targets roles.
    pub roles: Vec<(RoleName, u64)>,
    /// How often another publisher was quicker.
    pub lost_races: u32,
}

/// Makes the change on top of what is published; `None`: there is nothing to do. The second argument is how many versions
/// to pass over in names that are taken.
pub type Plan<'a> = dyn Fn(Option<&Published>, u64) -> Result<Option<Change>> + 'a;

/// Publishes what `plan` makes of what is published; `None`: there was nothing to do.
///
/// # Errors
/// What a device would refuse, what a rule forbids, or a conflict that making it anew does not solve.
pub fn commit(
    store: &dyn Store,
    trusted_root: &[u8],
    online: &Online<'_>,
    now: Time,
    plan: &Plan<'_>,
) -> Result<Option<Committed>> {
    let (mut pass_over, mut lost_races) = (0, 0);
    for _ in 0..ATTEMPTS {
        let base = Published::read(store, trusted_root)?;
        let Some(change) = plan(base.as_ref(), pass_over)? else { return Ok(None) };
        let prepared = Prepared::new(base.as_ref(), change, online, now, pass_over)?;
        prepared.prove(base.as_ref(), now)?;
        match prepared.write(store, base.as_ref())? {
            Written::All => return Ok(Some(Committed { lost_races, ..prepared.committed })),
            Written::Lost => (pass_over, lost_races) = (0, lost_races + 1),
            Written::Taken => pass_over += 1,
        }
    }
    Err(Failure::conflict(format!(
        "{}: others published {ATTEMPTS} times in between; try again",
        store.name()
    )))
}

enum Written {
    All,
    /// Another publisher was quicker.
    Lost,
    /// A name is taken by what was never published.
    Taken,
}

/// All files of a publication.
struct Prepared {
    committed: Committed,
    files: Vec<(String, NewFile)>,
    /// In the order of writing.
    metadata: Vec<(MetadataFile, Vec<u8>)>,
    timestamp: Vec<u8>,
    look_for: Vec<TargetPath>,
}

impl Prepared {
    fn new(
        base: Option<&Published>,
        change: Change,
        online: &Online<'_>,
        now: Time,
        pass_over: u64,
    ) -> Result<Self> {
        let root = check_root(base, change.root.as_ref())?;
        check_targets(base, &change, &root)?;
        let (snapshot, listed) = make_snapshot(base, &change, &root, online, now, pass_over)?;
        let timestamp = make_timestamp(base, listed.clone(), &root, online, now)?;
        let mut publication = Publication::new();
        for draft in &change.targets {
            publication = publication.targets(draft);
        }
        if let Some(draft) = &snapshot {
            publication = publication.snapshot(draft);
        }
        // A device asks for the next root by its number before anything else: it comes when all else is there.
        if let Some(draft) = &change.root {
            publication = publication.root(draft);
        }
        let mut metadata = publication.timestamp(&timestamp);
        metadata.pop();
        let roles =
            change.targets.iter().map(|draft| (draft.role().clone(), draft.signed().version)).collect();
        let committed = Committed {
            root: root.version,
            snapshot: listed.version,
            timestamp: timestamp.signed().version,
            roles,
            lost_races: 0,
        };
        let timestamp = timestamp.to_bytes();
        Ok(Self { committed, files: change.files, metadata, timestamp, look_for: change.look_for })
    }

    /// A device from the first root, and one that has seen what is published now, must both take it.
    fn prove(&self, base: Option<&Published>, now: Time) -> Result<()> {
        let mut repository: MemoryRepository = base.map(|base| base.files.clone()).unwrap_or_default();
        repository.files.extend(self.metadata.iter().cloned());
        let timestamp = MetadataFile::unversioned(&RoleName::timestamp());
        repository.files.insert(timestamp, self.timestamp.clone());
        let first = MetadataFile::versioned(&RoleName::root(), 1);
        let first = repository.files.get(&first).cloned();
        let first = first.ok_or_else(|| Failure::refused("there is no root of version 1"))?;
        let refused =
            |error| Failure::from(error).of("a device would refuse what was to be published; nothing was");
        prove(&repository, &first, None, now, &self.look_for).map_err(refused)?;
        let stored = base.map(|base| base.device.clone());
        prove(&repository, &first, stored, now, &self.look_for).map_err(refused)?;
        Ok(())
    }

    fn write(&self, store: &dyn Store, base: Option<&Published>) -> Result<Written> {
        for (path, content) in &self.files {
            let content = match content {
                NewFile::Bytes(bytes) => Content::Bytes(bytes),
                NewFile::Path(path) => Content::File(path),
            };
            if store.add(path, content)? == Added::Other {
                let problem = format!("{}/{path}: it is there already with other content", store.name());
                return Err(Failure::conflict(problem));
            }
        }
        for (file, bytes) in &self.metadata {
            if store.add(&format!("metadata/{file}"), Content::Bytes(bytes))? == Added::Other {
                return self.taken(file);
            }
        }
        let swapped = store.swap(TIMESTAMP, base.map(|base| &base.tag), &self.timestamp)?;
        Ok(if swapped { Written::All } else { Written::Lost })
    }

    /// Online keys sign the next number; what holders signed on their machines has its number in it.
    fn taken(&self, file: &MetadataFile) -> Result<Written> {
        let offline = [RoleName::root(), RoleName::targets(), crate::roles::models()];
        let is_of = |role: &RoleName, version: u64| *file == MetadataFile::versioned(role, version);
        let roots = is_of(&RoleName::root(), self.committed.root);
        let roles = self.committed.roles.iter();
        let mut signed_offline = roles.filter(|(role, _)| offline.contains(role));
        if roots || signed_offline.any(|(role, version)| is_of(role, *version)) {
            return Err(Failure::conflict(format!(
                "metadata/{file}: another one of this version is there. Make the draft anew, on top of it or with a \
                 higher version, and have it signed"
            )));
        }
        Ok(Written::Taken)
    }
}

fn check_root(base: Option<&Published>, new: Option<&Draft<Root>>) -> Result<Root> {
    let old = base.map(|base| &base.root);
    let Some(draft) = new else {
        return old.cloned().ok_or_else(|| {
            Failure::refused(
                "nothing is published yet and there is no root: begin with `init`, and have it signed",
            )
        });
    };
    let expected = old.map_or(1, |old| old.version + 1);
    if draft.signed().version != expected {
        return Err(Failure::conflict(format!(
            "root: version {}, expected {expected}: roots follow each other without a gap",
            draft.signed().version
        )));
    }
    for root in old.into_iter().chain([draft.signed()]) {
        complete("root", &draft.standing(Authority::Root(root))?)?;
    }
    Ok(draft.signed().clone())
}

/// New ones are newer and signed; old ones still are.
fn check_targets(base: Option<&Published>, change: &Change, root: &Root) -> Result<()> {
    let top = RoleName::targets();
    let new_top = change.targets.iter().find(|draft| *draft.role() == top).map(Draft::signed);
    let delegator = new_top.or_else(|| base.and_then(Published::top));
    let delegator = delegator.ok_or_else(|| Failure::refused("there is no targets metadata"))?;
    for draft in &change.targets {
        let published = base.and_then(|base| base.role(draft.role())).map_or(0, |targets| targets.version);
        if draft.signed().version <= published {
            return Err(Failure::conflict(format!(
                "{}: version {}, and {published} is published already: make the draft anew",
                draft.role(),
                draft.signed().version
            )));
        }
    }
    let kept = base.iter().flat_map(|base| base.targets.values());
    let kept = kept.filter(|old| !change.targets.iter().any(|new| new.role() == old.role()));
    for draft in change.targets.iter().chain(kept) {
        let authority = match *draft.role() == top {
            true => Authority::Root(root),
            false => Authority::Delegator(delegator, &top),
        };
        complete(draft.role().as_str(), &draft.standing(authority)?)?;
    }
    Ok(())
}

fn complete(role: &str, standing: &stopline_tuf::write::Standing) -> Result<()> {
    if standing.complete() {
        return Ok(());
    }
    let waiting: Vec<&str> = standing.waiting.iter().map(|id| crate::staging::short(id.as_str())).collect();
    Err(Failure::refused(format!(
        "{role}: {} of {} signatures; may still sign: {}",
        standing.valid,
        standing.threshold,
        waiting.join(", ")
    )))
}

fn make_snapshot(
    base: Option<&Published>,
    change: &Change,
    root: &Root,
    online: &Online<'_>,
    now: Time,
    pass_over: u64,
) -> Result<(Option<Draft<Snapshot>>, MetaFile)> {
    let listed = base.and_then(|base| base.timestamp.snapshot());
    if let Some(listed) =
        listed.filter(|_| change.targets.is_empty() && change.root.is_none() && !change.snapshot)
    {
        return Ok((None, listed.clone()));
    }
    let role = RoleName::snapshot();
    let expiry = expires(&role, now);
    let mut snapshot = match base {
        Some(base) => base.snapshot.next(expiry),
        None => Snapshot::new(expiry),
    };
    snapshot.version += pass_over;
    stamp(&mut snapshot.extra, now);
    for draft in &change.targets {
        snapshot.list(draft.role(), MetaFile::of(draft.signed().version, &draft.to_bytes()));
    }
    let mut draft = Draft::new(role, snapshot)?;
    draft.sign(online.snapshot, Authority::Root(root))?;
    complete("snapshot", &draft.standing(Authority::Root(root))?)?;
    let listed = MetaFile::of(draft.signed().version, &draft.to_bytes());
    Ok((Some(draft), listed))
}

fn make_timestamp(
    base: Option<&Published>,
    listed: MetaFile,
    root: &Root,
    online: &Online<'_>,
    now: Time,
) -> Result<Draft<Timestamp>> {
    let role = RoleName::timestamp();
    let expiry = expires(&role, now);
    let timestamp = match base {
        Some(base) => base.timestamp.next(listed, now, expiry),
        None => Timestamp::new(listed, now, expiry),
    };
    let mut draft = Draft::new(role, timestamp)?;
    draft.sign(online.timestamp, Authority::Root(root))?;
    complete("timestamp", &draft.standing(Authority::Root(root))?)?;
    Ok(draft)
}
