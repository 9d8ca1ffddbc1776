//! What another program of this board prints, within a time and a number of bytes.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Runs it; its first `most` bytes of standard output, whatever it exits with. `Err`: in words, why there is nothing.
///
/// # Errors
/// It cannot be started, or has not ended within `patience`; then it is ended.
pub fn said(mut command: Command, patience: Duration, most: u64) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let told = |error: std::io::Error| format!("{name}: {error}");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(told)?;
    let out = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let Some(mut out) = out else { return bytes };
        // What cannot be read is not there; the rest is read too, so that the program can end.
        let _ = out.by_ref().take(most).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut out, &mut std::io::sink());
        bytes
    });
    let mut waited = Duration::ZERO;
    while child.try_wait().map_err(told)?.is_none() {
        if waited >= patience {
            // It may have ended just now.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{name}: not ended within {patience:?}"));
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
    let bytes = reader.join().map_err(|_| format!("{name}: cannot be read"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
