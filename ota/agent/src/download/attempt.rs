//! One request for what is missing of a file.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use stopline_depot::eligible::Hindrance;

use super::{Cost, DownloadError, Downloader, Wanted};
use crate::download::partial::Partial;
use crate::http::{Answer, HttpError};

/// Answers with the whole file to a question for the rest of it, after which the whole is taken: a proxy may do so now and
/// then, a server that knows no ranges always.
const WHOLE_ANSWERS: u32 = 2;

/// What is made of an answer's status and headers.
enum Use {
    /// Its body goes on where the file stands.
    GoOn,
    /// Its body is the whole file.
    Whole,
    /// It is no use.
    None(HttpError),
}

impl Downloader<'_> {
    /// Asks for what is missing and takes what comes. The inner result is a failure of the link or the server, to be tried
    /// again.
    pub(super) fn attempt(
        &self,
        wanted: Wanted<'_>,
        partial: &mut Partial,
        may_go_on: &mut dyn FnMut(u64) -> Result<(), Hindrance>,
        cost: &mut Cost,
    ) -> Result<Result<(), HttpError>, DownloadError> {
        self.ask(wanted, partial, may_go_on)?;
        loop {
            cost.requests += 1;
            let answer = match self.request(wanted, partial) {
                Err(error) => return Ok(Err(error)),
                Ok(answer) => answer,
            };
            match judge(&answer, partial, wanted.file.length) {
                Use::None(error) => {
                    if answer.status() == 416 {
                        partial.restart()?;
                    }
                    return Ok(Err(error));
                }
                Use::Whole if partial.length() > 0 && cost.whole_answers < WHOLE_ANSWERS => {
                    // Its body is not read: what is there would be fetched again. The tag may be the reason; the digest,
                    // not the tag, says in the end whether the parts fit together.
                    cost.whole_answers += 1;
                    partial.set_etag(None);
                    drop(answer);
                }
                // What is here comes once more, and nothing can be done about that; it is passed over, so that a connection
                // that ends earlier than the last one takes nothing away.
                Use::Whole => return self.take(wanted, answer, partial, partial.length(), may_go_on, cost),
                Use::GoOn => {
                    cost.whole_answers = 0;
                    return self.take(wanted, answer, partial, 0, may_go_on, cost);
                }
            }
        }
    }

    fn request(&self, wanted: Wanted<'_>, partial: &Partial) -> Result<Answer, HttpError> {
        let mut headers = Vec::new();
        if partial.length() > 0 {
            headers.push((RANGE, format!("bytes={}-", partial.length())));
            headers.extend(partial.etag().map(|tag| (IF_RANGE, tag.to_owned())));
        }
        self.http.get(wanted.urls.first().map_or("", String::as_str), &headers)
    }

    /// Takes what comes, but for the first `passed_over` bytes.
    fn take(
        &self,
        wanted: Wanted<'_>,
        mut answer: Answer,
        partial: &mut Partial,
        mut passed_over: u64,
        may_go_on: &mut dyn FnMut(u64) -> Result<(), Hindrance>,
        cost: &mut Cost,
    ) -> Result<Result<(), HttpError>, DownloadError> {
        let tag = answer.header(&ETAG).map(str::to_owned);
        partial.set_etag(tag.as_deref());
        let (began, mut taken, mut unasked) = (self.clock.since_boot_ms(), 0_u64, 0_u64);
        loop {
            let piece = match answer.piece() {
                Ok(Some(piece)) => piece,
                // Whatever was promised: what is missing is asked for anew.
                Ok(None) if partial.length() < wanted.file.length && taken == 0 => {
                    return Ok(Err(answer.refused()));
                }
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            let piece = piece.as_ref();
            let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            cost.received = cost.received.saturating_add(bytes);
            let known = passed_over.min(bytes);
            passed_over -= known;
            let missing = wanted.file.length - partial.length();
            let place = |bytes: u64| usize::try_from(bytes).unwrap_or(piece.len());
            let used = &piece[place(known)..place(known.saturating_add(missing).min(bytes))];
            cost.wasted = cost.wasted.saturating_add(bytes - u64::try_from(used.len()).unwrap_or(bytes));
            partial.add(used, self.settings.chunk_bytes)?;
            (taken, unasked) = (taken.saturating_add(bytes), unasked.saturating_add(bytes));
            if unasked >= self.settings.chunk_bytes {
                unasked = 0;
                self.ask(wanted, partial, may_go_on)?;
            }
            self.keep_to_rate(began, taken);
            if partial.length() >= wanted.file.length {
                return Ok(Ok(()));
            }
        }
    }

    fn ask(
        &self,
        wanted: Wanted<'_>,
        partial: &mut Partial,
        may_go_on: &mut dyn FnMut(u64) -> Result<(), Hindrance>,
    ) -> Result<(), DownloadError> {
        let missing = wanted.file.length.saturating_sub(partial.length());
        let Err(hindrance) = may_go_on(missing) else { return Ok(()) };
        partial.sync()?;
        Err(DownloadError::Stopped { name: wanted.name.to_owned(), bytes: partial.length(), hindrance })
    }

    /// Waits where more came than may have come by now; the window of TCP holds the sender back.
    fn keep_to_rate(&self, began: u64, taken: u64) {
        let rate = self.settings.rate_bytes_per_s;
        if rate == 0 {
            return;
        }
        let due = taken.saturating_mul(1_000) / rate;
        let passed = self.clock.since_boot_ms().saturating_sub(began);
        if due > passed {
            self.clock.sleep(Duration::from_millis(due - passed));
        }
    }
}

fn judge(answer: &Answer, partial: &Partial, length: u64) -> Use {
    let promised = answer.header(&CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    match answer.status() {
        206 => {
            let range = answer.header(&CONTENT_RANGE).and_then(range);
            match range {
                Some((from, total))
                    if from == partial.length() && total.is_none_or(|total| total == length) =>
                {
                    Use::GoOn
                }
                _ => Use::None(answer.refused()),
            }
        }
        200 if promised.is_none_or(|promised| promised == length) => Use::Whole,
        _ => Use::None(answer.refused()),
    }
}

/// `bytes 100-199/1000`: where it begins, and the whole length if that is told.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, to) = range.split_once('-')?;
    let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (from <= to).then_some((from, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_or_it_is_none() {
        assert_eq!(range("bytes 100-199/1000"), Some((100, Some(1000))));
        assert_eq!(range("bytes 0-0/*"), Some((0, None)));
        for text in [
            "bytes */1000",
            "bytes 5-4/10",
            "100-199/1000",
            "bytes a-b/c",
            "",
            "bytes 1-99999999999999999999999/1",
        ] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
