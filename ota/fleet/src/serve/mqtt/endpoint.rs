//! The devices' MQTT listener: TLS with the same authority as the HTTPS one, then one task for each connection.

use std::collections::HashSet;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::session::{Session, Who, admit};
use super::wire::{Broken, Refused, Wire};
use crate::exit::{Failure, Result};
use crate::serve::server::Server;
use crate::serve::tls::Peer;

/// Connections at once, at most.
const CONNECTIONS: usize = 20_000;
/// Of those, how many may be somebody who is not known yet.
const STRANGERS: usize = 1_024;
/// How long a stranger may take, TLS and the first packet together.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at who is let in.
const LOOK: Duration = Duration::from_secs(5);
/// After the system refused a connection, for it has no more files.
const BREATH: Duration = Duration::from_millis(200);

/// Accepts for as long as the server lives.
///
/// # Errors
/// That the listener cannot be used.
pub async fn accept(server: Arc<Server>, listener: StdListener, tls: TlsAcceptor) -> Result<()> {
    let listener = TcpListener::from_std(listener).map_err(Failure::failed)?;
    raise_limit();
    let (connections, strangers) =
        (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(STRANGERS)));
    loop {
        // Both are never closed.
        let (Ok(place), Ok(stranger)) =
            (connections.clone().acquire_owned().await, strangers.clone().acquire_owned().await)
        else {
            return Ok(());
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    let session = timeout(PATIENCE, greet(server, stream, tls)).await;
                    drop(stranger);
                    match session {
                        Ok(Ok(session)) => session.live().await,
                        Ok(Err(broken)) => tracing::debug!(id = "mqtt.stranger", "{broken}"),
                        Err(_) => tracing::debug!(id = "mqtt.stranger", "it took too long"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(id = "mqtt.accept", "{error}");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Each connection is an open file: as many as the system lets this process have.
fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(id = "mqtt.files", "the limit of open files cannot be raised: {error}");
    }
}

type Stream = tokio_rustls::server::TlsStream<TcpStream>;

async fn greet(server: Arc<Server>, stream: TcpStream, tls: TlsAcceptor) -> Result<Session<Stream>, Broken> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(stream).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = Peer(shown.map(|own| own.clone().into_owned()));
    let mut wire = Wire::new(stream);
    let connect = wire.connect().await?;
    let said = (connect.keep_alive_s, connect.receive_most);
    let ears = match admit(&server, &peer, connect).await {
        Ok(who) => match &who {
            Who::Device { id, until_s, .. } => Ok((server.hub.join(id, *until_s), who)),
            Who::Reader(_) => server.hub.join_reader().map(|ears| (ears, who)).ok_or(Refused::NotNow),
        },
        Err(refused) => Err(refused),
    };
    match ears {
        Ok((ears, who)) => {
            wire.accept()?;
            Ok(Session::new((server, wire), who, ears, said))
        }
        Err(refused) => {
            wire.refuse(refused)?;
            wire.flush().await?;
            wire.close().await;
            Err(Broken::Malformed(format!("refused: {refused:?}")))
        }
    }
}

/// Ends connections of devices that were stopped meanwhile, by a page here or by the command line, and of certificates that
/// have ended.
pub async fn watch(server: Arc<Server>) {
    loop {
        tokio::time::sleep(LOOK).await;
        match server.database.let_in_no_more().await {
            Ok(stopped) => {
                let stopped: HashSet<String> = stopped.into_iter().map(|device| device.id).collect();
                server.hub.end_those(|device| !stopped.contains(device), server.now_s());
            }
            Err(failure) => tracing::warn!(id = "mqtt.watch", "{failure}"),
        }
    }
}
