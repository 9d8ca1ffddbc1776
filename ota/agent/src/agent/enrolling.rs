//! A board out of a factory's image: no certificate yet, and a token for its whole batch in a file. It enrols by itself.

use std::path::Path;

use super::Agent;
use super::renewing::without_redirects;
use crate::certificate::Certificate;
use crate::enrolment::{self, EnrolmentError};
use crate::http::{Http, HttpError};
use crate::identity;

impl Agent {
    /// Shows the token of `enrolment.token_file`, where this device has no certificate and there is such a file. What goes wrong
    /// is told and tried again at the next poll; a token that has counted is deleted, so that no copy of the board carries it.
    pub(super) fn enrol(&mut self) {
        let Some(file) = self.config.enrolment.token_file.clone() else { return };
        if self.papers.is_given() || !matches!(self.papers.certificate(), Ok(None)) {
            return;
        }
        let token = match identity::read_secret(&file) {
            Ok(Some(token)) if !token.trim().is_empty() => token,
            // Enrolled by hand later, or not at all: no file is no fault.
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(id = "ota.enrolment.failed", code = "token_file", "{error}");
                return;
            }
        };
        match self.come_in(token.trim()) {
            Ok(own) => {
                let days = own.not_after.saturating_sub(self.papers.now()) / 86_400;
                let device = self.identity.id();
                tracing::info!(id = "ota.enrolment.done", days, "enrolled as {device}, for {days} days");
                used_up(&file);
            }
            Err(error) => tracing::warn!(id = "ota.enrolment.failed", code = error.code(), "{error}"),
        }
    }

    fn come_in(&mut self, token: &str) -> Result<Certificate, EnrolmentError> {
        let url = self.config.enrolment.url.as_deref().ok_or(EnrolmentError::NoServer)?;
        if self.config.tls.authorities_file.is_none() {
            return Err(EnrolmentError::NotPinned);
        }
        let http = self.http_for_enrolment()?;
        let issued = enrolment::enroll(&http, url, &self.config.home, &self.identity, token);
        self.senses.spend(&*self.clock, http.take_received());
        issued
    }

    /// A client that shows and believes what lies on disk now, and follows nobody elsewhere.
    pub(super) fn http_for_enrolment(&self) -> Result<Http, HttpError> {
        let tls = self.papers.client().map_err(|error| HttpError::Setup(error.to_string()))?;
        let settings = without_redirects(&self.config.download);
        Http::new(&settings, tls, self.runtime.clone(), self.clock.clone())
    }
}

fn used_up(file: &Path) {
    if let Err(error) = std::fs::remove_file(file) {
        tracing::warn!(
            id = "ota.enrolment.token_left",
            "{}: cannot be deleted ({error}), and its token may still let others in; delete it",
            file.display()
        );
    }
}
