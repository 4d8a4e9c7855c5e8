//! The list of sessions, for CLIENT LIST and the limit of clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use crate::pubsub::SessionId;

/// All sessions.
#[derive(Debug, Default)]
pub struct Clients {
    rows: BTreeMap<SessionId, Client>,
    last_id: SessionId,
}

/// One session, as CLIENT LIST shows it.
#[derive(Debug)]
pub struct Client {
    /// Both ends of its connection.
    pub ends: Ends,
    /// Its name, by CLIENT SETNAME.
    pub name: String,
    /// When it connected.
    pub since: Instant,
    /// When it last sent something.
    pub active: Instant,
    /// Subscriptions.
    pub subscriptions: usize,
    /// The last command.
    pub command: String,
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
            since: now,
            active: now,
            subscriptions: 0,
            command: "NULL".into(),
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

    /// Sessions with a subscription.
    pub fn subscribers(&self) -> usize {
        self.rows.values().filter(|c| c.subscriptions > 0).count()
    }

    /// The line of one session.
    pub fn line(&self, id: SessionId) -> Option<String> {
        self.rows.get(&id).map(|client| line(id, client))
    }

    /// The lines of all.
    pub fn lines(&self) -> String {
        self.rows
            .iter()
            .map(|(&id, c)| line(id, c) + "\n")
            .collect()
    }
}

fn line(id: SessionId, client: &Client) -> String {
    let Client {
        ends,
        name,
        since,
        active,
        subscriptions,
        command,
    } = client;
    let (age, idle) = (since.elapsed().as_secs(), active.elapsed().as_secs());
    let Ends { addr, local, unix } = ends;
    let flags = match (*subscriptions > 0, *unix) {
        (true, true) => "PU",
        (true, false) => "P",
        (false, true) => "U",
        (false, false) => "N",
    };
    format!(
        "id={id} addr={addr} laddr={local} fd=-1 name={name} age={age} idle={idle} flags={flags} \
         db=0 sub={subscriptions} psub=0 ssub=0 multi=-1 cmd={command} user=default resp=2"
    )
}
