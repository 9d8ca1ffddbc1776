//! Mosquitto set up so that it refuses what the end point here refuses: who one is says the certificate, and a device speaks
//! and hears below its own name alone.

use std::path::Path;

use super::outside::name_of;
use super::topics::{Part, Topics};
use super::wire::LARGEST;

/// The configuration, for Mosquitto 2. All files lie in `folder`.
pub fn configuration(folder: &Path, port: u16) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    format!(
        "# Written by stopline-fleet serve mosquitto; for Mosquitto 2.\n\
         per_listener_settings false\n\
         allow_anonymous false\n\
         acl_file {}\n\
         persistence true\n\
         persistence_location {}/\n\
         autosave_interval 30\n\
         # What servers have not taken yet; nothing is lost beyond it, for devices keep what has no receipt.\n\
         max_queued_messages 100000\n\
         max_inflight_messages 256\n\
         max_packet_size {}\n\
         # Receipts are small: one would wait for the acknowledgement of the last, 40 ms.\n\
         set_tcp_nodelay true\n\
         \n\
         listener {port}\n\
         cafile {}\n\
         certfile {}\n\
         keyfile {}\n\
         # Who is let in no more; read again at SIGHUP.\n\
         crlfile {}\n\
         require_certificate true\n\
         # Name and client id are the certificate's common name: nobody comes as another.\n\
         use_identity_as_username true\n\
         use_username_as_clientid true\n",
        at("acl"),
        at("kept"),
        LARGEST + 5,
        at("authorities.pem"),
        at("broker.pem"),
        at("broker.key"),
        at("revoked.crl"),
    )
}

/// The access rules. A device's name has 32 hexadecimal digits and is no server's.
pub fn access(topics: &Topics, replicas: &[String]) -> String {
    let fleet = topics.fleet();
    let mut rules = vec!["# Written by stopline-fleet serve mosquitto.".to_owned()];
    for part in Part::ALL {
        rules.push(format!("pattern write {}", topics.topic("%u", part)));
    }
    rules.push(format!("pattern read {}", topics.command("%u", "#")));
    for replica in replicas {
        rules.push(format!("\nuser {}", name_of(replica)));
        rules.push(format!("topic read stopline/{fleet}/+/+"));
        rules.push(format!("topic write stopline/{fleet}/+/cmd/+"));
    }
    rules.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_patterns_and_servers_have_names() {
        let rules = access(&Topics::of("north").unwrap(), &["1".into(), "2".into()]);
        for line in [
            "pattern write stopline/north/%u/available",
            "pattern write stopline/north/%u/update",
            "pattern read stopline/north/%u/cmd/#",
            "user serve-1",
            "user serve-2",
            "topic read stopline/north/+/+",
        ] {
            assert!(rules.lines().any(|rule| rule == line), "{line}: {rules}");
        }
        assert_eq!(rules.matches("pattern write").count(), Part::ALL.len());
        assert!(!rules.contains("readwrite"));
    }
}
