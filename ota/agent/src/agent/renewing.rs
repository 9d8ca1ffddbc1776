//! The device's certificate in the running agent: renewed from two thirds of its life on, taken up when `enroll` has put a new
//! one there.

use super::Agent;
use crate::certificate::{Age, Certificate};
use crate::config::Download;
use crate::enrolment::{self, EnrolmentError};
use crate::http::{Http, HttpError};

impl Agent {
    /// Renews the certificate if it is due, and takes up what lies on disk. What goes wrong is told and tried again at the
    /// next poll: no update waits for it.
    pub(super) fn renew(&mut self) {
        self.take_papers_up();
        let Some(old) = self.due() else { return };
        let (code, renewed) = match self.ask_for_another(&old) {
            Ok(new) => ("ok", Ok(new)),
            Err(error) => (error.code(), Err(error)),
        };
        self.reporter.renewed(code);
        match renewed {
            Ok(new) => {
                let days = new.not_after.saturating_sub(self.papers.now()) / 86_400;
                tracing::info!(
                    id = "ota.certificate.renewed",
                    days,
                    "the certificate is good for {days} days"
                );
                self.take_papers_up();
            }
            Err(error) => {
                let days = old.not_after.saturating_sub(self.papers.now()) / 86_400;
                tracing::warn!(id = "ota.certificate.not_renewed", code, days, "{error}");
            }
        }
    }

    /// The certificate that is to be renewed now. One that the configuration names is somebody else's matter.
    fn due(&self) -> Option<Certificate> {
        if self.papers.is_given() || self.config.enrolment.url.is_none() {
            return None;
        }
        let own = self.papers.certificate().ok()??;
        (own.age(self.papers.now()) != Age::Fresh).then_some(own)
    }

    fn ask_for_another(&self, old: &Certificate) -> Result<Certificate, EnrolmentError> {
        let url = self.config.enrolment.url.as_deref().ok_or(EnrolmentError::NoServer)?;
        let http = self.http_for_enrolment()?;
        let renewed = enrolment::renew(&http, url, &self.config.home, &self.identity, old);
        self.senses.spend(&*self.clock, http.take_received());
        renewed
    }

    /// Connections from now on show and believe what lies on disk, if that is not what they do already.
    fn take_papers_up(&mut self) {
        let mark = self.papers.mark();
        if mark == self.mark {
            return;
        }
        let made =
            self.papers.client().map_err(|error| HttpError::Setup(error.to_string())).and_then(|tls| {
                Http::new(&self.config.download, tls, self.runtime.clone(), self.clock.clone())
            });
        match made {
            Ok(http) => {
                let received = self.http.take_received();
                self.senses.spend(&*self.clock, received);
                (self.http, self.mark) = (http, mark);
            }
            Err(error) => {
                tracing::warn!(id = "ota.certificate.unusable", "{error}; the old one stays in use")
            }
        }
    }
}

/// A token or a request goes to the server that is named, and to no other.
pub(crate) fn without_redirects(download: &Download) -> Download {
    Download { redirects: 0, ..download.clone() }
}
