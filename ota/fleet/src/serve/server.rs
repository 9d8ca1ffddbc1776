//! One server: its state, its listeners, and what it does by itself now and then.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};
use stopline_depot::message::Acknowledge;
use tokio::task::JoinHandle;

use super::authority::{Authority, not_after_s, revoked};
use super::data::Data;
use super::database::Database;
use super::hooks::{self, Hook};
use super::ingest::{self, Alarms, Ingest};
use super::intake::{self, locks::Locks, places::Places};
use super::mqtt::hub::{Command, Hub};
use super::mqtt::outside::{self, Broker, Outside};
use super::mqtt::topics::Topics;
use super::mqtt::{endpoint, hints};
use super::orders;
use super::records::Records;
use super::tls::{self, PeerAcceptor};
use super::web::{self, People};
use crate::audit;
use crate::clock::Clock;
use crate::exit::{Exit, Failure, Result, Said};
use crate::files;
use crate::outcomes::Heard;
use crate::rollouts::Step;
use crate::store::Store;

/// Seconds for which figures are kept in full.
const FIGURES_S: i64 = 30 * 86_400;
/// Seconds for which receipts of batches are kept.
const RECEIPTS_S: i64 = 30 * 86_400;
/// Seconds for which what devices put into the store waits to be told of.
const INCOMING_S: i64 = 86_400;
/// Seconds for which an answer to an alert is told.
const ANSWERS_S: i64 = 7 * 86_400;
/// Seconds for which a new order is told again to who is connected.
const FRESH_S: i64 = 180;
/// Between two rounds of what it does by itself.
const ROUND: Duration = Duration::from_secs(60);
/// Seconds of the server certificate's life at which it is made anew.
const RENEW_S: i64 = 120 * 86_400;
/// How long connections may finish after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);
/// How long a connection may send no request.
const PATIENCE: Duration = Duration::from_secs(60);

/// The repository, and who signs changes of it: the command line's own code.
pub trait Repository: Send + Sync {
    /// Where it is published.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn store(&self) -> Result<Box<dyn Store>>;

    /// Root metadata that is trusted.
    ///
    /// # Errors
    /// Why there is none.
    fn trusted_root(&self) -> Result<Vec<u8>>;

    /// Whether keys of rollout, snapshot and timestamp are here.
    fn can_sign(&self) -> bool;

    /// Takes a roll-out one step on, signed by the online keys.
    ///
    /// # Errors
    /// Why not.
    fn step(&self, model: &str, step: Step) -> Result<Said>;

    /// What the gates say.
    ///
    /// # Errors
    /// Why they say nothing.
    fn gate(&self, model: &str, heard: &Heard) -> Result<Said>;

    /// Signs anew what half of its life has passed.
    ///
    /// # Errors
    /// Why not.
    fn refresh(&self) -> Result<Said>;
}

/// How a server is set up.
pub struct Options {
    /// The data folder.
    pub data: std::path::PathBuf,
    /// The database, unless it is the data folder's.
    pub database: Option<String>,
    /// Where records go, unless it is the data folder.
    pub store: Option<String>,
    /// Whether devices get requests signed for the store.
    pub presigned: bool,
    /// Names and addresses of this server, for its certificate and for what browsers may ask for.
    pub names: Vec<String>,
    /// Where devices come.
    pub devices: SocketAddr,
    /// The fleet's MQTT topics.
    pub topics: Topics,
    /// Where devices come by MQTT, unless nowhere or to a broker of its own.
    pub mqtt: Option<SocketAddr>,
    /// A broker of its own.
    pub broker: Option<Broker>,
    /// A web hook.
    pub hook: Option<Hook>,
    /// Where people come.
    pub people: SocketAddr,
    /// HTTPS for people on loopback too.
    pub people_tls: bool,
    /// The repository.
    pub repository: Box<dyn Repository>,
    /// The time.
    pub clock: Arc<dyn Clock + Send + Sync>,
}

