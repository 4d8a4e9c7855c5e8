//! Commands that the proxy answers by itself.
//!
//! They concern the connection, and a client's connection ends here; or any server would say the
//! same. `PING` without an argument is answered here too: it asks whether the proxy is alive, and a
//! random backend that is not would say nothing about the others.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use codis_core::command::{self, Args, Command, Local};
use codis_core::resp::{Protocol, Value, write_array, write_bulk};

use super::commands::Head;
use super::io::{Input, Io};
use super::lane::Lane;
use super::mapping;
use super::reply::{self, Reply};
use super::request::Outcome;

const LOLWUT: &str = concat!("Codis proxy ver. ", env!("CARGO_PKG_VERSION"), "\n");

impl Io {
    /// Gives `false`, and takes nothing, when the request has to wait for the replies before it:
    /// with another protocol come other connections, which must not overtake them. The first that
    /// asks for RESP3 waits until a server was asked whether it knows that.
    pub(super) fn run_local(&mut self, head: Head, local: Local, command: Command) -> bool {
        if matches!(local, Local::Hello | Local::Reset) && !self.session.is_answered() {
            return false;
        }
        if local == Local::Hello && self.arg(1) == Some(b"3") && self.asks_for_resp3() {
            return false;
        }
        if local == Local::Quit {
            let place = self.session.open(head.command, 0);
            self.input = Input::Refused;
            self.session.complete_last(place, Reply::Shared(reply::OK));
            return true;
        }
        let reply = self.local_reply(local, command);
        self.answer(head, reply, Outcome::Answered);
        true
    }

    /// Whether a server is being asked, the first time, whether it knows RESP3.
    fn asks_for_resp3(&self) -> bool {
        if !self.worker.takes_resp3() || self.worker.shared.knows_resp3.load(Ordering::Relaxed) {
            return false;
        }
        let lane = Lane {
            protocol: Protocol::Resp3,
            ..Lane::default()
        };
        let master = self.worker.any_master();
        master.is_some_and(|backend| {
            let conn = self.worker.conn(backend, 0, lane);
            conn.is_being_met(&self.session)
        })
    }

    /// A text for people, which RESP3 marks as such.
    pub(super) fn verbatim(&self, text: &str) -> Bytes {
        let text = Bytes::copy_from_slice(text.as_bytes());
        Value::verbatim(text).to_bytes_as(self.session.protocol())
    }

    fn local_reply(&mut self, local: Local, command: Command) -> Bytes {
        let known = command.takes(self.count());
        match local {
            Local::Auth => self.auth(),
            Local::Hello => self.hello(),
            Local::Reset if known => self.reset(),
            Local::Reset => reply::wrong_arguments("reset"),
            _ if !self.authenticated => reply::NO_AUTH,
            Local::Select => self.select(),
            Local::SlotsMapping => self.slots_mapping(),
            Local::SlowLog => self.slowlog(),
            Local::Client(part) => self.client(part, known),
            Local::Command => command::describe(self).to_bytes_as(self.session.protocol()),
            Local::Lolwut => self.verbatim(LOLWUT),
            Local::Echo if known => reply::bulk(self.get(1)),
            Local::Echo => reply::wrong_arguments("echo"),
            Local::Time if known => time(),
            Local::Time => reply::wrong_arguments("time"),
            Local::Quit => reply::OK,
        }
    }

    fn select(&mut self) -> Bytes {
        let (Some(index), None) = (self.arg(1), self.arg(2)) else {
            return reply::wrong_arguments("SELECT");
        };
        let databases = self.worker.settings().backend_number_databases;
        let number = std::str::from_utf8(index)
            .ok()
            .and_then(|text| text.parse::<i64>().ok());
        let Some(number) = number else {
            return reply::error("ERR invalid DB index");
        };
        match u16::try_from(number) {
            Ok(db) if db < databases => {
                self.db = db;
                reply::OK
            }
            Ok(_) | Err(_) => reply::error(&format!(
                "ERR invalid DB index, only accept DB [0,{databases})"
            )),
        }
    }

    fn slots_mapping(&self) -> Bytes {
        let table = self.worker.table.borrow();
        let protocol = self.session.protocol();
        match (self.arg(1), self.arg(2)) {
            (None, _) => mapping::all(&table, protocol),
            (Some(_), None) => self.slot_arg(1).map_or_else(
                |error| error,
                |slot| mapping::one(table.route(slot), protocol),
            ),
            (Some(_), Some(_)) => reply::wrong_arguments("SLOTSMAPPING"),
        }
    }
}

/// The wall clock: seconds, and microseconds of the second.
fn time() -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let mut out = Vec::with_capacity(40);
    write_array(&mut out, 2);
    write_bulk(&mut out, now.as_secs().to_string().as_bytes());
    write_bulk(&mut out, now.subsec_micros().to_string().as_bytes());
    Bytes::from(out)
}
