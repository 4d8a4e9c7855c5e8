//! The list of sessions, for CLIENT LIST, CLIENT KILL and the limit of clients.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use codis_core::resp::Protocol;

use super::outbox::{Limit, Outbox};
use crate::pubsub::{Count, SessionId};

mod filter;
mod tracking;

pub use filter::{Filter, Type};
pub use tracking::{Caching, Choice, Tracking};

/// All sessions.
#[derive(Debug, Default)]
pub struct Clients {
    rows: BTreeMap<SessionId, Client>,
    last_id: SessionId,
    /// Of the messages of each.
    limit: Limit,
}

/// One session, as CLIENT LIST shows it.
#[derive(Debug)]
pub struct Client {
    /// Both ends of its connection.
    pub ends: Ends,
    /// Its name, by CLIENT SETNAME.
    pub name: String,
    /// The client library and its version, by CLIENT SETINFO.
    pub library: [String; 2],
    /// Who it is, by AUTH.
    pub user: String,
    /// When it connected.
    pub since: Instant,
    /// When it last sent something.
    pub active: Instant,
    /// Subscriptions.
    pub subscriptions: Count,
    /// The last command, and its subcommand after a `|`.
    pub command: String,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// CLIENT NO-EVICT; without effect, as a sentinel evicts no clients.
    pub no_evict: bool,
    /// CLIENT TRACKING; without effect, as a sentinel has no keys.
    pub tracking: Option<Tracking>,
    /// Memory.
    pub buffers: Buffers,
    /// Its messages.
    pub outbox: Arc<Outbox>,
}

/// Bytes that a session holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buffers {
    /// Read and not yet understood.
    pub query: usize,
    /// Room for more of that.
    pub query_free: usize,
    /// Words of the request at hand.
    pub words: usize,
    /// Room for replies.
    pub output: usize,
    /// Replies that wait to be written.
    pub output_used: usize,
}

/// Both ends of a connection, as CLIENT LIST shows them.
#[derive(Debug, Clone)]
pub struct Ends {
    /// The peer.
    pub addr: String,
    /// The local end.
    pub local: String,
    /// It is a unix socket.
    pub unix: bool,
}

impl Ends {
    /// Of a TCP connection.
    pub fn tcp(addr: SocketAddr, local: SocketAddr) -> Self {
        Self {
            addr: addr.to_string(),
            local: local.to_string(),
            unix: false,
        }
    }

    /// Of a unix socket: its path stands for both.
    pub fn unix(path: &Path) -> Self {
        let text = format!("{}:0", path.display());
        Self {
            addr: text.clone(),
            local: text,
            unix: true,
        }
    }
}

impl Clients {
    /// No sessions yet; `limit` is that of the messages of each.
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Adds a session and gives it a number, unless there are `max` already.
    pub fn add(&mut self, ends: Ends, max: usize) -> Option<SessionId> {
        if self.rows.len() >= max {
            return None;
        }
        self.last_id += 1;
        let now = Instant::now();
        let client = Client {
            ends,
            name: String::new(),
            library: Default::default(),
            user: "default".into(),
            since: now,
            active: now,
            subscriptions: Count::default(),
            command: "NULL".into(),
            protocol: Protocol::default(),
            no_evict: false,
            tracking: None,
            buffers: Buffers::default(),
            outbox: Arc::new(Outbox::new(self.limit)),
        };
        self.rows.insert(self.last_id, client);
        Some(self.last_id)
    }

    /// Removes a session.
    pub fn remove(&mut self, id: SessionId) {
        self.rows.remove(&id);
    }

    /// Changes a session.
    pub fn update(&mut self, id: SessionId, change: impl FnOnce(&mut Client)) {
        if let Some(client) = self.rows.get_mut(&id) {
            change(client);
        }
    }

    /// Reads a session.
    pub fn get(&self, id: SessionId) -> Option<&Client> {
        self.rows.get(&id)
    }

    /// Sessions.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The sessions.
    pub fn all(&self) -> impl Iterator<Item = (SessionId, &Client)> {
        self.rows.iter().map(|(&id, client)| (id, client))
    }