/// What all requests share.
pub struct Server {
    /// The data folder.
    pub data: Data,
    /// What is known.
    pub database: Database,
    /// Sealed records.
    pub records: Records,
    /// Which key belongs to which device.
    pub authority: Authority,
    /// Who did what.
    pub audit: audit::Log,
    /// The time.
    pub clock: Arc<dyn Clock + Send + Sync>,
    /// The repository.
    pub repository: Box<dyn Repository>,
    /// Where what devices say over MQTT is taken in.
    pub ingest: Ingest,
    /// Who is connected, and how devices are told something.
    pub hub: Hub,
    /// What somebody should look at.
    pub alarms: Alarms,
    /// One request of a device at a time where it must be so.
    pub locks: Locks,
    /// Places in the store that devices put to.
    pub places: Places,
    /// What the web needs.
    pub people: People,
}

impl Server {
    /// Seconds since 1970.
    pub fn now_s(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Writes down what is about to be done.
    ///
    /// # Errors
    /// That it cannot be; then it must not be done.
    pub fn write_down(&self, who: &str, what: &str, detail: Value) -> Result<()> {
        self.audit.append(who, what, detail, self.clock.now()).map(drop)
    }

    /// Answers to a device's alerts that it has not said anything of since.
    ///
    /// # Errors
    /// The database's.
    pub async fn answers(&self, device: &str) -> Result<Vec<Acknowledge>> {
        self.database.answers_for(device, self.now_s() - ANSWERS_S).await
    }

    /// What waits to be told to a device that has connected.
    ///
    /// # Errors
    /// The database's.
    pub async fn commands(&self, device: &str) -> Result<Vec<Command>> {
        let answers = self.answers(device).await?.into_iter().map(Command::Acknowledge);
        let orders = self.database.open_orders(device, self.now_s()).await?;
        Ok(answers.chain(orders.into_iter().map(Command::Order)).collect())
    }

    /// Puts aside what somebody may not publish.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep_refused(&self, who: &str, words: &str, topic: &str) -> Result<()> {
        let mut writing = self.database.write().await?;
        writing.put_aside(who, ("topic", words, topic), self.now_s()).await?;
        writing.commit().await
    }
}

/// Prepares a data folder with everything a server needs; what is there stays. Says what it did; with a link for the first
/// person where there is nobody yet.
///
/// # Errors
/// What kept it.
pub async fn prepare(options: &Options) -> Result<(Data, Database, Vec<String>)> {
    let now_s = options.clock.now().as_second();
    let (data, is_new) = Data::prepare(&options.data, now_s)?;
    let mut words = Vec::new();
    if is_new {
        words.push(format!(
            "made {}: device authority (its key is authority/1.key, for this user alone)",
            data.folder().display()
        ));
    }
    let (certificate, key) = data.server_files();
    let due = not_after_s(&certificate)?.is_none_or(|until| until - now_s < RENEW_S);
    if due || !covers(data.folder(), &options.names)? {
        data.authority()?.make_server(&certificate, &key, &options.names, now_s)?;
        crate::files::write(&data.folder().join("server.names"), options.names.join("\n").as_bytes())?;
        words.push(format!("made a certificate of this server for {}", options.names.join(", ")));
    }
    words.push(format!("devices pin {}", data.authorities_file().display()));
    let database = Database::open(options.database.as_deref().unwrap_or(&data.database_url())).await?;
    if database.people().await?.is_empty() {
        let by = "serve";
        let clock = options.clock.now();
        data.audit().append(by, "people.invite", json!({"name": "admin", "role": "publisher"}), clock)?;
        let secret = web::invite(&database, "admin", database::people::Role::Publisher, by, now_s).await?;
        let scheme = if has_tls(options) { "https" } else { "http" };
        words.push(format!(
            "nobody can log in yet. Open this link within a day to choose a name and a password; it counts once:\n  \
             {scheme}://{}/welcome?invitation={secret}",
            options.people
        ));
    }
    Ok((data, database, words))
}

use super::database;

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// For devices, HTTPS.
    pub devices: SocketAddr,
    /// For devices, MQTT.
    pub mqtt: Option<SocketAddr>,
    /// For people.
    pub people: SocketAddr,
}

