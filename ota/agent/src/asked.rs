//! Another program of this board: how it ends, or what it prints, within a time and a number of bytes.

use std::io::Read as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Runs it, its words unheard; how it ended. `Err`: in words, why nobody knows.
///
/// # Errors
/// It cannot be started, or has not ended within `patience`; then it is ended.
pub fn done(mut command: Command, patience: Duration) -> Result<ExitStatus, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    ended(&mut child.map_err(|error| format!("{name}: {error}"))?, &name, patience)
}

/// Runs it; its first `most` bytes of standard output, whatever it exits with. `Err`: in words, why there is nothing.
///
/// # Errors
/// It cannot be started, or has not ended within `patience`; then it is ended.
pub fn said(mut command: Command, patience: Duration, most: u64) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|error| format!("{name}: {error}"))?;
    let out = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let Some(mut out) = out else { return bytes };
        // What cannot be read is not there; the rest is read too, so that the program can end.
        let _ = out.by_ref().take(most).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut out, &mut std::io::sink());
        bytes
    });
    ended(&mut child, &name, patience)?;
    let bytes = reader.join().map_err(|_| format!("{name}: cannot be read"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits for its end, at most so long.
fn ended(child: &mut Child, name: &str, patience: Duration) -> Result<ExitStatus, String> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| format!("{name}: {error}"))? {
            return Ok(status);
        }
        if waited >= patience {
            // It may have ended just now.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{name}: not ended within {patience:?}"));
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
}
