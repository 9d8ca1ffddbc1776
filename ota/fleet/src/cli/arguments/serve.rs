//! The server, devices, and the audit log.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Signing;

/// Where a server keeps everything.
#[derive(Args, Debug, Clone)]
pub struct DataArgs {
    /// The server's data folder.
    #[arg(long, value_name = "DIR", default_value = "fleet", env = "STOPLINE_FLEET_DATA")]
    pub data: PathBuf,
    /// The database, if not in the data folder: postgres://USER:PASSWORD@HOST/NAME.
    #[arg(long, value_name = "URL", env = "STOPLINE_FLEET_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
}

/// `serve`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Serve {
    /// What else than to serve.
    #[command(subcommand)]
    pub command: Option<ServeCommand>,
    #[command(flatten)]
    pub set_up: SetUp,
    /// Where devices come.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443")]
    pub devices: SocketAddr,
    /// Where devices come by MQTT (3.1.1 and 5, TLS with certificates); `none`: nowhere.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8883", value_parser = mqtt_address)]
    pub mqtt: MqttAddress,
    /// The fleet's name in MQTT topics: stopline/FLEET/DEVICE/…; the agents' `mqtt.fleet`.
    #[arg(long, value_name = "FLEET", default_value = "fleet")]
    pub fleet_name: String,
    /// A broker of its own in place of --mqtt: mqtts://HOST:PORT. This server shows it a certificate of the device authority.
    #[arg(long, value_name = "URL")]
    pub broker: Option<String>,
    /// Whom to believe that it is the broker, in PEM; default: the device authority.
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub broker_authorities: Option<PathBuf>,
    /// A certificate revocation list, kept current, of devices that are let in no more: the broker's `crlfile`. The broker must
    /// be told to read it again (Mosquitto: SIGHUP).
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub broker_crl: Option<PathBuf>,
    /// This server's name at the broker, where several share the work; it stays the same from start to start.
    #[arg(long, value_name = "NAME", default_value = "1", requires = "broker")]
    pub replica: String,
    /// A web address that hears by POST of a drift that a device told, and of new records: whoever looks, or trains, begins.
    #[arg(long, value_name = "URL", env = "STOPLINE_FLEET_HOOK", hide_env_values = true)]
    pub hook: Option<url::Url>,
    /// Whom to believe that it is the hook, in PEM; default: whom this machine believes.
    #[arg(long, value_name = "FILE", requires = "hook")]
    pub hook_authorities: Option<PathBuf>,
    /// New records after which the hook hears of them; 0: never.
    #[arg(long, value_name = "RECORDS", default_value_t = 1_000, requires = "hook")]
    pub hook_records: u32,
    /// Where sealed records go, if not into the data folder: a folder, s3://BUCKET/PREFIX, gs://…, az://….
    #[arg(long, value_name = "PLACE")]
    pub store: Option<String>,
    /// Devices put batches into the store themselves, each by a request that is signed for it and good for 15 minutes. Theirs
    /// alone, whose configuration names the store (`upload.stores`); the others send to this server.
    #[arg(long, requires = "store")]
    pub presigned: bool,
    #[command(flatten)]
    pub at: Signing,
}

/// What `serve` and `serve init` need alike.
#[derive(Args, Debug, Clone)]
pub struct SetUp {
    #[command(flatten)]
    pub data: DataArgs,
    /// Names and addresses of this server, as devices and browsers call it; default: this machine's name, and loopback.
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,
    /// Where people come: on loopback by HTTP, elsewhere by HTTPS.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub operators: SocketAddr,
    /// HTTPS for people on loopback too.
    #[arg(long)]
    pub operators_tls: bool,
}

