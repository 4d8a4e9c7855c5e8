//! `CLIENT` for the connection that asks: name, library, number and line.
//!
//! What would need a change of behaviour that the proxy does not have (replies turned off, reads
//! that leave no trace) is refused, and so is everything about other connections.

use bytes::Bytes;
use codis_core::command::{Args, Client};
use codis_core::resp::Value;

use super::io::Io;
use super::reply;

/// What a connection remembers for this command alone.
#[derive(Debug)]
pub(super) struct Own {
    /// When it began, in microseconds of the worker's clock.
    born: u64,
    library: Option<Box<Library>>,
}

impl Own {
    pub(super) const fn new(born: u64) -> Self {
        let library = None;
        Self { born, library }
    }
}

/// What a client says of its library.
#[derive(Debug, Default)]
struct Library {
    name: Vec<u8>,
    version: Vec<u8>,
}

/// Bytes of a name, or of the name or version of a library.
const NAME_BYTES_MAX: usize = 1024;

impl Io {
    /// A sub-command of `CLIENT`; `known` is whether it has the right number of arguments.
    pub(super) fn client(&mut self, part: Client, known: bool) -> Bytes {
        if !known {
            let part = self.arg_text(1).to_ascii_lowercase();
            return reply::wrong_arguments(&format!("client|{part}"));
        }
        match part {
            Client::Id => reply::integer(self.session.id),
            Client::GetName if self.session.name().is_empty() => {
                Value::Null.to_bytes_as(self.session.protocol())
            }
            Client::GetName => reply::bulk(&self.session.name()),
            Client::SetName => self.set_name(),
            Client::SetInfo => self.set_info(),
            Client::Info => self.verbatim(&self.line()),
            Client::List => self.list(),
            // No client is ever evicted.
            Client::NoEvict => self.only(&["ON", "OFF"]),
            Client::NoTouch => self.only(&["OFF"]),
            Client::Reply => self.only(&["ON"]),
            // A capability is what the server may use; this one has no need to.
            Client::Capa => reply::OK,
        }
    }

    fn set_name(&self) -> Bytes {
        let name = self.get(2);
        if !is_plain(name) {
            return bad_name();
        }
        self.session.set_name(name);
        reply::OK
    }

    fn set_info(&mut self) -> Bytes {
        let (option, value) = (self.get(2), self.get(3));
        let named = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let is_version = named("LIB-VER");
        if !is_version && !named("LIB-NAME") {
            let option = self.arg_text(2);
            return reply::error(&format!("ERR Unrecognized option '{option}'"));
        }
        if !is_plain(value) {
            let option = self.arg_text(2).to_ascii_lowercase();
            return reply::error(&format!(
                "ERR {option} cannot contain spaces, newlines or special characters."
            ));
        }
        let value = value.to_vec();
        let library = self.own.library.get_or_insert_default();
        if is_version {
            library.version = value;
        } else {
            library.name = value;
        }
        reply::OK
    }

    /// Takes one of `words` as argument 2, and refuses what else Redis would take.
    fn only(&self, words: &[&str]) -> Bytes {
        let given = self.get(2);
        let is = |word: &&str| given.eq_ignore_ascii_case(word.as_bytes());
        if words.iter().any(is) {
            return reply::OK;
        }
        if ["ON", "OFF", "SKIP"].iter().any(is) {
            return reply::not_allowed("CLIENT");
        }
        reply::error("ERR syntax error")
    }

    /// `LIST [TYPE type | ID id ...]`, of which only the own connection is told.
    fn list(&self) -> Bytes {
        let is = |index, word: &str| self.get(index).eq_ignore_ascii_case(word.as_bytes());
        let shown = if self.count() == 2 {
            true
        } else if self.count() == 4 && is(2, "TYPE") {
            let types = ["normal", "master", "replica", "slave", "pubsub"];
            if !types.iter().any(|kind| is(3, kind)) {
                let kind = self.arg_text(3);
                return reply::error(&format!("ERR Unknown client type '{kind}'"));
            }
            is(3, "normal")
        } else if self.count() > 3 && is(2, "ID") {
            let ids = (3..self.count()).map(|index| {
                let text = std::str::from_utf8(self.get(index));
                text.ok().and_then(|text| text.parse::<u64>().ok())
            });
            let Some(ids) = ids.collect::<Option<Vec<u64>>>() else {
                return reply::error("ERR Invalid client ID");
            };
            ids.contains(&self.session.id)
        } else {
            return reply::error("ERR syntax error");
        };
        let line = if shown { self.line() } else { String::new() };
        self.verbatim(&line)
    }

    /// The members that Redis has, as far as they mean something here.
    fn line(&self) -> String {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let library = self.own.library.as_deref();
        let address = self.stream.local_addr();
        let now = self.worker.local.now();
        let age = now.saturating_sub(self.own.born) / 1_000_000;
        let buffer = self.buf.capacity();
        let pairs = [
            ("id", self.session.id.to_string()),
            ("addr", self.session.peer()),
            (
                "laddr",
                address.map_or_else(String::new, |addr| addr.to_string()),
            ),
            ("fd", "-1".to_owned()),
            ("name", shown(&self.session.name())),
            ("age", age.to_string()),
            ("idle", "0".to_owned()),
            ("flags", "N".to_owned()),
            ("db", self.db.to_string()),
            ("sub", "0".to_owned()),
            ("psub", "0".to_owned()),
            ("ssub", "0".to_owned()),
            ("multi", "-1".to_owned()),
            ("watch", "0".to_owned()),
            ("qbuf", self.buf.len().to_string()),
            ("qbuf-free", (buffer - self.buf.len()).to_string()),
            ("argv-mem", "0".to_owned()),
            ("multi-mem", "0".to_owned()),
            ("rbs", "0".to_owned()),
            ("rbp", "0".to_owned()),
            ("obl", "0".to_owned()),
            ("oll", "0".to_owned()),
            ("omem", "0".to_owned()),
            ("tot-mem", (buffer + size_of::<Self>()).to_string()),
            ("events", "r".to_owned()),
            (
                "cmd",
                format!("client|{}", self.arg_text(1).to_ascii_lowercase()),
            ),
            ("user", "default".to_owned()),
            ("redir", "-1".to_owned()),
            ("resp", self.session.protocol().number().to_string()),
            (
                "lib-name",
                library.map(|l| shown(&l.name)).unwrap_or_default(),
            ),
            (
                "lib-ver",
                library.map(|l| shown(&l.version)).unwrap_or_default(),
            ),
        ];
        let words = pairs.map(|(key, value)| format!("{key}={value}"));
        words.join(" ") + "\n"
    }
}

/// Whether a name can stand in a line of `CLIENT LIST`.
pub(super) fn is_plain(name: &[u8]) -> bool {
    name.len() <= NAME_BYTES_MAX && name.iter().all(|byte| matches!(byte, b'!'..=b'~'))
}

pub(super) fn bad_name() -> Bytes {
    reply::error("ERR Client names cannot contain spaces, newlines or special characters.")
}
