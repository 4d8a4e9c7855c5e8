//! The words of a request that waits for its key: its arguments, and which of them are keys.

use std::ops::Range;

use bytes::Bytes;
use codis_core::command::{self, Command, Handling};
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
        let name = args.first().map(word).unwrap_or_default();
        let mut keys: Vec<Range<usize>> = Vec::new();
        if let Ok(command) = command::lookup(name) {
            let mut seen = std::collections::BTreeSet::new();
            let places = key_places(&command, &args, raw);
            keys.extend(places.into_iter().filter(|key| seen.insert(word(key))));
        }
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

/// Where the keys are. An empty key is a key like any other; a missing one is none.
fn key_places(command: &Command, args: &[Range<usize>], raw: &[u8]) -> Vec<Range<usize>> {
    let number = |index: usize| -> usize {
        let word = args.get(index).map(|arg| &raw[arg.clone()]);
        let text = word.and_then(|word| std::str::from_utf8(word).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let counted = |at: usize| args.iter().skip(at + 1).take(number(at)).cloned().collect();
    let stride = match command.handling() {
        Handling::Split(command::Split::Mset) => 2,
        Handling::Split(_) => 1,
        Handling::Special(_) | Handling::Local(_) | Handling::Refuse => return Vec::new(),
        Handling::Forward => match command.name().as_bytes() {
            b"EVAL" | b"EVALSHA" | b"EVAL_RO" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" => {
                return counted(2);
            }
            b"ZUNIONSTORE" | b"ZINTERSTORE" | b"ZDIFFSTORE" => {
                let mut keys: Vec<_> = args.get(1).cloned().into_iter().collect();
                let more: Vec<_> = counted(2);
                keys.extend(more);
                return keys;
            }
            b"PFCOUNT" | b"PFMERGE" | b"SDIFF" | b"SINTER" | b"SUNION" | b"SDIFFSTORE"
            | b"SINTERSTORE" | b"SUNIONSTORE" => 1,
            b"SMOVE" | b"RPOPLPUSH" | b"LMOVE" | b"COPY" | b"GEOSEARCHSTORE" | b"ZRANGESTORE" => {
                return args.iter().skip(1).take(2).cloned().collect();
            }
            _ => return args.get(command.key()).cloned().into_iter().collect(),
        },
    };
    args.iter().skip(1).step_by(stride).cloned().collect()
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
