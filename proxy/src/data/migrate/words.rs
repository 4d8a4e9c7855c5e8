//! The words of a request that waits for its key: its arguments, and which of them are keys.

use std::ops::Range;

use bytes::Bytes;
use codis_core::command;
use codis_core::resp::{Limits, RequestScanner, write_array, write_bulk};

use super::machine::Step;

/// Milliseconds that the old owner may take to reach the new one, as the original has it.
const MOVE_MILLIS: &str = "3000";

/// A request, taken apart.
#[derive(Debug)]
pub struct Words {
    raw: Bytes,
    args: Vec<Range<usize>>,
    /// Places of the different keys.
    keys: Vec<Range<usize>>,
}

impl Words {
    /// Takes a multi-bulk request apart. One that cannot be has no keys.
    pub fn new(raw: &Bytes) -> Self {
        let mut scanner = RequestScanner::new(Limits::default());
        let args = match scanner.scan(raw) {
            Ok(Some(_)) => scanner.args().to_vec(),
            Ok(None) | Err(_) => Vec::new(),
        };
        let word = |arg: &Range<usize>| &raw[arg.clone()];
        let mut seen = std::collections::BTreeSet::new();
        let places = key_places(&args, raw).into_iter();
        let keys = places.filter(|key| seen.insert(word(key))).collect();
        let raw = raw.clone();
        Self { raw, args, keys }
    }

    /// How many different keys it has.
    pub fn keys(&self) -> u32 {
        self.keys.len() as u32
    }

    fn key(&self, index: u32) -> &[u8] {
        let place = self.keys.get(index as usize).cloned();
        place.map_or(&[], |place| &self.raw[place])
    }

    /// What a step sends, the new owner being at `target`.
    pub fn encode(&self, step: Step, target: &str) -> Bytes {
        let (host, port) = target.rsplit_once(':').unwrap_or((target, ""));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tail = [host, port, MOVE_MILLIS].map(str::as_bytes);
        match step {
            Step::Move(key) => {
                let key = self.key(key);
                encode(&[b"SLOTSMGRTTAGONE", tail[0], tail[1], tail[2], key])
            }
            Step::MoveWrapped(key) => {
                let (wrapper, key) = (b"SLOTSMGRT-EXEC-WRAPPER", self.key(key));
                let inner = b"SLOTSMGRTTAGONE";
                encode(&[wrapper, key, inner, tail[0], tail[1], tail[2], key])
            }
            Step::Wrap => {
                let mut words: Vec<&[u8]> = vec![b"SLOTSMGRT-EXEC-WRAPPER", self.key(0)];
                words.extend(self.args.iter().map(|arg| &self.raw[arg.clone()]));
                encode(&words)
            }
            Step::Exists => {
                let mut words: Vec<&[u8]> = vec![b"EXISTS"];
                words.extend((0..self.keys()).map(|key| self.key(key)));
                encode(&words)
            }
            Step::Plain | Step::Run => self.raw.clone(),
        }
    }
}

fn encode(words: &[&[u8]]) -> Bytes {
    let len: usize = words.iter().map(|word| word.len() + 16).sum();
    let mut out = Vec::with_capacity(len + 16);
    write_array(&mut out, words.len());
    for word in words {
        write_bulk(&mut out, word);
    }
    Bytes::from(out)
}

/// Where the keys are. An empty key is a key like any other; a missing one is none. A request that
/// is malformed has none.
fn key_places(args: &[Range<usize>], raw: &[u8]) -> Vec<Range<usize>> {
    let words: Vec<&[u8]> = args.iter().map(|arg| &raw[arg.clone()]).collect();
    let command = words.first().and_then(|name| command::lookup(name).ok());
    let command = command.and_then(|command| command.resolve(&words[..]).ok());
    let positions = command.and_then(|command| command.keys().positions(&words[..]));
    let positions = positions.into_iter().flatten();
    positions.map(|index| args[index].clone()).collect()
}

#[cfg(test)]
mod tests {
    use codis_core::resp::encode_command;

    use super::*;

    fn words(args: &[&str]) -> Words {
        let mut raw = Vec::new();
        encode_command(&mut raw, args);
        Words::new(&Bytes::from(raw))
    }

    fn sent(args: &[&str]) -> Bytes {
        let mut raw = Vec::new();
        encode_command(&mut raw, args);
        Bytes::from(raw)
    }

    #[test]
    fn keys_are_found_once_each() {
        for (args, keys) in [
            (&["GET", "k"][..], 1),
            (&["GET", ""], 1),
            (&["GET"], 0),
            (&["SUNIONSTORE", "{t}d", "{t}a", "{t}b", "{t}a"], 3),
            (&["MSET", "a", "1", "a", "2"], 1),
            (&["EVAL", "return 1", "2", "{t}a", "{t}b", "v"], 2),
            (&["EVAL", "return 1", "0", "v"], 0),
            (&["EVAL", "return 1", "x", "v"], 0),
            (
                &["XREAD", "COUNT", "1", "STREAMS", "{t}a", "{t}b", "0", "0"],
                2,
            ),
            (&["SORT", "{t}a", "STORE", "{t}b"], 2),
            (&["OBJECT", "ENCODING", "k"], 1),
            (&["NO-SUCH-COMMAND", "k"], 1),
            (&["SLOTSSCAN", "1", "0"], 0),
        ] {
            assert_eq!(words(args).keys(), keys, "{args:?}");
        }
        assert_eq!(Words::new(&Bytes::from_static(b"junk")).keys(), 0);
    }

    #[test]
    fn steps_are_sent_as_the_original_sends_them() {
        let set = words(&["SET", "k", "v"]);
        let target = "10.0.0.1:6379";
        assert_eq!(
            set.encode(Step::Move(0), target),
            sent(&["SLOTSMGRTTAGONE", "10.0.0.1", "6379", "3000", "k"])
        );
        assert_eq!(
            set.encode(Step::Wrap, target),
            sent(&["SLOTSMGRT-EXEC-WRAPPER", "k", "SET", "k", "v"])
        );
        assert_eq!(set.encode(Step::Run, target), sent(&["SET", "k", "v"]));
        let union = words(&["SUNION", "{t}a", "{t}b"]);
        assert_eq!(
            union.encode(Step::MoveWrapped(1), "[::1]:7"),
            sent(&[
                "SLOTSMGRT-EXEC-WRAPPER",
                "{t}b",
                "SLOTSMGRTTAGONE",
                "::1",
                "7",
                "3000",
                "{t}b"
            ])
        );
        assert_eq!(
            union.encode(Step::Exists, target),
            sent(&["EXISTS", "{t}a", "{t}b"])
        );
    }
}
