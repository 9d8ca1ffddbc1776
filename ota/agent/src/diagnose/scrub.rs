//! Takes out what nobody outside may read: keys, passwords, tokens, and where a vehicle was.

use serde_json::Value;

/// What stands in place of what was taken out.
const GONE: &str = "[removed]";
/// Parts of names whose values are secrets, unless the value is the path of a file.
const SECRET: [&str; 7] = ["password", "passwd", "secret", "token", "private", "credential", "authorization"];
/// Names whose values say where a vehicle was.
const PLACE: [&str; 9] =
    ["position", "latitude", "longitude", "altitude", "lat", "lon", "lng", "location", "heading"];
/// Kinds of NMEA 0183 sentences that hold a position.
const SENTENCES: [&str; 5] = ["GGA", "RMC", "GLL", "GNS", "VTG"];
/// Decimals from which on a number may be a place to within some metres.
const DECIMALS: usize = 4;

/// A document, by the names of its keys and the form of its texts.
pub fn value(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, inner)| {
                let inner = if is_hidden(&key, &inner) { GONE.into() } else { self::value(inner) };
                (key, inner)
            })
            .collect(),
        Value::Array(list) => list.into_iter().map(self::value).collect(),
        Value::String(text) => Value::String(self::text(&text)),
        other => other,
    }
}

fn is_hidden(key: &str, value: &Value) -> bool {
    let key = key.to_ascii_lowercase();
    let is_file = key.ends_with("_file") && value.is_string();
    names_place(&key) || (!is_file && is_secret(&key))
}

/// Whether a value of this name, in lower case, is a secret.
fn is_secret(name: &str) -> bool {
    let last = name.rsplit(['_', '-']).next();
    last == Some("key") || name == "apikey" || SECRET.iter().any(|word| name.contains(word))
}

fn names_place(key: &str) -> bool {
    key.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| PLACE.contains(&part))
}

/// A text, line by line.
pub fn text(text: &str) -> String {
    let (mut clean, mut in_pem) = (Vec::new(), false);
    for line in text.lines() {
        let begins = line.contains("-----BEGIN");
        if begins && !in_pem {
            clean.push(GONE.to_owned());
        }
        in_pem |= begins;
        if !in_pem {
            clean.push(self::line(line));
        }
        in_pem &= !line.contains("-----END");
    }
    clean.join("\n")
}

fn line(line: &str) -> String {
    if let Some(at) = sentence(line) {
        return format!("{}{GONE}", &line[..at]);
    }
    let line = without_keys(line);
    let line = without_logins(&line);
    let line = without_named(&line);
    without_places(&line)
}

/// Where an NMEA sentence with a position begins.
fn sentence(line: &str) -> Option<usize> {
    line.match_indices('$').map(|(at, _)| at).find(|at| {
        let kind = line.get(at + 3..at + 6);
        kind.is_some_and(|kind| SENTENCES.contains(&kind))
    })
}

/// Keys of `age`.
fn without_keys(line: &str) -> String {
    const KEY: &str = "AGE-SECRET-KEY-";
    let mut parts = line.split(KEY);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str(GONE);
        clean.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
    }
    clean
}

/// `user:password@` and what stands behind `?` in addresses: pre-signed ones are as good as a key.
fn without_logins(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>)]},;".contains(c)).unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        let (url, query) = url.split_once('?').map_or((url, false), |(url, _)| (url, true));
        let host = url.split('/').next().unwrap_or_default();
        let url = match host.rfind('@') {
            Some(at) => format!("{GONE}@{}", &url[at + 1..]),
            None => url.to_owned(),
        };
        clean.push_str(&url);
        if query {
            clean.push('?');
            clean.push_str(GONE);
        }
        rest = behind;
    }
    clean + rest
}

/// `password=…`, `"token": "…"`, `lat=…`: the word behind a telling name.
fn without_named(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        clean.push_str(before);
        let name = before[..at].trim_end_matches(['"', '\'', ' ']);
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = name.rsplit(|c| !inner(c)).next().unwrap_or_default().to_ascii_lowercase();
        let told = is_secret(&name) && !name.ends_with("_file");
        rest = if told || names_place(&name) { behind_value(after, &mut clean) } else { after };
    }
    clean + rest
}

