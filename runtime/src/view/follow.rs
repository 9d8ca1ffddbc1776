//! Reads the daemon's stream, and comes back when it is gone.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use stopline_depot::stream::{Messages, StreamError};
use stopline_sensors::clock::Clock;

use super::seen::Seen;

/// First wait after a lost stream; doubled up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The daemon writes its health every second: longer silence is a daemon that stands.
const SILENCE: Duration = Duration::from_secs(5);

/// Reads for ever.
pub fn follow(socket: &Path, seen: &Seen, clock: &dyn Clock) {
    let mut wait = FIRST_WAIT;
    loop {
        match read(socket, seen) {
            Ok(()) => {
                seen.lost("the daemon ended the stream".to_owned());
                wait = FIRST_WAIT;
            }
            Err(error) => seen.lost(format!("{}: {error}", socket.display())),
        }
        clock.sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Reads one connection to its end.
fn read(socket: &Path, seen: &Seen) -> Result<(), StreamError> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut messages = Messages::new(BufReader::new(stream));
    let mut jpeg = Vec::new();
    while let Some(message) = messages.next(&mut jpeg)? {
        seen.take(message, &jpeg);
    }
    Ok(())
}
