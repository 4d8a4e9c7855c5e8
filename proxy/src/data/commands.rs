//! What happens to one request: refused, answered here, split, or forwarded.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use codis_core::command::{self, Access, Args, Command, CrossSlot, Handling, Name, Special};
use codis_core::resp::encode_command;
use codis_core::slot::SlotId;

use super::counters::{COMMAND_BAD, COMMAND_UNKNOWN};
use super::io::Io;
use super::lane::Lane;
use super::raw::Raw;
use super::reply::{self, Reply};
use super::request::{Origin, Outcome, Request, SplitCommand};
use super::split::{Kind, Split};
use super::worker::Target;
use crate::settings::CrossSlots;

/// What a request needs beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Length in the buffer.
    pub len: usize,
    /// Index of the command's counters.
    pub command: u16,
    /// Which servers may run it.
    pub access: Access,
}

impl Args for Io {
    fn count(&self) -> usize {
        self.scanner.args().len()
    }

    fn get(&self, index: usize) -> &[u8] {
        self.arg(index).unwrap_or_default()
    }
}

impl Io {
    /// Handles the request that fills the first `len` bytes of the buffer. Gives `false`, and
    /// takes nothing, when there is no room for it: the session is woken when there is.
    pub(super) fn handle(&mut self, len: usize) -> bool {
        let Some(name) = self.scanner.args().first() else {
            self.buf.advance(len);
            return true;
        };
        let Ok(command) = command::lookup(&self.buf[name.clone()]) else {
            let head = Head {
                len,
                command: COMMAND_BAD as u16,
                access: Access::Write,
            };
            self.answer(head, reply::BAD_COMMAND_LENGTH, Outcome::Refused);
            return true;
        };
        let index = command.index().unwrap_or(COMMAND_UNKNOWN) as u16;
        let mut head = Head {
            len,
            command: index,
            access: command.access(),
        };
        let command = match command.resolve(self) {
            Ok(command) => command,
            Err(refusal) => {
                self.answer(head, reply::error(&refusal.to_string()), Outcome::Refused);
                return true;
            }
        };
        head.access = command.access();
        match command.handling() {
            Handling::Forward | Handling::Unblocked if self.authenticated => {
                self.forward(head, command)
            }
            Handling::Split(split) if self.authenticated => self.split(head, split, command),
            Handling::Special(special) if self.authenticated => self.special(head, special),
            Handling::Local(local) => self.run_local(head, local, command),
            Handling::Forward
            | Handling::Unblocked
            | Handling::Split(_)
            | Handling::Special(_)
            | Handling::Parts(_)
            | Handling::Refuse => {
                self.answer(head, reply::NO_AUTH, Outcome::Answered);
                true
            }
        }
    }

    /// The bytes of argument `index`, if there is one.
    pub(super) fn arg(&self, index: usize) -> Option<&[u8]> {
        let place = self.scanner.args().get(index)?;
        Some(&self.buf[place.clone()])
    }

    /// Argument `index` as text for an error.
    pub(super) fn arg_text(&self, index: usize) -> String {
        String::from_utf8_lossy(self.arg(index).unwrap_or_default()).into_owned()
    }

    /// Takes the request off the buffer and answers it.
    pub(super) fn answer(&mut self, head: Head, reply: Bytes, outcome: Outcome) {
        let logged = self.worker.local.is_slow(0).then(|| self.encode_args());
        self.buf.advance(head.len);
        // Its bytes count although it keeps none: they share a buffer with requests that wait.
        let place = self.session.open(head.command, head.len);
        let took = self.session.complete(place, Reply::Shared(reply), outcome);
        if let Some(raw) = logged {
            let now = self.worker.local.now();
            self.session.note_time(took, now, &raw, "");
        }
    }

    /// The request as a multi-bulk.
    fn encode_args(&self) -> Vec<u8> {
        let places = self.scanner.args().iter();
        let args: Vec<&[u8]> = places.map(|place| &self.buf[place.clone()]).collect();
        let mut raw = Vec::new();
        encode_command(&mut raw, &args);
        raw
    }

