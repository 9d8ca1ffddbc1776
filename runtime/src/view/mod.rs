//! `stopline view`: the live page and the metrics, from what the daemon's stream says. A process of its own, without any
//! right but to read the stream's socket: nothing a browser sends can reach the daemon.
//!
//! In walk order: `follow` (reads the stream, comes back when it is gone) → `seen` (what was said last, bounded) → `pages`
//! (who asks for what) → `page/` (the page, three files, no build step) and `metrics` (Prometheus).

mod follow;
mod metrics;
mod pages;
mod seen;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use stopline_sensors::clock::Clock;

use crate::exit::{Exit, Failure, OrExit};
use crate::web;
use seen::Seen;

/// What is looked at, and where it is shown.
#[derive(Clone, Debug)]
pub struct ViewOptions {
    /// The daemon's stream.
    pub socket: PathBuf,
    /// Where to answer.
    pub listen: SocketAddr,
    /// Names beside addresses that it may be asked by.
    pub hosts: Vec<String>,
}

/// Follows the stream and answers until the process ends.
///
/// # Errors
/// Where the address cannot be had, or the machine gives no thread.
pub fn run(options: ViewOptions, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let seen = Arc::new(Seen::new(Arc::clone(&clock)));
    let server = web::serve(options.listen, options.hosts, {
        let seen = Arc::clone(&seen);
        move |request| pages::answer(&seen, request)
    })?;
    eprintln!("stopline: looking at {}, shown at http://{}/", options.socket.display(), options.listen);
    std::thread::Builder::new()
        .name("follow".to_owned())
        .spawn(move || follow::follow(&options.socket, &seen, &*clock))
        .or_exit(Exit::Internal)?;
    server.join().or_exit(Exit::Internal)
}
