//! Programs that are kept running as a service manager would, a link that can go away, and what they say.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// After which a program that ended is started again.
const AGAIN: Duration = Duration::from_millis(100);

/// A program that is started again when it ends by itself, unless it is meant to be down.
pub(super) struct Service {
    name: &'static str,
    start: Box<dyn Fn() -> Command>,
    child: Option<Child>,
    /// How it ended where nobody had asked for it, and how often.
    pub(super) ended: BTreeMap<String, usize>,
}

impl Service {
    pub(super) fn new(name: &'static str, start: impl Fn() -> Command + 'static) -> Self {
        Self { name, start: Box::new(start), child: None, ended: BTreeMap::new() }
    }

    pub(super) fn up(&mut self) {
        self.child = Some((self.start)().spawn().unwrap());
    }

    /// At once, as a power cut or the kernel's out-of-memory killer would.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
            sweep(child.id());
        }
    }

    /// As a service manager looks after it.
    pub(super) fn look_after(&mut self) {
        let Some(child) = &mut self.child else { return };
        let Some(status) = child.try_wait().unwrap() else { return };
        sweep(child.id());
        *self.ended.entry(format!("{}: {status}", self.name)).or_default() += 1;
        std::thread::sleep(AGAIN);
        self.up();
    }

    pub(super) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// In order.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            let status = child.wait().unwrap();
            sweep(child.id());
            assert!(status.success(), "{}: {status}", self.name);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            sweep(child.id());
        }
    }
}

/// What libfaketime leaves of a program that was killed.
fn sweep(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // Most programs have none.
        let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
    }
}

/// A link between agent and server that can go away.
pub(super) struct Link {
    pub(super) address: SocketAddr,
    away: Arc<AtomicBool>,
}

impl Link {
    pub(super) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, away) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let seen = away.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if seen.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(server) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, away) = (from.try_clone().unwrap(), to.try_clone().unwrap(), seen.clone());
                    std::thread::spawn(move || carry(from, to, &away));
                }
            }
        });
        Self { address, away }
    }

    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }
}

/// Until either side ends, or the link goes away: then both are cut.
fn carry(mut from: TcpStream, mut to: TcpStream, away: &AtomicBool) {
    let mut bytes = [0; 4 << 10];
    let _ = from.set_read_timeout(Some(Duration::from_millis(20)));
    loop {
        let read = from.read(&mut bytes);
        match read {
            _ if away.load(Ordering::SeqCst) => break,
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) | Ok(0) => break,
            Ok(length) if to.write_all(&bytes[..length]).is_err() => break,
            Ok(_) => {}
        }
    }
    // The other direction's thread finds its end closed.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// What a program says, over all its lives.
pub(super) fn log(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// A port that nobody has.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
