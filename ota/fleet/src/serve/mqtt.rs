//! MQTT: what devices say and hear while they are connected. What they may is the same on every broker:
//!
//! ```text
//! stopline/FLEET/DEVICE/available                    online | offline (retained; offline is the last will)
//! stopline/FLEET/DEVICE/birth, state                 newest message of its kind (retained)
//! stopline/FLEET/DEVICE/event, stats, drift, update  messages and signed outcomes
//! stopline/FLEET/DEVICE/cmd/poll                     a hint that something was published; never retained
//! stopline/FLEET/DEVICE/cmd/receipt                  {"boot_id": "…", "seq": 7}: it is committed
//! stopline/FLEET/DEVICE/cmd/acknowledge              somebody answers an alert; never retained
//! stopline/FLEET/DEVICE/cmd/diagnose, cmd/forget     it is to do something once; never retained
//! ```
//! A device writes the first three below its own id and hears the rest of its own; its id is its certificate's common name.
//!
//! In walk order:
//! - [`topics`]: who may say and hear what.
//! - `wire`: packets of MQTT 3.1.1 and 5 on a connection.
//! - [`hub`]: who is connected, what is kept for those who come later, commands to devices.
//! - [`endpoint`]: the listener; `session`: one connection.
//! - [`outside`]: an engine of its own in the end point's place (`--broker`); [`mosquitto`]: its configuration.
//! - [`hints`]: tells devices when something was published.

pub mod endpoint;
pub mod hints;
pub mod hub;
pub mod mosquitto;
pub mod outside;
mod session;
pub mod topics;
mod wire;
