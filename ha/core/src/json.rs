//! JSON in the one form that Codis writes: four spaces, `&<>` escaped, no newline at the end.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// Encodes `value` as Codis stores and serves it.
///
/// # Panics
/// Never for the types of this crate: they hold no map with non-string keys and no failing
/// `Serialize`.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut plain = Vec::with_capacity(256);
    let mut out = Serializer::with_formatter(&mut plain, PrettyFormatter::with_indent(b"    "));
    value
        .serialize(&mut out)
        .expect("records serialize into memory without failing");
    escape_html(&plain)
}

/// Decodes a record or body the way Codis reads one: unknown members are ignored, names match
/// without regard to case, `null` means the default.
///
/// # Errors
/// The text is not JSON, or a member has the wrong type; the error names the place.
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(text)?;
    normalize(&mut value);
    serde_json::from_value(value)
}

/// Lower-cases member names and drops members that are `null`, at every depth.
fn normalize(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let taken = std::mem::take(members);
            for (name, mut member) in taken {
                if !member.is_null() {
                    normalize(&mut member);
                    members.insert(name.to_ascii_lowercase(), member);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(normalize),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `&`, `<`, `>` and the line separators U+2028/2029 appear only inside strings in JSON text, so
/// replacing the characters is enough.
fn escape_html(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len());
    let mut rest = plain;
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'&' => out.extend_from_slice(b"\\u0026"),
            b'<' => out.extend_from_slice(b"\\u003c"),
            b'>' => out.extend_from_slice(b"\\u003e"),
            0xe2 if tail.starts_with(&[0x80, 0xa8]) || tail.starts_with(&[0x80, 0xa9]) => {
                out.extend_from_slice(if tail[1] == 0xa8 {
                    b"\\u2028"
                } else {
                    b"\\u2029"
                });
                rest = &tail[2..];
                continue;
            }
            other => out.push(other),
        }
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped_and_indented_by_four() {
        let text = encode(&serde_json::json!({"a": "<&>\u{2028}", "b": []}));
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\n    \"a\": \"\\u003c\\u0026\\u003e\\u2028\",\n    \"b\": []\n}"
        );
    }

    #[test]
    fn reading_ignores_case_and_null() {
        let read: crate::model::Sentinel =
            decode(br#"{"Servers": null, "OUT_OF_SYNC": true, "new": 1}"#).unwrap();
        assert!(read.out_of_sync && read.servers.is_empty());
    }
}
