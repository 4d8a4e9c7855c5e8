//! The commands of a sentinel.
//!
//! [`local`] answers what concerns only a session; the rest is answered here, in the event loop,
//! with the machine at hand. A handler changes the machine and says what the reply waits for
//! ([`Outcome`]); the loop does the waiting.

use bytes::Bytes;
use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::resp::Value;
use codis_core::time::Time;
use codis_sentinel_proto::Machine;
use codis_sentinel_proto::hello::{CHANNEL, Hello};
use codis_sentinel_proto::ids::SentinelId;

use super::render::bulk;
use super::{Answer, Request, Shared, table};
use crate::conf::{Globals, Server};
use crate::history::History;
use crate::infos::Infos;
use crate::links::pubsub::foreign_hello;
use crate::process::Process;
use crate::pubsub::{Hub, Kind};
use crate::scripts::Scripts;
use crate::simulate::Simulated;

mod about;
pub mod acl;
mod auth;
mod candidates;
mod client;
mod config;
mod debug;
mod hello;
mod history;
mod info;
pub mod local;
mod masters;
mod monitor;
mod queries;
mod sentinel;
mod set;

pub use queries::quorum_verdict;

/// What handlers work on.
pub struct Context<'a> {
    /// The moment of the request.
    pub now: Time,
    /// The machine.
    pub machine: &'a mut Machine,
    /// The settings without a master.
    pub globals: &'a mut Globals,
    /// The server directives, as they are written to the operator's file.
    pub server: &'a mut Server,
    /// The subscribers.
    pub hub: &'a mut Hub,
    /// The scripts.
    pub scripts: &'a mut Scripts,
    /// The last INFO of each server.
    pub infos: &'a Infos,
    /// The last failovers.
    pub history: &'a History,
    /// The failures to simulate.
    pub simulated: &'a mut Simulated,
    /// What sessions share.
    pub shared: &'a Shared,
    /// Facts about the process.
    pub process: &'a Process,
    /// Since when the machine is in TILT.
    pub tilt_since: Option<Time>,
    /// How often it went into TILT.
    pub tilts: u64,
}

impl Context<'_> {
    /// Makes the machine announce what the settings say.
    fn announce(&mut self) {
        let port = match self.globals.announce_port {
            0 => self.process.port_of_links,
            port => port,
        };
        let ip = self.globals.announce_ip.clone();
        self.machine.announce(self.now, ip, port);
        self.machine.set_names(self.now, self.globals.names());
    }

    /// Seconds in TILT; -1 when not.
    fn tilt_seconds(&self) -> i64 {
        self.tilt_since.map_or(-1, |since| {
            i64::try_from(self.now.since(since).as_secs()).unwrap_or(i64::MAX)
        })
    }
}

/// The answer to an order about a host that cannot be found.
pub const NO_SUCH_HOST: &str = "ERR Invalid IP address or hostname specified";

/// What becomes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// This is the answer.
    Answer(Answer),
    /// This is the answer once the machine's last snapshot is on disk.
    Durable(Value),
    /// The machine is asked for its opinion, and its answer is the answer.
    Asked {
        /// About which master.
        master: Addr,
        /// The asker's epoch.
        epoch: Epoch,
        /// Who wants the vote.
        candidate: Option<SentinelId>,
    },
    /// The machine is told, and the answer is 1.
    Hello(Option<Hello>),
    /// The request is tried again once this name is looked up, and refused with
    /// [`NO_SUCH_HOST`] when it leads nowhere.
    LookUp {
        /// The name.
        host: String,
    },
    /// The process ends.
    Shutdown,
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Self {
        Self::Answer(value.into())
    }
}

impl Outcome {
    /// An error; the text starts with its code.
    fn error(text: impl Into<String>) -> Self {
        Value::error(text.into().into_bytes()).into()
    }
}

/// Carries out a request.
pub fn run(context: &mut Context<'_>, request: &Request) -> Outcome {
    let args = &request.args;
    let Some(name) = args.first() else {
        return Outcome::error("ERR empty command");
    };
    match name.to_ascii_lowercase().as_slice() {
        b"acl" => acl::change::run(context, request),
        b"sentinel" => sentinel::run(context, args),
        b"info" => Value::bulk(info::text(context, &args[1..]).into_bytes()).into(),
        b"role" => {
            let names = context.machine.master_names().into_iter().map(bulk);
            Value::array([Value::bulk("sentinel"), Value::array(names)]).into()
        }
        b"publish" => publish(context, args),
        b"subscribe" => subscribe(context, request, Kind::Channels),
        b"psubscribe" => subscribe(context, request, Kind::Patterns),
        b"unsubscribe" => unsubscribe(context, request, Kind::Channels),
        b"punsubscribe" => unsubscribe(context, request, Kind::Patterns),
        b"shutdown" => shutdown(&args[1..]),
        _ => Value::error(table::unknown(args).into_bytes()).into(),
    }
}

/// `SHUTDOWN`. Nothing is saved or waited for, so its options only have to make sense.
fn shutdown(options: &[Bytes]) -> Outcome {
    let words: Vec<String> = options
        .iter()
        .map(|o| text(o).to_ascii_lowercase())
        .collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    let known = |w: &String| matches!(w.as_str(), "save" | "nosave" | "now" | "force" | "abort");
    let contradicts =
        has("save") && has("nosave") || has("abort") && words.iter().any(|w| w != "abort");
    if contradicts || !words.iter().all(known) {
        return Outcome::error("ERR syntax error");
    }
    if has("abort") {
        return Outcome::error("ERR No shutdown in progress.");
    }
    Outcome::Shutdown
}

fn publish(context: &Context<'_>, args: &[Bytes]) -> Outcome {
    let [_, channel, payload] = args else {
        return Outcome::error("ERR wrong number of arguments for 'publish' command");
    };
    if channel != CHANNEL.as_bytes() {
        return Outcome::error("ERR Only HELLO messages are accepted by Sentinel instances.");
    }
    let hello = std::str::from_utf8(payload).ok().and_then(|payload| {
        let names = context.globals.resolve_hostnames;
        foreign_hello(payload, &context.process.myid, names)
    });
    Outcome::Hello(hello)
}

fn subscribe(context: &mut Context<'_>, request: &Request, kind: Kind) -> Outcome {
    let names = &request.args[1..];
    let values = context
        .hub
        .subscribe(request.session, &request.outbox, kind, names);
    subscribed(context, request, values)
}

fn unsubscribe(context: &mut Context<'_>, request: &Request, kind: Kind) -> Outcome {
    let names = &request.args[1..];
    let values = context.hub.unsubscribe(request.session, kind, names);
    subscribed(context, request, values)
}

fn subscribed(context: &Context<'_>, request: &Request, values: Vec<Value>) -> Outcome {
    Outcome::Answer(Answer {
        values,
        subscriptions: Some(context.hub.count(request.session)),
        closing: false,
    })
}

/// An argument as text; bytes that are not UTF-8 are replaced.
fn text(arg: &Bytes) -> String {
    String::from_utf8_lossy(arg).into_owned()
}
