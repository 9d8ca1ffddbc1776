//! Home Assistant's MQTT discovery, for wall cameras: a fall is a binary sensor, and a button acknowledges it.
//!
//! Retained below `PREFIX/…/stopline_DEVICE/…/config`, said on each connection and when Home Assistant itself begins
//! (`PREFIX/status`). The fleet's own brokers let a device write below its own topics only: this is for a broker of one's own.

use serde_json::{Value, json};

use crate::config::HomeAssistant;

/// Topic and content of each.
pub fn discovery(settings: &HomeAssistant, fleet: &str, device: &str) -> Vec<(String, Vec<u8>)> {
    let below = format!("stopline/{fleet}/{device}");
    let node = format!("stopline_{device}");
    let common = |name: &str, component: &str, object: &str| {
        json!({
            "name": name,
            "unique_id": format!("{node}_{object}"),
            // Home Assistant from 2025.10 on goes by the second, earlier ones by the first.
            "object_id": format!("{node}_{object}"),
            "default_entity_id": format!("{component}.{node}_{object}"),
            "availability_topic": format!("{below}/available"),
            "payload_available": "online",
            "payload_not_available": "offline",
            "qos": 1,
            "device": {"identifiers": [node.clone()], "name": format!("Stopline {}", &device[..device.len().min(8)]),
                "manufacturer": "Stopline"},
        })
    };
    let state = format!("{below}/state");
    let fall = with(
        common("Fall", "binary_sensor", "fall"),
        json!({
            "state_topic": state,
            "device_class": "safety",
            "value_template":
                "{{ 'ON' if value_json.body.alerts | select('match', '^fall-') | list | count > 0 else 'OFF' }}",
            "json_attributes_topic": state,
            "json_attributes_template":
                "{{ {'alerts': value_json.body.alerts | select('match', '^fall-') | list} | tojson }}",
        }),
    );
    let lost = with(
        common("Monitoring", "binary_sensor", "monitoring"),
        json!({
            "state_topic": state,
            "device_class": "problem",
            "value_template": "{{ 'OFF' if value_json.body.runtime in ['ready', 'active'] else 'ON' }}",
        }),
    );
    // It names the newest open fall and who pressed it, as every acknowledgement does.
    let sensor = format!("binary_sensor.{node}_fall");
    let press = format!(
        "{{{{ {{'schema': 1, 'id': (state_attr('{sensor}', 'alerts') or ['none'])[-1], 'by': '{}'}} | tojson }}}}",
        settings.by
    );
    let button = with(
        common("Acknowledge fall", "button", "acknowledge"),
        json!({
            "command_topic": format!("{below}/cmd/acknowledge"),
            "command_template": press,
            "retain": false,
        }),
    );
    [
        ("binary_sensor", "fall", fall),
        ("binary_sensor", "monitoring", lost),
        ("button", "acknowledge", button),
    ]
    .into_iter()
    .map(|(component, object, value)| {
        let topic = format!("{}/{component}/{node}/{object}/config", settings.prefix);
        (topic, value.to_string().into_bytes())
    })
    .collect()
}

/// Where Home Assistant says that it begins.
pub fn status_topic(settings: &HomeAssistant) -> String {
    format!("{}/status", settings.prefix)
}

fn with(mut common: Value, more: Value) -> Value {
    if let (Value::Object(common), Value::Object(more)) = (&mut common, more) {
        common.extend(more);
    }
    common
}