/// What else `serve` does.
#[derive(Subcommand, Debug)]
pub enum ServeCommand {
    /// Make the data folder, the device authority and the server's certificate, and a link for the first person.
    Init(SetUp),
    /// A link by which somebody chooses a password, anew too.
    Invite {
        /// Their name.
        person: String,
        /// viewer, operator or publisher.
        #[arg(long)]
        role: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Somebody who may read the devices' topics at --mqtt (a dashboard, a recorder): prints a password, once.
    Reader {
        /// Its name, the user of MQTT.
        reader: String,
        /// Let it in no more.
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Configuration, access rules and certificate of a Mosquitto that serves as --broker.
    Mosquitto(Mosquitto),
    /// Write the certificate revocation list of now, for a broker that no server keeps one for (--broker-crl).
    Crl {
        /// The file: PEM, one list of each device authority, good for a year.
        to: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
    /// One more device authority, which issues from the next start on; the others count on.
    RotateAuthority {
        #[command(flatten)]
        data: DataArgs,
    },
}

/// `serve mosquitto`.
#[derive(Args, Debug)]
pub struct Mosquitto {
    /// A new folder, as the broker will see it.
    pub to: PathBuf,
    /// Names and addresses of the broker, as devices and servers call it.
    #[arg(long, value_name = "NAME", required = true)]
    pub name: Vec<String>,
    /// Where it listens.
    #[arg(long, default_value_t = 8883)]
    pub port: u16,
    /// The fleet's name in MQTT topics.
    #[arg(long, value_name = "FLEET", default_value = "fleet")]
    pub fleet_name: String,
    /// Names of the servers that share the work: their --replica.
    #[arg(long, value_name = "NAME", default_value = "1")]
    pub replica: Vec<String>,
    #[command(flatten)]
    pub data: DataArgs,
}

/// Where devices come by MQTT.
#[derive(Debug, Clone, Copy)]
pub struct MqttAddress(pub Option<SocketAddr>);

fn mqtt_address(text: &str) -> Result<MqttAddress, String> {
    if text == "none" {
        return Ok(MqttAddress(None));
    }
    text.parse().map(|at| MqttAddress(Some(at))).map_err(|_| "ADDRESS:PORT or none is expected".into())
}

/// `devices`.
#[derive(Subcommand, Debug)]
pub enum DevicesCommand {
    /// A token that lets one device in, once; with --batch a counted number of them, each once.
    Token {
        /// What the device will be called; of a batch, what comes before its number.
        #[arg(long)]
        name: String,
        /// How many devices it lets in, for a factory that writes one image: they are called `NAME 1`, `NAME 2`, …
        #[arg(long, value_name = "N", default_value_t = 1)]
        batch: u32,
        /// Hours for which it is good.
        #[arg(long, default_value_t = 24)]
        hours: u32,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Tokens that still let somebody in: of whom, until when, and how many came.
    Tokens {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Ends a token before its time, by its name: one that has gone astray.
    EndToken {
        /// The name it was made with.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// All devices.
    List {
        #[command(flatten)]
        data: DataArgs,
    },
    /// One device.
    Show {
        /// Its id or name.
        device: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Ask a device for a diagnostic bundle, which comes where its own configuration allows it; with --out the newest that came.
    Diagnose {
        /// Its id or name.
        device: String,
        /// Write the bundle to a new file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        data: DataArgs,
    },
    /// What became of a request to devices, such as a receipt of `forget` names.
    Request {
        /// Its number, as the receipt names it.
        id: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Believe a device's key no longer.
    Revoke(Ended),
    /// Let a device in no more until a person has looked.
    Quarantine(Ended),
    /// Let a quarantined device in again.
    Release(Ended),
    /// A device is no longer in use.
    Retire(Ended),
    /// A new device takes the place of an old one, which is let in no more.
    Replace {
        /// Id or name of the old one.
        old: String,
        /// Id or name of the new one, which is enrolled.
        new: String,
        #[command(flatten)]
        data: DataArgs,
    },
}

/// A device and why.
#[derive(Args, Debug)]
pub struct Ended {
    /// Its id or name.
    pub device: String,
    /// Why, in words.
    #[arg(long, default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub data: DataArgs,
}

/// `backup`.
#[derive(Args, Debug)]
pub struct Backup {
    /// Where; it must not be there yet.
    pub to: PathBuf,
    /// Sealed records and tombstones too.
    #[arg(long)]
    pub records: bool,
    #[command(flatten)]
    pub data: DataArgs,
}
