//! `SLOWLOG` about the proxy's own slow requests, in the reply shape of Redis.

use bytes::Bytes;
use codis_core::resp::{write_array, write_bulk, write_integer, write_simple};

use super::io::Io;
use super::reply;
use super::slow::{self, Entry};

/// Entries that `SLOWLOG GET` gives without a number.
const GET_DEFAULT: usize = 10;
const HELP: [&str; 9] = [
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    The latest slow requests of this proxy (default: 10, -1 is all): id, time, microseconds,",
    "    arguments, client address, client name.",
    "LEN",
    "    How many slow requests are kept.",
    "RESET",
    "    Forgets them.",
    "HELP",
];

impl Io {
    /// `SLOWLOG GET [n] | LEN | RESET | HELP`.
    pub(super) fn slowlog(&self) -> Bytes {
        let Some(part) = self.arg(1) else {
            return reply::wrong_arguments("SLOWLOG");
        };
        let shared = &self.worker.shared;
        let is = |name: &str| part.eq_ignore_ascii_case(name.as_bytes());
        match (self.arg(2), self.arg(3)) {
            (count, None) if is("GET") => self.slowlog_get(count),
            (None, None) if is("LEN") => reply::integer(slow::len(shared.slow()) as u64),
            (None, None) if is("RESET") => {
                slow::reset(shared.slow());
                reply::OK
            }
            (None, None) if is("HELP") => help(),
            (_, _) if ["GET", "LEN", "RESET", "HELP"].into_iter().any(is) => {
                reply::wrong_arguments(&format!("SLOWLOG|{}", self.arg_text(1).to_uppercase()))
            }
            (_, _) => {
                let part = self.arg_text(1);
                reply::error(&format!(
                    "ERR unknown subcommand '{part}'. Try SLOWLOG HELP."
                ))
            }
        }
    }

    fn slowlog_get(&self, count: Option<&[u8]>) -> Bytes {
        let count = match count.map(|text| std::str::from_utf8(text).map(str::parse::<i64>)) {
            None => GET_DEFAULT,
            Some(Ok(Ok(-1))) => usize::MAX,
            Some(Ok(Ok(count))) => match usize::try_from(count) {
                Ok(count) => count,
                Err(_) => {
                    return reply::error("ERR count should be greater than or equal to -1");
                }
            },
            Some(Ok(Err(_)) | Err(_)) => {
                return reply::error("ERR value is not an integer or out of range");
            }
        };
        let entries = slow::latest(self.worker.shared.slow(), count);
        let mut out = Vec::new();
        write_array(&mut out, entries.len());
        for entry in entries {
            write_entry(&mut out, &entry);
        }
        Bytes::from(out)
    }
}

/// Exactly the members of Redis: client libraries fail on more.
fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    write_array(out, 6);
    for number in [entry.id, entry.time, entry.micros] {
        write_integer(out, i64::try_from(number).unwrap_or(i64::MAX));
    }
    write_array(out, entry.args.len());
    for arg in &entry.args {
        write_bulk(out, arg);
    }
    write_bulk(out, entry.client.as_bytes());
    write_bulk(out, &entry.name);
}

fn help() -> Bytes {
    let mut out = Vec::new();
    write_array(&mut out, HELP.len());
    for line in HELP {
        write_simple(&mut out, line.as_bytes());
    }
    Bytes::from(out)
}