    /// Ends the sessions that a filter selects, but for `own`, which has to end by itself. How many
    /// were selected, and whether `own` was among them.
    pub fn kill(&self, filter: &Filter, own: SessionId) -> (usize, bool) {
        let mut count = 0;
        let mut own_too = false;
        for (id, client) in self.all() {
            if !filter.selects(id, client, own) {
                continue;
            }
            count += 1;
            if id == own {
                own_too = true;
            } else {
                client.outbox.cut();
            }
        }
        (count, own_too)
    }

    /// The line of one session, with its line end.
    pub fn line(&self, id: SessionId) -> Option<String> {
        self.rows.get(&id).map(|client| line(id, client))
    }

    /// The lines of the sessions that a filter selects.
    pub fn lines(&self, selects: impl Fn(&Client) -> bool) -> String {
        let selected = self.all().filter(|(_, client)| selects(client));
        selected.map(|(id, client)| line(id, client)).collect()
    }
}

/// What CLIENT LIST of Redis 7.2 tells, in its order.
fn line(id: SessionId, client: &Client) -> String {
    let Client {
        ends,
        name,
        library: [lib_name, lib_ver],
        user,
        since,
        active,
        subscriptions: Count { channels, patterns },
        command,
        protocol,
        no_evict: _,
        tracking,
        buffers,
        outbox,
    } = client;
    let (age, idle) = (since.elapsed().as_secs(), active.elapsed().as_secs());
    let Ends { addr, local, .. } = ends;
    let flags = flags(client);
    let redirect = tracking.as_ref().map_or(-1, |tracking| tracking.redirect);
    let resp = protocol.number();
    let Buffers {
        query,
        query_free,
        words,
        output,
        output_used,
    } = buffers;
    let (messages, message_bytes) = outbox.depth();
    let total = size_of::<Client>() + query + query_free + words + output + message_bytes;
    let events = if *output_used > 0 { "rw" } else { "r" };
    let mut out = String::with_capacity(400);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "id={id} addr={addr} laddr={local} fd=-1 name={name} age={age} idle={idle} flags={flags} \
         db=0 sub={channels} psub={patterns} ssub=0 multi=-1 qbuf={query} qbuf-free={query_free} \
         argv-mem={words} multi-mem=0 rbs={output} rbp={output_used} obl={output_used} \
         oll={messages} omem={message_bytes} tot-mem={total} events={events} cmd={command} \
         user={user} redir={redirect} resp={resp} lib-name={lib_name} lib-ver={lib_ver}"
    );
    out.push('\n');
    out
}

/// The letters for what is special about a session; `N` for nothing.
fn flags(client: &Client) -> String {
    let tracking = client.tracking.as_ref();
    let letters = [
        ('P', client.subscriptions.all() > 0),
        ('t', tracking.is_some()),
        ('B', tracking.is_some_and(|tracking| tracking.broadcast)),
        ('U', client.ends.unix),
        ('e', client.no_evict),
    ];
    let set = letters.iter().filter(|(_, set)| *set).map(|(c, _)| *c);
    let flags: String = set.collect();
    if flags.is_empty() { "N".into() } else { flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_of_redis() {
        let mut clients = Clients::default();
        let addr: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let ends = Ends::tcp(addr, addr);
        let id = clients.add(ends.clone(), 1).unwrap();
        assert_eq!(clients.add(ends, 1), None);
        clients.update(id, |client| {
            client.subscriptions.channels = 2;
            client.no_evict = true;
            client.library[0] = "lib".into();
        });
        let line = clients.line(id).unwrap();
        let names: Vec<&str> = line
            .trim_end()
            .split(' ')
            .map(|field| field.split_once('=').unwrap().0)
            .collect();
        let expected = "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free \
                        argv-mem multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp \
                        lib-name lib-ver";
        assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
        assert!(line.contains(" flags=Pe db=0 sub=2 psub=0 "), "{line}");
        assert!(line.contains(" cmd=NULL user=default redir=-1 resp=2 lib-name=lib "));
    }
}
