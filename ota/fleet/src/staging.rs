//! The folder that goes from holder to holder: files that are to be signed, what they are judged by, and the bundles that
//! they speak of.
//!
//! ```text
//! staging/
//!   root.json, targets.json, models.json   drafts, each as far as it is signed
//!   trusted/root.json, trusted/targets.json   what is published: whose signatures count
//!   files/models/MODEL/FILE   what the drafts list and is not published yet
//!   evaluations/DIGEST.json   evaluation records, by the bundle's digest
//! ```
//!
//! Signing needs this folder and a key, and no network.

use std::path::{Path, PathBuf};

use stopline_tuf::metadata::{Metadata, Root, Targets};
use stopline_tuf::write::{Authority, Draft, Standing};
use stopline_tuf::{MetadataFile, RoleName, TargetPath};

use crate::exit::{Failure, Result};
use crate::files;

/// The folder.
#[derive(Debug, Clone)]
pub struct Staging {
    folder: PathBuf,
}

/// A draft of either kind.
#[derive(Debug, Clone)]
pub enum AnyDraft {
    /// Of root.
    Root(Draft<Root>),
    /// Of a targets role.
    Targets(Draft<Targets>),
}

impl Staging {
    /// In `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the draft of a role lies.
    pub fn draft_path(&self, role: &RoleName) -> PathBuf {
        self.folder.join(MetadataFile::unversioned(role).as_str())
    }

    /// Where a file lies that is to be published as `path`.
    pub fn file_path(&self, path: &TargetPath) -> PathBuf {
        self.folder.join("files").join(path.as_str())
    }

    /// Where the evaluation record of a bundle lies.
    pub fn evaluation_path(&self, digest: &stopline_depot::digest::Digest) -> PathBuf {
        self.folder.join("evaluations").join(format!("{digest}.json"))
    }

    /// The draft of root, if there is one.
    pub fn root(&self) -> Result<Option<Draft<Root>>> {
        self.read(&RoleName::root())
    }

    /// The draft of a targets role, if there is one.
    pub fn targets(&self, role: &RoleName) -> Result<Option<Draft<Targets>>> {
        self.read(role)
    }

    /// All drafts that there are.
    pub fn drafts(&self) -> Result<Vec<AnyDraft>> {
        let mut drafts: Vec<AnyDraft> = self.root()?.map(AnyDraft::Root).into_iter().collect();
        for role in
            [RoleName::targets(), crate::roles::models(), crate::roles::rollout(), crate::roles::campaigns()]
        {
            drafts.extend(self.targets(&role)?.map(AnyDraft::Targets));
        }
        Ok(drafts)
    }

    fn read<T: Metadata>(&self, role: &RoleName) -> Result<Option<Draft<T>>> {
        let path = self.draft_path(role);
        let Some(bytes) = files::read_if_there(&path, files::MAX_SMALL)? else { return Ok(None) };
        let draft = Draft::read(role.clone(), &bytes);
        draft.map(Some).map_err(|error| Failure::from(error).of(path.display()))
    }

    /// Writes a draft.
    pub fn write(&self, draft: &Draft<impl Metadata>) -> Result<()> {
        files::write(&self.draft_path(draft.role()), &draft.to_bytes())
    }

    /// Removes the draft of a role: it is published.
    pub fn remove(&self, role: &RoleName) -> Result<()> {
        files::remove(&self.draft_path(role))
    }

    /// The root that is trusted here, byte for byte. It came by hand or was signed here, never from a server alone.
    pub fn trusted_root_bytes(&self) -> Result<Option<Vec<u8>>> {
        files::read_if_there(&self.trusted("root.json"), files::MAX_SMALL)
    }

    /// The root that is trusted here.
    pub fn trusted_root(&self) -> Result<Option<Root>> {
        let bytes = self.trusted_root_bytes()?;
        bytes.map(|bytes| Ok(Draft::read(RoleName::root(), &bytes)?.into_signed())).transpose()
    }

    /// The top-level targets metadata that is published, as far as this folder knows.
    pub fn trusted_targets(&self) -> Result<Option<Targets>> {
        let bytes = files::read_if_there(&self.trusted("targets.json"), files::MAX_SMALL)?;
        bytes.map(|bytes| Ok(Draft::read(RoleName::targets(), &bytes)?.into_signed())).transpose()
    }

    /// Notes what is published and verified.
    pub fn set_trusted(&self, root: &[u8], targets: &[u8]) -> Result<()> {
        files::write(&self.trusted("root.json"), root)?;
        files::write(&self.trusted("targets.json"), targets)
    }

    fn trusted(&self, name: &str) -> PathBuf {
        self.folder.join("trusted").join(name)
    }

