//! The status in lines for people.

use jiff::Timestamp;
use serde_json::Value;

/// In lines for people.
pub fn in_words(status: &Value) -> String {
    let mut lines = vec![
        format!("device      {} ({})", text(&status["device"]), text(&status["hardware"])),
        format!("agent       {}", if status["running"] == true { "runs" } else { "does not run" }),
        format!("repository  {}", text(&status["repository"])),
        format!("clock       {}", clock(&status["clock"])),
        format!("certificate {}", certificate(&status["certificate"])),
        format!("network     {}", network(&status["network"])),
        format!("power       {}", power(&status["power"])),
        format!(
            "outcomes    {} waiting for the fleet, messages {}, open alerts {}",
            status["outcomes_waiting"], status["messages_waiting"], status["alerts_open"]
        ),
        format!("records     {}", records(&status["records"])),
    ];
    if let Some(settings) = status["settings"].as_str() {
        lines.push(format!("settings    {settings}"));
    }
    if let Some(problem) = status["trust"]["problem"].as_str() {
        lines.push(format!("trust       {problem}"));
    }
    for (model, state) in status["models"].as_object().into_iter().flatten() {
        lines.push(String::new());
        lines.push(model.clone());
        lines.push(format!("  decides     {}", decides(state)));
        lines.push(format!("  deployment  {}", deployment(state, status["clock"].as_i64())));
        lines.push(format!("  floor       {}", floor(&state["floor"])));
    }
    for passed in status["passed_over"].as_array().into_iter().flatten() {
        lines.push(format!(
            "{}: a pause of {} after a failure ({}) was passed over, since you asked",
            text(&passed["model"]),
            span(passed["seconds"].as_i64().unwrap_or(0)),
            text(&passed["cause"]),
        ));
    }
    lines.join("\n")
}

/// Seconds since 1970 as a day and a minute of UTC.
pub fn date(second: i64) -> String {
    let time = Timestamp::from_second(second).map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string());
    time.unwrap_or_else(|_| format!("second {second} since 1970"))
}

fn clock(clock: &Value) -> String {
    clock.as_i64().map_or_else(
        || "nobody vouches for it: fetched and staged, not activated, until it is synchronised".into(),
        |now| format!("synchronised, {}", date(now)),
    )
}

fn certificate(of: &Value) -> String {
    let day = |key: &str| of[key].as_i64().map(date).unwrap_or_default();
    let renewal =
        if of["server"].is_null() { "; nothing renews it: [enrolment] url is not configured" } else { "" };
    match of["state"].as_str() {
        Some("fresh") if renewal.is_empty() => {
            format!("good until {}, renewed from {} on", day("not_after"), day("renew_at"))
        }
        Some("fresh" | "due") => format!("good until {}, due for renewal{renewal}", day("not_after")),
        Some("expired") => format!("expired on {}; it may only be renewed{renewal}", day("not_after")),
        Some("given") => format!("{}, which something else renews", text(&of["file"])),
        Some("unusable") => text(&of["problem"]),
        _ => "none: `stopline-agent enroll` gets one".into(),
    }
}

fn records(of: &Value) -> String {
    if of.is_null() {
        return "not uploaded: upload.spool is not configured".into();
    }
    if let Some(problem) = of["problem"].as_str() {
        return problem.to_owned();
    }
    let waiting = megabytes(of["waiting_bytes"].as_u64().unwrap_or(0));
    format!(
        "{} waiting ({waiting}) of {}; {} delivered, {} evicted, {} expired, {} rejected",
        of["waiting"], of["captured"], of["delivered"], of["evicted"], of["expired"], of["rejected"]
    )
}

fn network(of: &Value) -> String {
    let kind = of["kind"].as_str().unwrap_or("none");
    let day = used(&of["mobile_day_bytes"], &of["mobile_day_most"], "today");
    let month = used(&of["mobile_month_bytes"], &of["mobile_month_most"], "this month");
    format!("{kind}; over mobile networks {day}, {month}")
}

fn power(of: &Value) -> String {
    let ignition = match of["ignition"].as_bool() {
        Some(true) => "ignition on",
        Some(false) => "ignition off",
        None => "ignition not known",
    };
    let battery = &of["battery"];
    if battery.is_null() {
        return format!("no battery is looked at; {ignition}");
    }
    let percent = battery["percent"].as_u64().map(|percent| format!("{percent} %"));
    let volts = battery["volts"].as_f64().map(|volts| format!("{volts:.2} V"));
    let known: Vec<String> = percent.into_iter().chain(volts).collect();
    let known = if known.is_empty() { "not known".to_owned() } else { known.join(", ") };
    let fed = if battery["fed"] == true { ", is charged or full" } else { "" };
    let low = of["low"].as_str().map(|low| format!("; {low}: nothing is fetched or installed"));
    format!("battery {known}{fed}; {ignition}{}", low.unwrap_or_default())
}

fn used(bytes: &Value, most: &Value, when: &str) -> String {
    let of = most.as_u64().map(|most| format!(" of {}", megabytes(most))).unwrap_or_default();
    format!("{}{of} {when}", megabytes(bytes.as_u64().unwrap_or(0)))
}

/// In tenths of 10⁶ bytes, rounded up: what was used is not nothing.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

fn decides(state: &Value) -> String {
    let current = &state["pointers"]["current"];
    if current.is_null() {
        return "the factory's model".into();
    }
    let trial = if state["pointers"]["trial"].is_null() { "" } else { ", on trial" };
    format!("{}{trial}", bundle(&state["current_version"], current))
}

fn deployment(state: &Value, now: Option<i64>) -> String {
    let deployment = &state["deployment"];
    if deployment.is_null() {
        return "none".into();
    }
    let cause = deployment["cause"]
        .as_str()
        .map(|cause| format!(" ({})", cause.replace('_', " ")))
        .unwrap_or_default();
    let again = match (deployment["next_try"].as_i64(), now) {
        (Some(next), Some(now)) if next > now && deployment["phase"] == "deferred" => {
            format!("; tried again in {}", span(next - now))
        }
        _ => String::new(),
    };
    format!(
        "{}{cause}: {} by {}{again}",
        text(&deployment["phase"]),
        bundle(&state["deployment_version"], &deployment["digest"]),
        text(&deployment["rollout_id"])
    )
}

fn floor(of: &Value) -> String {
    let (trust, seen) = (of["trust"].as_u64(), of["seen"].as_u64().unwrap_or(0));
    let trust_words = trust.map_or_else(|| "unreadable".into(), |trust| trust.to_string());
    let least = match trust.unwrap_or(0).max(seen) {
        0 => "any release".to_owned(),
        floor => format!("releases from {floor} on"),
    };
    format!("{least} (trust folder {trust_words}, highest seen {seen})")
}

/// A version where it is known, and enough of the digest to tell bundles apart.
fn bundle(version: &Value, digest: &Value) -> String {
    let digest = text(digest);
    let short: String = digest.chars().take(12).collect();
    version.as_str().map_or_else(|| short.clone(), |version| format!("{version} ({short})"))
}

fn span(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        value => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}
