//! §5.6.7: "Perform a pre-order depth-first search for metadata about the desired target, beginning with the top-level
//! targets role."

use std::collections::BTreeSet;

use crate::error::Error;
use crate::limits::Limits;
use crate::metadata::{Signers, TargetFile, Targets};
use crate::name::{RoleName, TargetPath};
use crate::pattern;

/// A target, and who vouches for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its path.
    pub path: TargetPath,
    /// The role whose metadata lists it.
    pub role: RoleName,
    /// The roles from the top-level `targets` to [`Self::role`], both included.
    pub chain: Vec<RoleName>,
    /// Version of the metadata that lists it.
    pub role_version: u64,
    /// Length, digests and what the repository says of it.
    pub file: TargetFile,
}

impl Found {
    /// Whether exactly `role`, delegated to by the top-level `targets`, vouches for it, for a path of `pattern`. A
    /// target found in any other role is refused, whatever it is signed with.
    ///
    /// # Errors
    /// [`Error::WrongRole`].
    pub fn provided_by(&self, role: &RoleName, pattern: &str) -> Result<(), Error> {
        let direct = self.chain.len() <= 2 && self.role == *role;
        if direct && pattern::matches(pattern, &self.path) {
            return Ok(());
        }
        let (path, found, expected) = (self.path.clone(), self.role.clone(), role.clone());
        Err(Error::WrongRole { path, found, expected })
    }
}

/// Gives the verified metadata of a delegated role.
pub(crate) type Load<'a> = dyn FnMut(&Signers<'_>) -> Result<Targets, Error> + 'a;

/// Looks for `path`, beginning in `targets`. Any role that `load` refuses ends the search: "If any metadata requested …
/// cannot be downloaded nor validated, end the search and report that the target cannot be found."
pub(crate) fn find(
    path: &TargetPath,
    targets: &Targets,
    limits: &Limits,
    load: &mut Load<'_>,
) -> Result<Found, Error> {
    let top = RoleName::targets();
    let mut search = Search { path, limits, load, visited: BTreeSet::from([top.clone()]), chain: vec![top] };
    match search.visit(targets)? {
        Step::Found(found) => Ok(*found),
        Step::Ended | Step::Exhausted => {
            Err(Error::NoTarget { path: path.clone(), visited: search.visited.len().saturating_sub(1) })
        }
    }
}

struct Search<'a, 'b> {
    path: &'a TargetPath,
    limits: &'a Limits,
    load: &'a mut Load<'b>,
    visited: BTreeSet<RoleName>,
    chain: Vec<RoleName>,
}

enum Step {
    Found(Box<Found>),
    /// A terminating delegation was searched in vain: nothing else may answer.
    Ended,
    /// Nothing here; others may have it.
    Exhausted,
}

impl Search<'_, '_> {
    /// Looks into one role, the last of the chain, and then into those it delegates to.
    fn visit(&mut self, targets: &Targets) -> Result<Step, Error> {
        // 5.6.7.1 "Otherwise, if this role contains metadata about the desired target, then go to step 5.7."
        if let Some(file) = targets.targets.get(self.path.as_str()) {
            return Ok(Step::Found(Box::new(self.found(targets, file))));
        }
        // 5.6.7.2 "Otherwise, recursively search the list of delegations in order of appearance."
        let Some(delegations) = &targets.delegations else { return Ok(Step::Exhausted) };
        let delegator = self.chain.last().cloned().unwrap_or_else(RoleName::targets);
        for delegation in delegations.roles.iter().filter(|role| role.covers(self.path)) {
            // 5.6.7.1 "If this role has been visited before, then skip this role (so that cycles in the delegation graph
            // are avoided)."
            if !self.visited.contains(&delegation.name) {
                self.check_bounds()?;
                self.visited.insert(delegation.name.clone());
                let delegated = (self.load)(&delegations.signers_of(delegation, &delegator))?;
                self.chain.push(delegation.name.clone());
                match self.visit(&delegated)? {
                    Step::Exhausted => {}
                    answer => return Ok(answer),
                }
                self.chain.pop();
            }
            // 5.6.7.2.1 "If the current delegation is a terminating delegation, then jump to step 5.7."
            if delegation.terminating {
                return Ok(Step::Ended);
            }
            // 5.6.7.2.2 "Otherwise, … continue processing the next delegation, if any."
        }
        Ok(Step::Exhausted)
    }

    /// 5.6.7.1 "if an application-specific maximum number of roles have been visited, then go to step 5.7 (so that
    /// attackers cannot cause the client to waste excessive bandwidth or time)". It is told apart from a target that is
    /// not there.
    fn check_bounds(&self) -> Result<(), Error> {
        let Limits { delegations, delegation_depth, .. } = *self.limits;
        let limit = if self.visited.len() > delegations {
            format!("{delegations} delegated roles")
        } else if self.chain.len() > delegation_depth {
            format!("{delegation_depth} delegations in a row")
        } else {
            return Ok(());
        };
        Err(Error::SearchTooLong { path: self.path.clone(), limit })
    }

    fn found(&self, targets: &Targets, file: &TargetFile) -> Found {
        Found {
            path: self.path.clone(),
            role: self.chain.last().cloned().unwrap_or_else(RoleName::targets),
            chain: self.chain.clone(),
            role_version: targets.version,
            file: file.clone(),
        }
    }
}
