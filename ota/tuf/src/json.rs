//! JSON from outside, and the one byte form of it that is signed.
//!
//! Reading is stricter than JSON itself, because two programs that read one text differently can be shown two truths:
//! a key that stands twice in an object, a number with a fraction, an exponent or more than 64 bits, and anything after
//! the end are refused; so are depth and number of values beyond what metadata needs, before they are stored.
//!
//! [`canonical`] writes the OLPC canonical form of TUF §4.1: objects sorted by key in code-point order, no white space,
//! only `"` and `\` escaped, integers alone. Strings are taken as they stand. Unicode normalisation, which some writers
//! of this form apply, would make two different texts carry one signature, and two keys of an object one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Levels of arrays and objects in each other. Metadata has seven, `custom` adds its own.
pub const MAX_DEPTH: usize = 32;
/// Values in one document: keeps what is read in memory within a small multiple of the file.
pub const MAX_VALUES: usize = 131_072;

/// Reads one document.
///
/// # Errors
/// What is not accepted, with line and column.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut left = MAX_VALUES;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: MAX_DEPTH, left: &mut left }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The canonical bytes of `value`; `None` where it holds a number that is no integer.
pub fn canonical(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Some(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_f64() => return None,
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            write_between(b'[', b']', items, out, write)?;
        }
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            write_between(b'{', b'}', sorted, out, |(key, value), out| {
                write_string(key, out);
                out.push(b':');
                write(value, out)
            })?;
        }
    }
    Some(())
}

fn write_between<T>(
    open: u8,
    close: u8,
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    one: impl Fn(T, &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        one(item, out)?;
    }
    out.push(close);
    Some(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Reads one value, with what is left of depth and number.
struct Strict<'a> {
    depth: usize,
    left: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        *self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| de::Error::custom(format!("more than {MAX_VALUES} values")))?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Err(de::Error::custom(format!("{value:e} is no integer of 64 bits, and only those can be signed")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Strict { depth, left: self.left })? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {key:?} stands twice in one object")));
            }
            let value = members.next_value_seed(Strict { depth, left: self.left })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

fn deeper<E: de::Error>(depth: usize) -> Result<usize, E> {
    depth.checked_sub(1).ok_or_else(|| de::Error::custom(format!("more than {MAX_DEPTH} levels")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> String {
        String::from_utf8(canonical(&parse(text.as_bytes()).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn keys_are_sorted_by_their_own_text_and_not_by_their_quoted_form() {
        // `"` sorts behind a space and `!`; sorting the quoted keys puts "a b" before "a".
        assert_eq!(form(r#"{"a!":1, "a b":2, "a":3}"#), r#"{"a":3,"a b":2,"a!":1}"#);
    }

    #[test]
    fn only_quote_and_backslash_are_escaped() {
        assert_eq!(form(r#""a\u0001\n\t\"\\\/é""#), "\"a\u{1}\n\t\\\"\\\\/é\"");
    }

    #[test]
    fn two_spellings_of_a_letter_stay_two_texts() {
        let kelvin = form("{\"\u{212a}ey\":1,\"Key\":2}");
        assert_eq!(kelvin, "{\"Key\":2,\"\u{212a}ey\":1}");
        assert_ne!(form("\"e\u{301}\""), form("\"\u{e9}\""));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":{"a":1,"\u0061":2}}"#] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("stands twice"), "{error}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_signed_are_refused() {
        for text in ["1.0", "1e3", "-0", "18446744073709551616", "-9223372036854775809", "1e400"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(
            form("[18446744073709551615,-9223372036854775808]"),
            "[18446744073709551615,-9223372036854775808]"
        );
    }

    #[test]
    fn depth_and_number_of_values_end_somewhere() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, 100_000] {
            let error = parse(nested(depth).as_bytes()).unwrap_err().to_string();
            assert!(error.contains("levels"), "{error}");
        }
        let wide = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert!(parse(wide(MAX_VALUES - 1).as_bytes()).is_ok());
        let error = parse(wide(MAX_VALUES).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("values"), "{error}");
    }

    #[test]
    fn what_follows_the_document_is_refused() {
        assert!(parse(b"{} ").is_ok());
        for text in [&b"{}{}"[..], b"{}\0", b"", b"\xff", br#""\ud800""#] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_form_knows_no_white_space_and_no_order(value in any_value()) {
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            let read = parse(&pretty).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(canonical(&read), canonical(&value));
        }

        #[test]
        fn different_values_have_different_canonical_forms(one in any_value(), other in any_value()) {
            prop_assert_eq!(canonical(&one) == canonical(&other), one == other);
        }

        #[test]
        fn bytes_from_anywhere_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&bytes);
        }
    }
}