/// Serves until `stop` ends. `told` is called with the addresses once all listeners accept.
///
/// # Errors
/// What kept it from serving.
pub async fn serve(
    options: Options,
    told: impl FnOnce(&[String], Addresses),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let listen = |at: SocketAddr| {
        let listener = TcpListener::bind(at).map_err(|error| Failure::failed(format!("{at}: {error}")))?;
        listener.set_nonblocking(true).map_err(Failure::failed)?;
        Ok::<_, Failure>(listener)
    };
    let (for_devices, for_people) = (listen(options.devices)?, listen(options.people)?);
    let for_mqtt = options.mqtt.filter(|_| options.broker.is_none()).map(listen).transpose()?;
    let (devices_at, people_at) = (address(&for_devices)?, address(&for_people)?);
    let mqtt_at = for_mqtt.as_ref().map(address).transpose()?;
    let options = Options { people: people_at, devices: devices_at, ..options };
    let (data, database, words) = prepare(&options).await?;
    let has_tls = has_tls(&options);
    let (ingest, waiting) = Ingest::new();
    let store = options.store.clone().unwrap_or_else(|| data.store().display().to_string());
    let server = Arc::new(Server {
        records: records(&store, options.presigned).await?,
        authority: data.authority()?,
        audit: data.audit(),
        clock: options.clock.clone(),
        repository: options.repository,
        ingest,
        hub: Hub::new(options.topics),
        alarms: Alarms::default(),
        locks: Locks::default(),
        places: Places::new(options.presigned),
        people: People::new(&options.names, people_at, has_tls),
        database,
        data,
    });
    server.audit.verify()?;
    server.write_down(
        "serve",
        "serve.start",
        json!({"devices": devices_at.to_string(), "people": people_at.to_string(), "mqtt": mqtt_at.map(|at| at.to_string())}),
    )?;

    let (certificate, key) = server.data.server_files();
    let devices_tls = RustlsConfig::from_config(tls::for_devices(&server.authority, &certificate, &key)?);
    let handle = Handle::new();
    let devices = axum_server::from_tcp(for_devices).map_err(Failure::failed)?;
    let mut devices = devices.acceptor(PeerAcceptor::new(devices_tls)).handle(handle.clone());
    patient(devices.http_builder());
    let devices = tokio::spawn(devices.serve(intake::router(server.clone()).into_make_service()));
    let site = web::router(server.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let mut people = axum_server::from_tcp(for_people).map_err(Failure::failed)?.handle(handle.clone());
    patient(people.http_builder());
    let people = if has_tls {
        let config = RustlsConfig::from_config(tls::for_people(&certificate, &key)?);
        tokio::spawn(people.acceptor(axum_server::tls_rustls::RustlsAcceptor::new(config)).serve(site))
    } else {
        tokio::spawn(people.serve(site))
    };
    let mut own =
        vec![tokio::spawn(rounds(server.clone())), tokio::spawn(ingest::work(server.clone(), waiting))];
    own.extend(speak(&server, for_mqtt, options.broker.as_ref()).await?);
    if let Some(hook) = options.hook {
        own.push(tokio::spawn(hooks::watch(hook, server.clone())?));
    }
    told(&words, Addresses { devices: devices_at, mqtt: mqtt_at, people: people_at });
    stop.await;
    server.hub.end_all();
    handle.graceful_shutdown(Some(GRACE));
    for served in [devices, people] {
        served.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
    }
    own.iter().for_each(tokio::task::JoinHandle::abort);
    server.write_down("serve", "serve.stop", json!({}))?;
    server.database.close().await;
    Ok(())
}

/// Opens the store. One that can never sign for devices is refused where that is asked for; one that cannot now is told.
async fn records(place: &str, presigned: bool) -> Result<Records> {
    let place = place.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let records = Records::open(&place)?;
        match presigned.then(|| records.check_places()) {
            Some(Err(failure)) if failure.exit == Exit::Usage => Err(failure),
            Some(Err(failure)) => {
                tracing::warn!(id = "serve.presigned", "{failure}; devices send to this server meanwhile");
                Ok(records)
            }
            _ => Ok(records),
        }
    });
    opened.await.map_err(Failure::failed)?
}