    /// The request as it goes to a backend: its own bytes, or the same arguments as a multi-bulk
    /// when a server would not take those.
    pub(super) fn take_raw(&mut self, len: usize) -> Raw {
        if self.scanner.is_verbatim() {
            return self.buf.take(len);
        }
        let raw = self.encode_args();
        self.buf.advance(len);
        Raw::from(Bytes::from(raw))
    }

    fn lane(&self) -> Lane {
        Lane {
            number: self.lane,
            protocol: self.session.protocol(),
        }
    }

    fn forward(&mut self, head: Head, command: Command) -> bool {
        let slot = match command.only_slot(self) {
            Ok(slot) => slot,
            Err(CrossSlot) if self.worker.settings().proxy_cross_slot == CrossSlots::First => {
                command.slot(self)
            }
            Err(refusal) => {
                self.answer(head, reply::error(&refusal.to_string()), Outcome::Refused);
                return true;
            }
        };
        self.forward_to(head, slot)
    }

    fn forward_to(&mut self, head: Head, slot: SlotId) -> bool {
        let lane = self.lane();
        let target = self.worker.target(slot, head.access, self.db, lane);
        match target {
            Target::To(backend) => {
                let conn = self.worker.conn(backend, self.db, lane);
                if conn.is_full(&self.session) {
                    return false;
                }
                let raw = self.take_raw(head.len);
                let request = self.request(head, raw, Some(slot));
                conn.push(&self.worker, request);
            }
            Target::Park | Target::Migrate(_) => {
                if !self.worker.admits(head.len) {
                    self.answer(head, reply::SLOT_WAIT_FULL, Outcome::Failed);
                    return true;
                }
                let raw = self.take_raw(head.len);
                let request = self.request(head, raw, Some(slot));
                self.worker.dispatch(request);
            }
            Target::Offline => self.answer(head, reply::SLOT_NOT_READY, Outcome::Failed),
        }
        true
    }

    fn request(&self, head: Head, raw: Raw, slot: Option<SlotId>) -> Request {
        let place = self.session.open(head.command, head.len);
        Request {
            raw,
            origin: Origin::Session(self.session.clone(), place),
            ticket: self.worker.next_ticket(),
            since: self.worker.local.now(),
            slot,
            db: self.db,
            lane: self.lane(),
            access: head.access,
            attempts: 0,
        }
    }

    fn split(&mut self, head: Head, split: command::Split, command: Command) -> bool {
        let kind = match split {
            command::Split::Mget => Kind::Gather,
            command::Split::Mset => Kind::Set,
            command::Split::Del
            | command::Split::Unlink
            | command::Split::Exists
            | command::Split::Touch => Kind::Count,
        };
        let words = self.scanner.args().len() - 1;
        if words == 0 || !words.is_multiple_of(kind.stride()) {
            let reply = reply::wrong_arguments(&Name::shown(self.get(0)));
            self.answer(head, reply, Outcome::Answered);
            return true;
        }
        if words == kind.stride() {
            return self.forward_to(head, command.slot(self));
        }
        match self.has_room_for_all(head, kind) {
            Some(true) => {}
            Some(false) => return false,
            None => {
                self.answer(head, reply::SLOT_WAIT_FULL, Outcome::Failed);
                return true;
            }
        }
        let args: Vec<Range<usize>>;
        let raw;
        if !self.scanner.is_verbatim() {
            raw = self.take_raw(head.len);
            args = places(&raw);
        } else {
            args = self.scanner.args().to_vec();
            raw = self.buf.take(head.len);
        }
        let whole = Split::new(kind, raw.to_bytes(), &args);
        let request = self.request(head, raw, None);
        let Origin::Session(session, place) = request.origin.clone() else {
            return true;
        };
        let command = Rc::new(SplitCommand {
            session,
            place,
            split: whole.into(),
            outcome: Outcome::Answered.into(),
        });
        self.worker.dispatch(Request {
            origin: Origin::Part(command, 0),
            ..request
        });
        true
    }

