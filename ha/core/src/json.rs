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
    escape_html(plain)
}

/// Decodes a record or body the way Codis reads one: unknown members are ignored, names match
/// without regard to case, `null` means the default.
///
/// # Errors
/// The text is not JSON, or a member has the wrong type; the error names the place.
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    // Nearly all texts are in the form that Codis writes, and need no tree of values in between.
    // Whatever is wrong with one is told by the way for all texts.
    if is_plain(text)
        && let Ok(value) = serde_json::from_slice(text)
    {
        return Ok(value);
    }
    let mut value: Value = serde_json::from_slice(text)?;
    normalize(&mut value);
    serde_json::from_value(value)
}

/// Whether [`normalize`] would change nothing: member names are lower case already, and nothing is
/// `null`. A text that is no JSON may be called plain.
fn is_plain(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'n', rest) {
        // No other literal has this letter.
        if rest[at] == b'n' {
            return false;
        }
        let string = &rest[at + 1..];
        let Some(len) = string_len(string) else {
            return true;
        };
        let (string, behind) = (&string[..len], &string[len + 1..]);
        let is_member = behind.trim_ascii_start().first() == Some(&b':');
        let is_special = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'\\';
        if is_member && string.iter().any(is_special) {
            return false;
        }
        rest = behind;
    }
    true
}

/// The bytes before the quote that ends a string.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at > text.len() {
            return None;
        }
    }
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
/// Most bodies have nothing to escape, and the largest ones have megabytes of it.
fn escape_html(plain: Vec<u8>) -> Vec<u8> {
    if memchr::memchr3(b'&', b'<', b'>', &plain)
        .or_else(|| memchr::memchr(0xe2, &plain))
        .is_none()
    {
        return plain;
    }
    let is_special = |byte: &u8| matches!(byte, b'&' | b'<' | b'>' | 0xe2);
    let mut out = Vec::with_capacity(plain.len() + plain.len() / 16);
    let mut rest = &plain[..];
    while let Some(at) = rest.iter().position(is_special) {
        let (before, special) = rest.split_at(at);
        out.extend_from_slice(before);
        let (escaped, len): (&[u8], usize) = match special {
            [b'&', ..] => (b"\\u0026", 1),
            [b'<', ..] => (b"\\u003c", 1),
            [b'>', ..] => (b"\\u003e", 1),
            [0xe2, 0x80, 0xa8, ..] => (b"\\u2028", 3),
            [0xe2, 0x80, 0xa9, ..] => (b"\\u2029", 3),
            _ => (&special[..1], 1),
        };
        out.extend_from_slice(escaped);
        rest = &special[len..];
    }
    out.extend_from_slice(rest);
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
    fn only_what_must_be_is_escaped() {
        let escaped = |text: &str| String::from_utf8(encode(text)).unwrap();
        assert_eq!(escaped("<a>\u{2029}"), "\"\\u003ca\\u003e\\u2029\"");
        for plain in ["", "\u{20ac} costs", "\u{2022}\u{e2}\u{2fff}"] {
            assert_eq!(escaped(plain), format!("\"{plain}\""));
        }
    }

    #[test]
    fn reading_ignores_case_and_null() {
        let read: crate::model::Sentinel =
            decode(br#"{"Servers": null, "OUT_OF_SYNC": true, "new": 1}"#).unwrap();
        assert!(read.out_of_sync && read.servers.is_empty());
    }

    #[test]
    fn a_text_in_the_form_of_codis_is_plain() {
        let plain = [
            r#"{"a": "B: null \" N", "b" : [true, false, 1e9], "c": {}}"#,
            r#""NULL""#,
            r#"{"a": "ends in a backslash \\"}"#,
            "",
            "7",
        ];
        for text in plain {
            assert!(is_plain(text.as_bytes()), "{text}");
        }
        let others = [
            r#"{"a": null}"#,
            r#"[null]"#,
            r#"{"A": 1}"#,
            "{\"a\": \"\", \"b\": {\"cD\"\n\t : 1}}",
            r#"{"\u0041": 1}"#,
        ];
        for text in others {
            assert!(!is_plain(text.as_bytes()), "{text}");
        }
        for broken in [r#"{"a"#, r#"{"a\"#, r#"{"a\""#, "\""] {
            is_plain(broken.as_bytes());
            decode::<crate::model::Sentinel>(broken.as_bytes()).unwrap_err();
        }
    }

    /// A member that comes twice fails the short way, and its last value counts as ever.
    #[test]
    fn both_ways_of_reading_read_the_same() {
        let texts = [
            r#"{"servers": ["a:1"], "out_of_sync": false, "out_of_sync": true}"#,
            r#"{"servers": ["a:1"], "Out_Of_Sync": true}"#,
            r#"{"servers": ["a:1"], "out_of_sync": true, "new": {"x": [1, {"y": "z"}]}}"#,
        ];
        for text in texts {
            let read: crate::model::Sentinel = decode(text.as_bytes()).unwrap();
            assert_eq!(
                (read.servers.as_slice(), read.out_of_sync),
                (&["a:1".to_owned()][..], true)
            );
        }
    }
}
