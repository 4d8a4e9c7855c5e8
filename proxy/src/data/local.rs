//! Commands that the proxy answers by itself.
//!
//! They concern the connection, and a client's connection ends here; or any server would say the
//! same. `PING` without an argument is answered here too: it asks whether the proxy is alive, and a
//! random backend that is not would say nothing about the others.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use codis_core::command::{self, Args, Command, Local};
use codis_core::resp::{write_array, write_bulk};

use super::commands::Head;
use super::io::{Input, Io};
use super::mapping;
use super::reply::{self, Reply};
use super::request::Outcome;

impl Io {
    pub(super) fn run_local(&mut self, head: Head, local: Local, command: Command) {
        if local == Local::Quit {
            let place = self.session.open(head.command, 0);
            self.input = Input::Refused;
            self.session.complete_last(place, Reply::Shared(reply::OK));
            return;
        }
        let reply = self.local_reply(local, command);
        self.answer(head, reply, Outcome::Answered);
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
            Local::Command => command::describe(self).to_bytes(),
            Local::Lolwut => lolwut(),
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
        match (self.arg(1), self.arg(2)) {
            (None, _) => mapping::all(&table),
            (Some(_), None) => self
                .slot_arg(1)
                .map_or_else(|error| error, |slot| mapping::one(table.route(slot))),
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

fn lolwut() -> Bytes {
    let text = concat!("Codis proxy ver. ", env!("CARGO_PKG_VERSION"), "\n");
    reply::bulk(text.as_bytes())
}
