//! What the supply allows: nothing begins below the battery's floor, and the board is held awake only while something goes
//! on.

use std::path::Path;

use stopline_depot::deployment::DeployCause;
use stopline_depot::eligible::seconds_to_poll;

use super::Agent;
use crate::clock;
use crate::error::AgentError;

impl Agent {
    /// Nothing goes on any more: the board may sleep until the nightly poll.
    pub(super) fn rest(&mut self) {
        let next = self.next_night();
        self.power.rest(next);
    }

    /// When the device's own second of the night comes, in seconds since 1970; none while the clock is not synchronised.
    fn next_night(&self) -> Option<i64> {
        let now = clock::wall_s(&*self.clock)?;
        let pause = seconds_to_poll(self.identity.id(), self.config.poll.local, self.local_second()?);
        now.checked_add(i64::from(pause))
    }

    /// A person waits until it is charged, too: an installation that ends in the middle is begun again.
    pub(super) fn check_power(&self, folder: &Path) -> Result<(), AgentError> {
        match self.power.low() {
            None => Ok(()),
            Some(problem) => Err(AgentError::Refused {
                path: folder.display().to_string(),
                cause: DeployCause::Power,
                problem: format!("not installed now: {problem}; charge it or switch the supply on"),
            }),
        }
    }
}