/// What follows a value, which is left out.
fn behind_value<'a>(after: &'a str, clean: &mut String) -> &'a str {
    let value = after.trim_start();
    clean.push_str(&after[..after.len() - value.len()]);
    clean.push_str(GONE);
    let close = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map(|at| at + 2),
        Some('[') => value.find(']').map(|at| at + 1),
        Some('{') => value.find('}').map(|at| at + 1),
        _ => value.find(|c: char| c.is_whitespace() || ",;}&".contains(c)),
    };
    // Without an end all of it goes.
    &value[close.unwrap_or(value.len())..]
}

/// Two numbers with many decimals beside each other: degrees.
fn without_places(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_digit() || ".+-".contains(c);
    let mut pieces: Vec<(bool, &str)> = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let number = rest.starts_with(is_part);
        let end = rest.find(|c: char| is_part(c) != number).unwrap_or(rest.len());
        pieces.push((number, &rest[..end]));
        rest = &rest[end..];
    }
    let precise = |at: usize| pieces.get(at).is_some_and(|(number, text)| *number && is_precise(text));
    let apart = |at: usize| {
        let between = pieces.get(at).map(|(_, text)| *text);
        between.is_some_and(|text| {
            text.len() <= 4 && text.chars().all(|c| " ,;/\t°".contains(c) || "NSEW".contains(c))
        })
    };
    let gone = |at: usize| {
        precise(at) && ((at >= 2 && apart(at - 1) && precise(at - 2)) || (apart(at + 1) && precise(at + 2)))
    };
    pieces.iter().enumerate().map(|(at, (_, text))| if gone(at) { GONE } else { *text }).collect()
}

fn is_precise(text: &str) -> bool {
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    decimals >= DECIMALS && text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= 180.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nobody_may_read_is_taken_out_and_the_rest_stays() {
        for (line, clean) in [
            ("rtsp://admin:hunter2@10.0.0.4:554/live failed", "rtsp://[removed]@10.0.0.4:554/live failed"),
            ("GET https://s3.example/x?X-Amz-Signature=abc 200", "GET https://s3.example/x?[removed] 200"),
            ("identity AGE-SECRET-KEY-1QQQ.", "identity [removed]."),
            ("token=abc123 next", "token=[removed] next"),
            (
                "key=abc123 and api-key: \"x\", keyboard=de",
                "key=[removed] and api-key: [removed], keyboard=de",
            ),
            (r#"{"password": "a b", "n": 7}"#, r#"{"password": [removed], "n": 7}"#),
            ("fix lat=52.5 lon=13.4 sats=7", "fix lat=[removed] lon=[removed] sats=7"),
            ("at 52.520008, 13.404954 now", "at [removed], [removed] now"),
            ("gnss $GNRMC,123519,A,4807.038,N,01131.000,E", "gnss [removed]"),
            ("position: [52.52, 13.40] ok", "position: [removed] ok"),
            ("password_file: /etc/stopline/p", "password_file: /etc/stopline/p"),
            ("p99 12.5 ms, digest ab12, score 0.875", "p99 12.5 ms, digest ab12, score 0.875"),
            ("one number 0.123456 alone", "one number 0.123456 alone"),
        ] {
            assert_eq!(text(line), clean);
        }
        assert_eq!(
            text("a\n-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----\nb"),
            "a\n[removed]\nb"
        );
        assert_eq!(
            text("a\n-----BEGIN PRIVATE KEY-----\nMC4"),
            "a\n[removed]",
            "cut off: the rest is the key's"
        );
        let document = json!({"mqtt": {"password": "x", "password_file": "/p", "api_token": ["a"]}, "gps_position": {"a": 1},
            "url": "https://u:p@h/x", "battery": 7});
        let clean = json!({"mqtt": {"password": "[removed]", "password_file": "/p", "api_token": "[removed]"},
            "gps_position": "[removed]", "url": "https://[removed]@h/x", "battery": 7});
        assert_eq!(value(document), clean);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_scrubbed_to_a_text_that_is_scrubbed(text in "\\PC{0,200}") {
            let once = self::text(&text);
            proptest::prop_assert!(!once.contains("-----BEGIN"));
            let _ = self::text(&once);
        }
    }
}
