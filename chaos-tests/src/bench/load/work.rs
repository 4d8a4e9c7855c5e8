//! What one request says and what its reply must be, byte for byte.
//!
//! A request is known by one number: it names the keys, and each value begins with the number of
//! its key. So a reply that belongs to another request, an error, or a value of the wrong length
//! is found by comparing bytes, and nothing has to be stored for it but the number.

/// Decimal digits in a key and at the start of a value.
const DIGITS: usize = 12;
/// Digits that are written; those before them stay zero.
const DIGITS_USED: usize = 6;
/// From one key of a request to the next; prime, so that they differ.
const KEY_STEP: u32 = 7919;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// One key.
    Get,
    /// One key.
    Set,
    /// As many keys as [`Work`] says.
    Mget,
    /// As many keys as [`Work`] says.
    Mset,
}

/// A kind of requests, of which there are as many as keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The command.
    pub command: Command,
    /// Keys of one request.
    pub keys: usize,
    /// Bytes of a value, at least 12.
    pub value_bytes: usize,
    /// Different keys, at most 1,000,000; requests have numbers below it.
    pub keyspace: u32,
}

/// Bytes with gaps for the numbers of keys.
#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    /// Where a gap begins, and which key of the request it is for.
    gaps: Vec<(usize, usize)>,
}

/// A request and its reply, ready to be filled in.
#[derive(Clone, Debug)]
pub struct Script {
    work: Work,
    request: Template,
    reply: Template,
}

/// What the bytes received so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The start of the right reply.
    Partial,
    /// The right reply, of that many bytes.
    Whole(usize),
    /// Something else.
    Wrong,
}

impl Work {
    /// The name of the first key of request `number`.
    pub fn key(&self, number: u32) -> String {
        format!("{}{number:0DIGITS$}", self.prefix())
    }

    /// Values of different lengths live under different names.
    fn prefix(&self) -> String {
        format!("v{}:", self.value_bytes)
    }

    fn number(&self, request: u32, key: usize) -> u32 {
        if key == 0 {
            return request;
        }
        let step = KEY_STEP.wrapping_mul(key as u32);
        request.wrapping_add(step) % self.keyspace
    }
}

impl Template {
    const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn number_of(&mut self, key: usize) {
        self.gaps.push((self.bytes.len(), key));
        self.bytes.extend_from_slice(&[b'0'; DIGITS]);
    }

    fn key(&mut self, work: &Work, key: usize) {
        let prefix = work.prefix();
        self.text(&format!("${}\r\n{prefix}", prefix.len() + DIGITS));
        self.number_of(key);
        self.text("\r\n");
    }

    fn value(&mut self, work: &Work, key: usize) {
        self.text(&format!("${}\r\n", work.value_bytes));
        self.number_of(key);
        let rest = work.value_bytes.saturating_sub(DIGITS);
        self.bytes.resize(self.bytes.len() + rest, b'x');
        self.text("\r\n");
    }
}

impl Script {
    /// The script of `work`.
    pub fn new(work: Work) -> Self {
        let (mut request, mut reply) = (Template::new(), Template::new());
        let (name, writes) = match work.command {
            Command::Get => ("GET", false),
            Command::Set => ("SET", true),
            Command::Mget => ("MGET", false),
            Command::Mset => ("MSET", true),
        };
        let words = 1 + work.keys * if writes { 2 } else { 1 };
        request.text(&format!("*{words}\r\n${}\r\n{name}\r\n", name.len()));
        if writes {
            reply.text("+OK\r\n");
        } else if work.command == Command::Mget {
            reply.text(&format!("*{}\r\n", work.keys));
        }
        for key in 0..work.keys {
            request.key(&work, key);
            let into = if writes { &mut request } else { &mut reply };
            into.value(&work, key);
        }
        Self {
            work,
            request,
            reply,
        }
    }

    /// What it is a script of.
    pub const fn work(&self) -> &Work {
        &self.work
    }

    /// Bytes of a reply.
    pub const fn reply_len(&self) -> usize {
        self.reply.bytes.len()
    }

