//! Commands that the proxy answers by itself.
//!
//! Beside those of Codis, some that today's clients send on connect: `HELLO`, `CLIENT SETINFO`,
//! `CLIENT SETNAME`, `COMMAND`. They concern a connection, and a client's connection ends here.
//! `PING` without an argument is answered here too: it asks whether the proxy is alive, and a
//! random backend that is not would say nothing about the others.

use bytes::Bytes;
use codis_core::command::{Command, Local, NAME_LEN_MAX};
use codis_core::resp::{write_array, write_bulk, write_integer};

use super::commands::Head;
use super::mapping;
use super::reply::{self, Reply};
use super::request::Outcome;
use super::session::{Input, Io};

/// Says that a client should speak as to a server of this version.
const SERVER_VERSION: &str = "7.0.0";

impl Io {
    /// `HELLO`, the harmless parts of `CLIENT`, and `SLOWLOG`; `None` for everything else.
    pub(super) fn answer_connection_command(&mut self, command: &Command) -> Option<Bytes> {
        match command.name().as_bytes() {
            b"HELLO" => Some(self.hello()),
            b"CLIENT" => self.client(),
            b"SLOWLOG" => Some(self.slowlog()),
            _ => None,
        }
    }

    /// Commands that any server answers alike, so that no backend needs to.
    pub(super) fn answer_forwardable(&self, command: &Command) -> Option<Bytes> {
        match command.name().as_bytes() {
            b"ECHO" => Some(match (self.arg(1), self.arg(2)) {
                (Some(message), None) => reply::bulk(message),
                _ => reply::wrong_arguments("ECHO"),
            }),
            b"COMMAND" => Some(
                if self
                    .arg(1)
                    .is_some_and(|a| a.eq_ignore_ascii_case(b"COUNT"))
                {
                    reply::integer(codis_core::command::COUNT as u64)
                } else {
                    reply::EMPTY
                },
            ),
            _ => None,
        }
    }

    pub(super) fn run_local(&mut self, head: Head, local: Local) {
        match local {
            Local::Quit => {
                let place = self.session.open(head.command, 0);
                self.input = Input::Refused;
                self.session.complete_last(place, Reply::Shared(reply::OK));
            }
            Local::Auth => {
                let reply = self.auth();
                self.answer(head, reply, Outcome::Answered);
            }
            Local::Select | Local::SlotsMapping if !self.authenticated => {
                self.answer(head, reply::NO_AUTH, Outcome::Answered);
            }
            Local::Select => {
                let reply = self.select();
                self.answer(head, reply, Outcome::Answered);
            }
            Local::SlotsMapping => {
                let reply = self.slots_mapping();
                self.answer(head, reply, Outcome::Answered);
            }
        }
    }

    fn auth(&mut self) -> Bytes {
        let wanted = self.worker.settings().session_auth.clone();
        let (Some(password), None) = (self.arg(1), self.arg(2)) else {
            return reply::wrong_arguments("AUTH");
        };
        if wanted.is_empty() {
            return reply::error("ERR Client sent AUTH, but no password is set");
        }
        self.authenticated = password == wanted.as_bytes();
        if self.authenticated {
            reply::OK
        } else {
            reply::error("ERR invalid password")
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

    /// `HELLO [2 [AUTH user password] [SETNAME name]]`. Only RESP2 is spoken.
    fn hello(&mut self) -> Bytes {
        if let Some(version) = self.arg(1)
            && version != b"2"
        {
            return reply::NO_PROTO;
        }
        let mut next = 2;
        while let Some(option) = self.arg(next) {
            if option.eq_ignore_ascii_case(b"AUTH") && self.arg(next + 2).is_some() {
                let given = self.arg(next + 2).unwrap_or_default();
                let wanted = self.worker.settings().session_auth.as_bytes();
                if wanted.is_empty() || given != wanted {
                    return reply::error("WRONGPASS invalid username-password pair");
                }
                self.authenticated = true;
                next += 3;
            } else if option.eq_ignore_ascii_case(b"SETNAME") && self.arg(next + 1).is_some() {
                self.session
                    .set_name(self.arg(next + 1).unwrap_or_default());
                next += 2;
            } else {
                return reply::error("ERR Syntax error in HELLO");
            }
        }
        if !self.authenticated {
            return reply::error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise \
                 the HELLO <proto> AUTH <user> <pass> option can be used",
            );
        }
        self.hello_reply()
    }

    fn hello_reply(&self) -> Bytes {
        let mut out = Vec::with_capacity(160);
        write_array(&mut out, 14);
        for text in ["server", "redis", "version", SERVER_VERSION, "proto"] {
            write_bulk(&mut out, text.as_bytes());
        }
        write_integer(&mut out, 2);
        write_bulk(&mut out, b"id");
        write_integer(&mut out, self.session.id as i64);
        for text in ["mode", "standalone", "role", "master", "modules"] {
            write_bulk(&mut out, text.as_bytes());
        }
        write_array(&mut out, 0);
        Bytes::from(out)
    }

    /// `CLIENT SETNAME | GETNAME | SETINFO | ID`; the other parts are not allowed.
    fn client(&mut self) -> Option<Bytes> {
        let mut part = [0u8; NAME_LEN_MAX];
        let word = self.arg(1)?;
        let part = part.get_mut(..word.len())?;
        part.copy_from_slice(word);
        part.make_ascii_uppercase();
        let known = matches!(&*part, b"SETNAME" | b"GETNAME" | b"SETINFO" | b"ID");
        if known && !self.authenticated {
            return Some(reply::NO_AUTH);
        }
        match &*part {
            b"SETNAME" => {
                self.session.set_name(self.arg(2)?);
                Some(reply::OK)
            }
            b"GETNAME" if self.session.name().is_empty() => Some(reply::NULL),
            b"GETNAME" => Some(reply::bulk(&self.session.name())),
            b"SETINFO" => Some(reply::OK),
            b"ID" => Some(reply::integer(self.session.id)),
            _ => None,
        }
    }
}
