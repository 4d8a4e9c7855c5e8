//! Scripts: what to send, and what the reply must be.
//!
//! A script begins with the name of a command at the start of a line; an indented line is one
//! request. What stands before the request tells how its reply is judged:
//!
//! | mark | the reply of the proxy |
//! |---|---|
//! | none | has the bytes of the direct server's |
//! | `~` | is an array of the same elements in any order |
//! | `?` | is an integer near the direct server's: a time that runs |
//! | `x` | is the error for commands that are not allowed |
//! | `=` | is what stands behind `=>`: a difference from a direct server that is meant |
//! | `^` | begins with what stands behind `=>` |
//!
//! A word that begins with `@` is a key on the server of the run; with `%`, a key anywhere. Both
//! belong to the script alone. Words may be quoted, with `\r`, `\n`, `\xHH`, `\"` and `\\`.

use codis_core::resp::{Limits, Value, encode_command};

const FILES: &[&str] = &[
    include_str!("strings.txt"),
    include_str!("keys.txt"),
    include_str!("hashes.txt"),
    include_str!("lists.txt"),
    include_str!("sets.txt"),
    include_str!("sorted.txt"),
    include_str!("streams.txt"),
    include_str!("server.txt"),
    include_str!("slots.txt"),
    include_str!("newer.txt"),
];

/// How far apart two readings of one clock may be, in seconds or milliseconds.
const NEAR: i64 = 20_000;

/// How a reply is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    Bytes,
    AnyOrder,
    Near,
    Refused,
    Exactly(Vec<u8>),
    Begins(Vec<u8>),
}

impl Compare {
    /// Whether the direct server has a say.
    pub fn needs_server(&self) -> bool {
        matches!(self, Self::Bytes | Self::AnyOrder | Self::Near)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Step {
    pub line: String,
    pub compare: Compare,
    words: Vec<Vec<u8>>,
}

/// The requests that show one command.
#[derive(Clone, Debug)]
pub struct Script {
    pub name: String,
    pub steps: Vec<Step>,
}

/// All scripts of all files.
pub fn all() -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for line in FILES.iter().flat_map(|file| file.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(text) = line.strip_prefix("  ") {
            let script = scripts.last_mut().expect("a request belongs to a script");
            script.steps.push(Step::parse(text));
        } else {
            let name = line.to_owned();
            assert!(scripts.iter().all(|s| s.name != name), "two scripts {name}");
            let steps = Vec::new();
            scripts.push(Script { name, steps });
        }
    }
    scripts
}

impl Step {
    fn parse(line: &str) -> Self {
        let (mark, rest) = match line.split_once(' ') {
            Some((mark, rest)) if ["~", "?", "x", "=", "^"].contains(&mark) => (mark, rest),
            _ => ("", line),
        };
        let (request, told) = match mark {
            "=" | "^" => rest.split_once(" => ").expect("a reply behind =>"),
            _ => (rest, ""),
        };
        let compare = match mark {
            "~" => Compare::AnyOrder,
            "?" => Compare::Near,
            "x" => Compare::Refused,
            "=" => Compare::Exactly([&unescape(told)[..], b"\r\n"].concat()),
            "^" => Compare::Begins(unescape(told)),
            _ => Compare::Bytes,
        };
        Self {
            line: line.to_owned(),
            compare,
            words: words(request),
        }
    }

    /// Whether this is a request of that command.
    pub fn is_of(&self, name: &str) -> bool {
        self.words[0].eq_ignore_ascii_case(name.as_bytes())
    }

    /// The bytes to send, with the keys of a script and of one run.
    pub fn request(&self, script: &str, tag: &str) -> Vec<u8> {
        let key = |word: &[u8]| match word.split_first() {
            Some((b'@', rest)) => [format!("{{{tag}}}{script}:").as_bytes(), rest].concat(),
            Some((b'%', rest)) => [format!("{tag}:{script}:").as_bytes(), rest].concat(),
            _ => word.to_vec(),
        };
        let args: Vec<Vec<u8>> = self.words.iter().map(|word| key(word)).collect();
        let mut out = Vec::new();
        encode_command(&mut out, &args);
        out
    }

    /// Judges a reply beside the direct server's; an error tells what was wanted.
    pub fn check(&self, server: Option<&[u8]>, got: &[u8]) -> Result<(), String> {
        let server = server.unwrap_or_default();
        let (fits, wanted) = match &self.compare {
            Compare::Bytes => (got == server, server.to_vec()),
            Compare::AnyOrder => (sorted(got) == sorted(server), server.to_vec()),
            Compare::Near => {
                let apart = integer(got)
                    .zip(integer(server))
                    .map(|(a, b)| a.abs_diff(b));
                (
                    apart.is_some_and(|apart| apart < NEAR as u64),
                    server.to_vec(),
                )
            }
            Compare::Refused => {
                let name = self.words[0].to_ascii_uppercase();
                let name = String::from_utf8_lossy(&name).into_owned();
                let wanted = format!("-ERR handle request, command '{name}' is not allowed\r\n");
                (got == wanted.as_bytes(), wanted.into_bytes())
            }
            Compare::Exactly(wanted) => (got == wanted, wanted.clone()),
            Compare::Begins(wanted) => (got.starts_with(wanted), wanted.clone()),
        };
        let wanted: String = wanted
            .escape_ascii()
            .to_string()
            .chars()
            .take(300)
            .collect();
        if fits { Ok(()) } else { Err(wanted) }
    }
}

fn value(reply: &[u8]) -> Option<Value> {
    Some(Value::parse(reply, &Limits::default()).ok()??.0)
}

fn integer(reply: &[u8]) -> Option<i64> {
    match value(reply)? {
        Value::Integer(number) => Some(number),
        _ => None,
    }
}

/// The elements of an array in an order of their own.
fn sorted(reply: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Value::Array(Some(elements)) = value(reply)? else {
        return None;
    };
    let mut all: Vec<Vec<u8>> = elements.iter().map(|e| e.to_bytes().to_vec()).collect();
    all.sort();
    Some(all)
}

/// Splits at blanks outside of quotes.
fn words(text: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, end) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted);
                (&quoted[..end], end + 2)
            }
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (&rest[..end], end)
            }
        };
        words.push(unescape(word));
        rest = rest[end..].trim_start();
    }
    words
}

fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    panic!("a quote that does not end: {text}");
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().expect("something behind a backslash") {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b'x' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                let hex = std::str::from_utf8(&hex).unwrap();
                out.push(u8::from_str_radix(hex, 16).unwrap());
            }
            other => out.push(other),
        }
    }
    out
}