    /// Appends request `number` to `out`.
    pub fn write(&self, number: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.request.bytes);
        for &(gap, key) in &self.request.gaps {
            let digits = digits(self.work.number(number, key));
            let end = start + gap + DIGITS;
            out[end - DIGITS_USED..end].copy_from_slice(&digits);
        }
    }

    /// Compares what came with the reply to request `number`.
    pub fn check(&self, number: u32, came: &[u8]) -> Reply {
        let wanted = &self.reply.bytes;
        let len = came.len().min(wanted.len());
        let mut at = 0;
        for &(gap, key) in &self.reply.gaps {
            let end = gap + DIGITS;
            if end > len {
                break;
            }
            let digits = digits(self.work.number(number, key));
            let literal = at..end - DIGITS_USED;
            if came[literal.clone()] != wanted[literal] || came[end - DIGITS_USED..end] != digits {
                return Reply::Wrong;
            }
            at = end;
        }
        if len == wanted.len() {
            let rest = at..len;
            return match came[rest.clone()] == wanted[rest] {
                true => Reply::Whole(len),
                false => Reply::Wrong,
            };
        }
        // The digits of a gap that is not whole yet are compared when it is.
        let gap = self.reply.gaps.iter().find(|(gap, _)| *gap >= at);
        let sure = gap.map_or(len, |(gap, _)| len.min(*gap));
        match at >= sure || came[at..sure] == wanted[at..sure] {
            true => Reply::Partial,
            false => Reply::Wrong,
        }
    }
}

fn digits(mut number: u32) -> [u8; DIGITS_USED] {
    let mut digits = [b'0'; DIGITS_USED];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(command: Command, keys: usize) -> Script {
        Script::new(Work {
            command,
            keys,
            value_bytes: 16,
            keyspace: 10_000,
        })
    }

    fn request(script: &Script, number: u32) -> String {
        let mut out = Vec::new();
        script.write(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_are_plain_commands() {
        let get = request(&script(Command::Get, 1), 42);
        assert_eq!(get, "*2\r\n$3\r\nGET\r\n$16\r\nv16:000000000042\r\n");
        let set = request(&script(Command::Set, 1), 7);
        assert!(set.starts_with("*3\r\n$3\r\nSET\r\n$16\r\nv16:000000000007\r\n$16\r\n"));
        assert!(set.ends_with("000000000007xxxx\r\n"), "{set}");
        let mset = request(&script(Command::Mset, 2), 9_999);
        assert!(mset.starts_with("*5\r\n$4\r\nMSET\r\n"), "{mset}");
        assert_eq!(mset.matches("000000009999").count(), 2, "{mset}");
        assert_eq!(mset.matches("000000007918").count(), 2, "{mset}");
    }

    #[test]
    fn the_reply_to_another_request_is_wrong() {
        let get = script(Command::Get, 1);
        let reply = b"$16\r\n000000000042xxxx\r\n$16";
        assert_eq!(get.check(42, reply), Reply::Whole(23));
        assert_eq!(get.check(43, reply), Reply::Wrong);
    }

    #[test]
    fn errors_and_other_lengths_are_found_at_once() {
        let get = script(Command::Get, 1);
        for wrong in [
            "-ERR no\r\n",
            "$-1\r\n",
            "$15\r\n000000000042xxx\r\n",
            "$16\r\n000000000042xxxy\r\n",
        ] {
            assert_eq!(get.check(42, wrong.as_bytes()), Reply::Wrong, "{wrong}");
        }
        let set = script(Command::Set, 1);
        assert_eq!(set.check(1, b"-MOVED"), Reply::Wrong);
        assert_eq!(set.check(1, b"+OK\r\n"), Reply::Whole(5));
    }

    #[test]
    fn every_prefix_of_a_reply_is_a_part_of_it() {
        let mget = script(Command::Mget, 3);
        let number = |key| mget.work.number(5, key);
        let values = (0..3).map(|key| format!("$16\r\n{:012}xxxx\r\n", number(key)));
        let reply = format!("*3\r\n{}", values.collect::<String>());
        for len in 0..reply.len() {
            assert_eq!(mget.check(5, &reply.as_bytes()[..len]), Reply::Partial);
        }
        assert_eq!(mget.check(5, reply.as_bytes()), Reply::Whole(reply.len()));
    }
}
