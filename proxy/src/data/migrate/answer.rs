//! What the owner that a slot migrates from says to the steps of a request: its replies, read.
//!
//! The texts of what fails are those of the original, behind `ERR handle request, `.

/// What a reply to one step means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The key is not there any more, or never was.
    Gone,
    /// The key is being moved just now.
    Busy,
    /// The command ran; its own reply starts at this byte.
    Ran(usize),
    /// The server runs nothing that might write: it is out of memory, or cannot save.
    Full(String),
    /// The server does not reach the new owner.
    Unreachable(String),
    /// Anything else.
    Failed(String),
}

/// Reads the reply to `SLOTSMGRTTAGONE`.
pub fn moved(reply: &[u8]) -> Told {
    let failed = |why: &str| Told::Failed(format!("bad slotsmgrt resp: {why}"));
    match kind(reply) {
        Kind::Integer => Told::Gone,
        Kind::Error => {
            let text = line(reply);
            let is_unreachable =
                text.starts_with("IOERR ") || text.starts_with("ERR Can't connect to target node");
            if is_unreachable {
                Told::Unreachable(format!("bad slotsmgrt resp: {text}"))
            } else {
                failed(&text)
            }
        }
        other => failed(&format!("should be integer, but got {}", other.name())),
    }
}

/// Reads the reply to `SLOTSMGRT-EXEC-WRAPPER`.
pub fn wrapped(reply: &[u8]) -> Told {
    let failed = |why: &str| Told::Failed(format!("bad slotsmgrt-exec-wrapper resp: {why}"));
    match kind(reply) {
        Kind::Array => {}
        Kind::Error => {
            let text = line(reply);
            if text.starts_with("OOM ") || text.starts_with("MISCONF ") {
                return Told::Full(format!("bad slotsmgrt-exec-wrapper resp: {text}"));
            }
            return failed(&text);
        }
        other => return failed(&format!("should be integer, but got {}", other.name())),
    }
    let count: i64 = line(reply).parse().unwrap_or(0);
    if count != 2 {
        return failed(&format!("array.len = {}", count.max(0)));
    }
    let first = &reply[header(reply)..];
    let (what, value) = (kind(first), line(first));
    let [digit] = value.as_bytes() else {
        let (what, len) = (what.name(), value_len(first, &value));
        return failed(&format!(
            "type(array[0]) = {what}, len(array[0].value) = {len}"
        ));
    };
    if what != Kind::Integer {
        let (what, len) = (what.name(), value_len(first, &value));
        return failed(&format!(
            "type(array[0]) = {what}, len(array[0].value) = {len}"
        ));
    }
    let at = reply.len() - first.len() + header(first);
    match digit {
        b'0' => Told::Gone,
        b'1' => Told::Busy,
        b'2' => Told::Ran(at),
        other => failed(&format!(
            "[{}] {}",
            char::from(*other),
            text_of(&reply[at..])
        )),
    }
}

/// Reads the reply to `EXISTS`: how many of the keys are there.
pub fn counted(reply: &[u8]) -> Option<u64> {
    match kind(reply) {
        Kind::Integer => line(reply).parse().ok(),
        Kind::Simple | Kind::Error | Kind::Bulk | Kind::Array => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Simple,
    Error,
    Integer,
    Bulk,
    Array,
}

impl Kind {
    /// As the original names it in errors.
    const fn name(self) -> &'static str {
        match self {
            Kind::Simple => "<string>",
            Kind::Error => "<error>",
            Kind::Integer => "<int>",
            Kind::Bulk => "<bulkbytes>",
            Kind::Array => "<array>",
        }
    }
}

fn kind(reply: &[u8]) -> Kind {
    match reply.first() {
        Some(b'-') => Kind::Error,
        Some(b':') => Kind::Integer,
        Some(b'$') => Kind::Bulk,
        Some(b'*') => Kind::Array,
        _ => Kind::Simple,
    }
}

/// Bytes of the first line, its end included.
fn header(reply: &[u8]) -> usize {
    let end = reply.iter().position(|byte| *byte == b'\n');
    end.map_or(reply.len(), |end| end + 1)
}

