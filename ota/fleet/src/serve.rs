//! **`stopline-fleet serve`**: the operator's window on one machine. It lets devices in, takes in what they send, and shows
//! people how the fleet stands.
//!
//! In walk order:
//! - [`data`]: the data folder; [`authority`]: which key belongs to which device; [`secret`]: what is shown once.
//! - [`database`]: what is known.
//! - [`server`]: two listeners; [`tls`]: what they show and ask for.
//! - [`intake`]: the devices' side: enrolment, batches, messages, outcomes, the repository.
//! - [`ingest`]: what they say is taken in; [`mqtt`]: those who stay connected.
//! - [`records`]: where sealed records lie.
//! - [`orders`]: what devices are asked to do once.
//! - [`devices`]: what people do with devices, the command line and the web alike.
//! - [`web`]: the people's side.
//! - [`backup`]: the data folder as it was at one moment; [`recover`]: a new database where there is none of it.
//!
//! It never holds the key that opens records, nor keys of root, targets or models: with the online keys it steers roll-outs,
//! by the same code as the command line.

pub mod authority;
pub mod backup;
pub mod data;
pub mod database;
pub mod devices;
pub mod hooks;
pub mod ingest;
pub mod intake;
pub mod mqtt;
pub mod orders;
pub mod records;
pub mod recover;
pub mod secret;
pub mod server;
pub mod tls;
pub mod web;