    /// Whether every backend that a split command goes to has room in its queue; `None` when there
    /// is no room to wait for one of its slots.
    fn has_room_for_all(&self, head: Head, kind: Kind) -> Option<bool> {
        let lane = self.lane();
        let mut seen: Option<Target> = None;
        for key in self.scanner.args().iter().skip(1).step_by(kind.stride()) {
            let slot = SlotId::of_key(&self.buf[key.clone()]);
            let target = self.worker.target(slot, head.access, self.db, lane);
            if seen == Some(target) {
                continue;
            }
            seen = Some(target);
            let full = match target {
                Target::To(backend) => self
                    .worker
                    .conn(backend, self.db, lane)
                    .is_full(&self.session),
                Target::Park | Target::Migrate(_) if !self.worker.admits(head.len) => {
                    return None;
                }
                Target::Park | Target::Migrate(_) | Target::Offline => false,
            };
            if full {
                return Some(false);
            }
        }
        Some(true)
    }

    fn special(&mut self, head: Head, special: Special) -> bool {
        let words = self.scanner.args().len() - 1;
        match special {
            Special::Ping if words == 0 => self.answer(head, reply::PONG, Outcome::Answered),
            Special::Info if words == 0 => {
                let slot = (self.worker.next_ticket() % codis_core::slot::SLOTS as u64) as u16;
                return self.forward_to(head, SlotId::new(slot).unwrap_or_default());
            }
            Special::Info if words == 1 && self.get(1).eq_ignore_ascii_case(b"proxy") => {
                let text = self.worker.shared.info.text();
                self.answer(head, self.verbatim(&text), Outcome::Answered);
            }
            Special::SlotsInfo if words != 1 => {
                let reply = reply::wrong_arguments("SLOTSINFO");
                self.answer(head, reply, Outcome::Answered);
            }
            Special::Ping if words == 1 && !self.names_backend(1) => {
                let echo = reply::bulk(self.get(1));
                self.answer(head, echo, Outcome::Answered);
            }
            Special::Ping | Special::Info | Special::SlotsInfo => {
                return self.send_to_address(head);
            }
            Special::SlotsScan => return self.slots_scan(head),
        }
        true
    }

    fn names_backend(&self, index: usize) -> bool {
        let address = std::str::from_utf8(self.get(index));
        address.is_ok_and(|address| self.worker.table.borrow().find(address).is_some())
    }

    /// Forwards a request to the backend that argument 1 names, without that argument.
    fn send_to_address(&mut self, head: Head) -> bool {
        let address = self.arg_text(1);
        let found = self.worker.table.borrow().find(&address);
        let Some(backend) = found else {
            self.answer(head, reply::no_backend(&address), Outcome::Answered);
            return true;
        };
        let conn = self.worker.conn(backend, self.db, self.lane());
        if conn.is_full(&self.session) {
            return false;
        }
        let kept = self
            .scanner
            .args()
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != 1);
        let args: Vec<&[u8]> = kept.map(|(_, arg)| &self.buf[arg.clone()]).collect();
        let mut raw = Vec::new();
        encode_command(&mut raw, &args);
        self.buf.advance(head.len);
        let request = self.request(head, Raw::from(Bytes::from(raw)), None);
        conn.push(&self.worker, request);
        true
    }

    fn slots_scan(&mut self, head: Head) -> bool {
        if self.scanner.args().len() < 3 {
            let reply = reply::wrong_arguments("SLOTSSCAN");
            self.answer(head, reply, Outcome::Answered);
            return true;
        }
        match self.slot_arg(1) {
            Ok(slot) => self.forward_to(head, slot),
            Err(reply) => {
                self.answer(head, reply, Outcome::Answered);
                true
            }
        }
    }

    /// Argument `index` as a slot, or the error for the client.
    pub(super) fn slot_arg(&self, index: usize) -> Result<SlotId, Bytes> {
        let text = self.arg_text(index);
        let failed = |why: &str| reply::error(&format!("ERR parse slotnum '{text}' failed, {why}"));
        let number: i64 = text.parse().map_err(|_| failed("invalid syntax"))?;
        u16::try_from(number)
            .ok()
            .and_then(SlotId::new)
            .ok_or_else(|| failed("out of range"))
    }
}

/// Where the arguments are in a request that this proxy encoded itself.
fn places(raw: &[u8]) -> Vec<Range<usize>> {
    let limits = codis_core::resp::Limits::default();
    let mut scanner = codis_core::resp::RequestScanner::new(limits);
    match scanner.scan(raw) {
        Ok(Some(_)) => scanner.args().to_vec(),
        Ok(None) | Err(_) => Vec::new(),
    }
}