/// The first line, without the type and the line end.
fn line(reply: &[u8]) -> String {
    let first = &reply[..header(reply)];
    let text = first.get(1..).unwrap_or_default();
    String::from_utf8_lossy(text).trim_end().to_owned()
}

/// The length of a value as the original counts it: of a bulk string, what it holds.
fn value_len(reply: &[u8], first_line: &str) -> usize {
    match kind(reply) {
        Kind::Bulk => first_line.parse().unwrap_or(0),
        Kind::Array => 0,
        Kind::Simple | Kind::Error | Kind::Integer => first_line.len(),
    }
}

/// The text of a reply without parts.
fn text_of(reply: &[u8]) -> String {
    match kind(reply) {
        Kind::Bulk => {
            let body = &reply[header(reply)..];
            String::from_utf8_lossy(body).trim_end().to_owned()
        }
        Kind::Array => String::new(),
        Kind::Simple | Kind::Error | Kind::Integer => line(reply),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rows of the table in section 5.4 of the reference.
    #[test]
    fn a_move_is_told_as_the_original_tells_it() {
        assert_eq!(moved(b":1\r\n"), Told::Gone);
        assert_eq!(moved(b":0\r\n"), Told::Gone);
        assert_eq!(moved(b":-1\r\n"), Told::Gone);
        let rows = [
            ("-ERR x y\r\n", "bad slotsmgrt resp: ERR x y"),
            (
                "+OK\r\n",
                "bad slotsmgrt resp: should be integer, but got <string>",
            ),
            (
                "$1\r\na\r\n",
                "bad slotsmgrt resp: should be integer, but got <bulkbytes>",
            ),
            (
                "*0\r\n",
                "bad slotsmgrt resp: should be integer, but got <array>",
            ),
        ];
        for (reply, text) in rows {
            assert_eq!(moved(reply.as_bytes()), Told::Failed(text.to_owned()));
        }
        let refused = b"-IOERR error or timeout writing to target\r\n";
        assert!(matches!(moved(refused), Told::Unreachable(text)
            if text == "bad slotsmgrt resp: IOERR error or timeout writing to target"));
    }

    /// The rows of the table in section 5.5 of the reference.
    #[test]
    fn a_wrapped_command_is_told_as_the_original_tells_it() {
        assert_eq!(wrapped(b"*2\r\n:0\r\n-ERR absent\r\n"), Told::Gone);
        assert_eq!(wrapped(b"*2\r\n:1\r\n-ERR moving\r\n"), Told::Busy);
        let ran = b"*2\r\n:2\r\n$1\r\nv\r\n";
        assert_eq!(wrapped(ran), Told::Ran(8));
        assert_eq!(&ran[8..], b"$1\r\nv\r\n");
        let rows = [
            ("*2\r\n:3\r\n-ERR what\r\n", "[3] ERR what"),
            ("*2\r\n:7\r\n$4\r\nwhat\r\n", "[7] what"),
            (
                "*2\r\n:-1\r\n-ERR invalid command specified (X)\r\n",
                "type(array[0]) = <int>, len(array[0].value) = 2",
            ),
            (
                "*2\r\n$1\r\n0\r\n:1\r\n",
                "type(array[0]) = <bulkbytes>, len(array[0].value) = 1",
            ),
            ("*1\r\n:0\r\n", "array.len = 1"),
            ("*0\r\n", "array.len = 0"),
            ("*-1\r\n", "array.len = 0"),
            ("-ERR no\r\n", "ERR no"),
            (":1\r\n", "should be integer, but got <int>"),
        ];
        for (reply, text) in rows {
            let text = format!("bad slotsmgrt-exec-wrapper resp: {text}");
            assert_eq!(wrapped(reply.as_bytes()), Told::Failed(text));
        }
        let full = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n";
        assert!(matches!(wrapped(full), Told::Full(text)
            if text.starts_with("bad slotsmgrt-exec-wrapper resp: OOM command")));
    }

    proptest! {
        /// No bytes of a server make the reader panic.
        #[test]
        fn any_reply_is_read(reply in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (moved(&reply), wrapped(&reply), counted(&reply));
            let mut array = b"*2\r\n".to_vec();
            array.extend(&reply);
            if let Told::Ran(at) = wrapped(&array) {
                prop_assert!(at <= array.len());
            }
        }
    }
}
