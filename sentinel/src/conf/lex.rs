//! Lines of words: the quoting rules that Redis uses for its config files and inline commands.

/// Splits a line into words, or `None` when a quote is not closed, or is followed by anything but
/// a blank.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let (word, tail) = word(rest)?;
        words.push(word);
        rest = tail;
    }
}

/// [`split`] for text; bytes that are not UTF-8 after unescaping are replaced.
pub fn split_text(line: &str) -> Option<Vec<String>> {
    let words = split(line.as_bytes())?;
    Some(
        words
            .iter()
            .map(|w| String::from_utf8_lossy(w).into_owned())
            .collect(),
    )
}

/// A word that does not start its line, where `#` means nothing.
pub fn quote_inside(value: &str) -> String {
    match value.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && quote(rest) == rest => value.to_owned(),
        _ => quote(value),
    }
}

/// A value as one word: as it is when that reads back the same, else in double quotes.
pub fn quote(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    if !value.is_empty() && !value.starts_with('#') && value.bytes().all(plain) {
        return value.to_owned();
    }
    quote_always(value)
}

/// A value as one word in double quotes.
pub fn quote_always(value: &str) -> String {
    let mut out = String::from("\"");
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b' ' => out.push(' '),
            b if b.is_ascii_graphic() => out.push(char::from(b)),
            b => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    out.push('"');
    out
}

/// The first word of a text that does not start with a blank, and what follows it.
fn word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b if b.is_ascii_whitespace() || b == 0 => break,
            b'"' => return quoted(text, at + 1, out, double_quoted),
            b'\'' => return quoted(text, at + 1, out, single_quoted),
            b => out.push(b),
        }
        at += 1;
    }
    // A NUL ends a word as a blank does.
    let next = if text.get(at) == Some(&0) { at + 1 } else { at };
    Some((out, text.get(next..).unwrap_or_default()))
}

/// One step inside quotes: the byte meant, and how many bytes say it.
type Step = fn(&[u8]) -> (u8, usize);

fn quoted(text: &[u8], start: usize, mut out: Vec<u8>, step: Step) -> Option<(Vec<u8>, &[u8])> {
    let close = *text.get(start - 1)?;
    let mut at = start;
    loop {
        let rest = text.get(at..)?;
        let first = *rest.first()?;
        if first == close {
            let tail = text.get(at + 1..).unwrap_or_default();
            let ends = tail.first().is_none_or(u8::is_ascii_whitespace);
            return ends.then_some((out, tail));
        }
        let (byte, length) = step(rest);
        out.push(byte);
        at += length;
    }
}

fn double_quoted(rest: &[u8]) -> (u8, usize) {
    match rest {
        [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            (hex(*high) * 16 + hex(*low), 4)
        }
        [b'\\', escaped, ..] => {
            let byte = match escaped {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                other => *other,
            };
            (byte, 2)
        }
        [byte, ..] => (*byte, 1),
        [] => (0, 1),
    }
}

fn single_quoted(rest: &[u8]) -> (u8, usize) {
    match rest {
        [b'\\', b'\'', ..] => (b'\'', 2),
        [byte, ..] => (*byte, 1),
        [] => (0, 1),
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        split_text(line)
    }

    #[test]
    fn words_are_split_as_redis_splits_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  port\t26379 ", &["port", "26379"]),
            (r#"dir "/var/lib/a b""#, &["dir", "/var/lib/a b"]),
            (r#"a 'it\'s' "\x41\n""#, &["a", "it's", "A\n"]),
            (r#"requirepass """#, &["requirepass", ""]),
            (r#"x pre"fix ed""#, &["x", "prefix ed"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), *expected, "{line}");
        }
        for bad in [r#"a "b"#, r#"a "b"c"#, "a 'b", r#"a "b\""#] {
            assert_eq!(words(bad), None, "{bad}");
        }
    }

    #[test]
    fn quoted_values_read_back_the_same() {
        for value in [
            "plain",
            "",
            "two words",
            "a\"b\\c",
            "tab\tnl\n",
            "é",
            "#hash",
            "'",
        ] {
            let line = format!("k {}", quote(value));
            assert_eq!(words(&line).unwrap(), ["k", value], "{line}");
        }
        assert_eq!(quote("plain"), "plain");
    }
}