/// Begins to speak MQTT: at an end point of its own, by way of a broker, or not at all.
async fn speak(
    server: &Arc<Server>,
    listener: Option<TcpListener>,
    broker: Option<&Broker>,
) -> Result<Vec<JoinHandle<()>>> {
    let mut tasks = Vec::new();
    if let Some(broker) = broker {
        let own = server.data.authorities_file();
        let authorities = files::read(broker.authorities.as_ref().unwrap_or(&own), files::MAX_SMALL)?;
        // Made at each start: nothing of it lies anywhere.
        let name = outside::name_of(&broker.replica);
        let (certificate, key) = server.authority.client_of_broker(&name, server.now_s())?;
        let outside = Outside::new(broker, &authorities, certificate.as_bytes(), key.as_bytes())?;
        server.hub.speak_by(outside.voice());
        tasks.push(tokio::spawn(outside.run(server.clone())));
        if let Some(path) = &broker.crl {
            tasks.push(tokio::spawn(revoked::keep(server.clone(), path.clone())));
        }
    } else if let Some(listener) = listener {
        server.hub.prime(&server.database).await?;
        let (certificate, key) = server.data.server_files();
        let tls = tls::for_mqtt(&server.authority, &certificate, &key)?;
        let shared = server.clone();
        tasks.push(tokio::spawn(async move {
            if let Err(failure) = endpoint::accept(shared, listener, tls.into()).await {
                tracing::error!(id = "mqtt.accept", "{failure}");
            }
        }));
        tasks.push(tokio::spawn(endpoint::watch(server.clone())));
    } else {
        return Ok(tasks);
    }
    tasks.push(tokio::spawn(hints::watch(server.clone())));
    Ok(tasks)
}

/// Ends a connection that sends no request.
fn patient(builder: &mut Builder<TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PATIENCE);
}

/// Whether people come over TLS: everywhere but on this machine itself.
fn has_tls(options: &Options) -> bool {
    options.people_tls || !options.people.ip().is_loopback()
}

/// Whether the server's certificate is for these names.
fn covers(folder: &Path, names: &[String]) -> Result<bool> {
    let known = crate::files::read_if_there(&folder.join("server.names"), 64 << 10)?;
    Ok(known.is_some_and(|known| known == names.join("\n").as_bytes()))
}

fn address(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(Failure::failed)
}

/// What it does by itself: forgets what was forgotten in the store, thins out what is old, signs anew what is due.
async fn rounds(server: Arc<Server>) {
    for round in 0_u64.. {
        if let Err(failure) = one_round(&server, round.is_multiple_of(60)).await {
            tracing::warn!(id = "serve.round", "{failure}");
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn one_round(server: &Arc<Server>, is_hourly: bool) -> Result<()> {
    let records = server.records.clone();
    let forgotten =
        tokio::task::spawn_blocking(move || records.forgotten()).await.map_err(Failure::failed)??;
    if !forgotten.is_empty() {
        let mut writing = server.database.write().await?;
        let mut removed = false;
        for digest in &forgotten {
            removed |= writing.forget_record(&digest.to_string()).await?;
        }
        writing.commit().await?;
        if removed && let Err(failure) = server.database.fold().await {
            tracing::warn!(id = "serve.forget", "{failure}");
        }
    }
    let now_s = server.now_s();
    // Made by the command line, or by a server beside this one.
    let fresh = server.database.orders_since(now_s - FRESH_S, now_s).await?;
    orders::told(fresh).for_each(|(device, order)| server.hub.tell(&device, &Command::Order(order)));
    if !is_hourly {
        return Ok(());
    }
    let mut writing = server.database.write().await?;
    writing.thin_messages(now_s - FIGURES_S).await?;
    writing.thin_batches(now_s - RECEIPTS_S).await?;
    writing.thin_orders(now_s - orders::KNOWN_S, now_s).await?;
    writing.thin_people(now_s, now_s - web::SESSION_S).await?;
    writing.commit().await?;
    let shared = server.clone();
    let refreshed = tokio::task::spawn_blocking(move || {
        intake::batches::remove_old(&shared.data.uploads(), now_s)?;
        match shared.records.forget_incoming(now_s - INCOMING_S) {
            Ok(0) => {}
            Ok(forgotten) => {
                tracing::info!(
                    id = "serve.incoming",
                    forgotten,
                    "batches in the store that no device told of"
                );
            }
            Err(failure) => tracing::warn!(id = "serve.incoming", "{failure}; tried again in an hour"),
        }
        shared.data.remove_old_diagnoses(now_s)?;
        if !shared.repository.can_sign() {
            return Ok(None);
        }
        shared.repository.refresh().map(Some)
    });
    if let Some(said) = refreshed.await.map_err(Failure::failed)?? {
        if !said.json["published"].is_null() {
            server.write_down("serve", "refresh", said.json.clone())?;
        }
        tracing::info!(id = "serve.refresh", "{}", said.words.join("; "));
    }
    Ok(())
}
