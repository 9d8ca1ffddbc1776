//! The parent: starts the child, shows it frames, counts where it disagrees.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use stopline_depot::manifest::Manifest;

use super::{Answered, Shown, channel, disagree, pack};
use crate::daemon::exchange::{Onlooker, Shown as Seen};
use crate::models::Engine;
use crate::models::deployer::ShadowSeen;
use crate::models::limits::Limits;

/// The child has so long to load, and then for a frame.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the child says last is kept up to here.
const MOST_SAID: u64 = 4 << 10;

/// A child that looks on.
pub struct Shadow {
    child: Child,
    socket: OwnedFd,
    manifest: Manifest,
    active: Arc<Manifest>,
    /// What was counted.
    pub seen: ShadowSeen,
    bytes: Vec<u8>,
}

impl Shadow {
    /// Starts it with a bundle.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(
        bundle: &[u8],
        (manifest, active): (Manifest, Arc<Manifest>),
        engine: &Engine,
        limits: &Limits,
    ) -> std::io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE))?;
        set_socket_timeout(&ours, Timeout::Send, Some(PATIENCE))?;
        let program = std::env::current_exe()?;
        let child = Command::new(program)
            .arg("shadow")
            .args(engine.arguments())
            .args(limits.arguments())
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let shadow =
            Self { child, socket: ours, manifest, active, seen: ShadowSeen::default(), bytes: Vec::new() };
        let beside = channel::sealed(bundle)?;
        channel::send(&shadow.socket, &Shown::Bundle { length: bundle.len() as u64 }, Some(&beside))?;
        Ok(shadow)
    }

    /// Waits until it is loaded, then shows it frames until `enough`, or `stop`, or its end.
    pub fn look_on(
        &mut self,
        frames: &Receiver<Seen>,
        onlooker: &Onlooker,
        enough: u64,
        (stop, counted): (&dyn Fn() -> bool, &mut dyn FnMut(&ShadowSeen)),
    ) {
        let ended = match channel::receive::<Answered>(&self.socket) {
            Ok(Some((Answered::Ready, _))) => None,
            Ok(Some((Answered::Failed { problem }, _))) => Some((true, problem)),
            other => Some(self.ended(&format!("{:?}", other.map(|_| "nothing")))),
        };
        self.seen.ended = ended;
        while self.seen.ended.is_none() && self.seen.frames < enough && !stop() {
            onlooker.want(true);
            let Ok(seen) = frames.recv_timeout(Duration::from_millis(200)) else { continue };
            match self.show(&seen) {
                Ok(disagrees) => {
                    if disagrees {
                        onlooker.disagreed(&seen.frame);
                    }
                    counted(&self.seen);
                }
                Err(error) => self.seen.ended = Some(self.ended(&error.to_string())),
            }
        }
        onlooker.want(false);
    }

    /// Whether they disagree on it.
    fn show(&mut self, seen: &Seen) -> std::io::Result<bool> {
        let number = seen.frame.meta().sequence;
        let shown = pack(number, &seen.frame, &mut self.bytes);
        let beside = channel::sealed(&self.bytes)?;
        channel::send(&self.socket, &shown, Some(&beside))?;
        let disagrees = match channel::receive::<Answered>(&self.socket)? {
            Some((Answered::Found { found, .. }, _)) => {
                disagree((&self.active, &seen.found), (&self.manifest, &found))
            }
            // Numbers that cannot be agree with nobody's.
            Some((Answered::Invalid { .. }, _)) => true,
            Some(_) => return Err(std::io::Error::other("an answer is expected")),
            None => return Err(std::io::Error::other("it is gone")),
        };
        self.seen.frames += 1;
        self.seen.disagreements += u64::from(disagrees);
        Ok(disagrees)
    }

    /// Why it ended: whether that is its own fault. One that somebody killed, or that ran into the limit of processor time,
    /// is not; an abort or a forbidden access is.
    fn ended(&mut self, heard: &str) -> (bool, String) {
        use std::os::unix::process::ExitStatusExt as _;
        // Its end may come a moment after its silence; one that hangs is ended here.
        for _ in 0..50 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let status = self.child.wait();
        let mut said = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(MOST_SAID).read_to_string(&mut said);
        }
        let signal = status.as_ref().ok().and_then(|status| status.signal());
        let own = signal.is_some_and(|signal| {
            [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL].contains(&signal)
        }) || status.as_ref().is_ok_and(|status| status.code().is_some_and(|code| code != 0));
        let said = said.trim();
        (
            own,
            format!(
                "the shadow ended ({}): {heard} {said}",
                status.map_or("?".into(), |status| status.to_string())
            ),
        )
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