    /// Gives `then` each authority that must stand behind a draft: for a new root the old one and itself.
    pub fn authorities<T>(
        &self,
        draft: &AnyDraft,
        mut then: impl FnMut(Authority<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let nobody = |what: &str| {
            Failure::refused(format!(
                "{}: there is no {what} to say whose signatures count; bring the folder trusted/ along",
                self.folder.display()
            ))
        };
        match draft {
            AnyDraft::Root(draft) => {
                let trusted = self.trusted_root()?;
                let mut all = Vec::new();
                if let Some(root) = trusted.filter(|root| root.version < draft.signed().version) {
                    all.push(then(Authority::Root(&root))?);
                }
                all.push(then(Authority::Root(draft.signed()))?);
                Ok(all)
            }
            AnyDraft::Targets(draft) if *draft.role() == RoleName::targets() => {
                let staged = self.root()?.map(Draft::into_signed);
                let root = match staged {
                    Some(root) => root,
                    None => self.trusted_root()?.ok_or_else(|| nobody("root"))?,
                };
                Ok(vec![then(Authority::Root(&root))?])
            }
            AnyDraft::Targets(_) => {
                let top = RoleName::targets();
                let staged = self.targets(&top)?.map(Draft::into_signed);
                let targets = match staged {
                    Some(targets) => targets,
                    None => self.trusted_targets()?.ok_or_else(|| nobody("targets"))?,
                };
                Ok(vec![then(Authority::Delegator(&targets, &top))?])
            }
        }
    }

    /// How far a draft is signed, by each authority.
    pub fn standings(&self, draft: &AnyDraft) -> Result<Vec<Standing>> {
        self.authorities(draft, |authority| Ok(draft.standing(authority)?))
    }
}

impl AnyDraft {
    /// The role.
    pub fn role(&self) -> &RoleName {
        match self {
            Self::Root(draft) => draft.role(),
            Self::Targets(draft) => draft.role(),
        }
    }

    /// The version.
    pub fn version(&self) -> u64 {
        match self {
            Self::Root(draft) => draft.signed().version,
            Self::Targets(draft) => draft.signed().version,
        }
    }

    /// How far it is signed.
    pub fn standing(&self, authority: Authority<'_>) -> Result<Standing, stopline_tuf::Error> {
        match self {
            Self::Root(draft) => draft.standing(authority),
            Self::Targets(draft) => draft.standing(authority),
        }
    }

    /// Signs it.
    pub fn sign(
        &mut self,
        signer: &dyn stopline_tuf::write::Signer,
        authority: Authority<'_>,
    ) -> Result<(), stopline_tuf::Error> {
        match self {
            Self::Root(draft) => draft.sign(signer, authority),
            Self::Targets(draft) => draft.sign(signer, authority),
        }
    }

    /// The bytes that are signed.
    pub fn message(&self) -> &[u8] {
        match self {
            Self::Root(draft) => draft.message(),
            Self::Targets(draft) => draft.message(),
        }
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Root(draft) => draft.to_bytes(),
            Self::Targets(draft) => draft.to_bytes(),
        }
    }

    /// Reads a draft of `role`.
    pub fn read(role: &RoleName, bytes: &[u8]) -> Result<Self> {
        if *role == RoleName::root() {
            return Ok(Self::Root(Draft::read(role.clone(), bytes)?));
        }
        Ok(Self::Targets(Draft::read(role.clone(), bytes)?))
    }

    /// What a person should know before signing it, one line each.
    pub fn summary(&self) -> Vec<String> {
        match self {
            Self::Root(draft) => summary_of_root(draft.signed()),
            Self::Targets(draft) => summary_of_targets(draft.role(), draft.signed()),
        }
    }
}

fn summary_of_root(root: &Root) -> Vec<String> {
    let role = |(name, keys): (&String, &stopline_tuf::metadata::RoleKeys)| {
        let ids: Vec<&str> = keys.keyids.iter().map(|id| short(id.as_str())).collect();
        format!("  {name}: {} of {} ({})", keys.threshold, ids.len(), ids.join(", "))
    };
    let head = format!("root version {}, expires {}", root.version, root.expires);
    std::iter::once(head).chain(root.roles.iter().map(role)).collect()
}

fn summary_of_targets(role: &RoleName, targets: &Targets) -> Vec<String> {
    let mut lines = vec![format!("{role} version {}, expires {}", targets.version, targets.expires)];
    for delegation in targets.delegations.iter().flat_map(|delegations| &delegations.roles) {
        let ids: Vec<&str> = delegation.keyids.iter().map(|id| short(id.as_str())).collect();
        let paths = delegation.paths.as_deref().unwrap_or_default().join(" ");
        let ends = if delegation.terminating { ", terminating" } else { "" };
        let (threshold, count) = (delegation.threshold, ids.len());
        lines.push(format!(
            "  {} signs {paths}{ends}: {threshold} of {count} ({})",
            delegation.name,
            ids.join(", ")
        ));
    }
    for (path, file) in &targets.targets {
        let digest = file.hashes.by("sha256").unwrap_or("no sha256");
        lines.push(format!("  {path}: {} bytes, {}", file.length, short(digest)));
    }
    lines
}

/// Enough of a key's id or a digest to tell it from others by eye.
pub fn short(text: &str) -> &str {
    text.get(..12).unwrap_or(text)
}
