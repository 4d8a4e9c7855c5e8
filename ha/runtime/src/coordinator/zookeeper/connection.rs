//! One session with the ensemble, and a new one when that has ended.
//!
//! The client library finds another server by itself when a connection breaks, and keeps the
//! session that way. What it sends while it is not connected would wait for as long as that takes,
//! so nothing is sent before the session is connected: what could not be sent was not done.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use zookeeper_client::{Client, Error as Fault, SessionState};

use super::nodes::directory;
use crate::coordinator::{At, CALL_MAX, Credentials, Error, OpenError};

/// Silence after which a connection counts as broken, when the session is long enough for that.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The way to an ensemble.
#[derive(Debug)]
pub struct Connection {
    /// `host:port,host:port`.
    servers: String,
    /// The node that all paths are below; empty for the root.
    root: String,
    auth: Option<Credentials>,
    session: Duration,
    client: Mutex<Option<Client>>,
}

impl Connection {
    /// Reads `host:port,host:port/root`.
    pub fn parse(
        addr: &str,
        auth: Option<Credentials>,
        session: Duration,
    ) -> Result<Self, OpenError> {
        let invalid = |reason: &str| OpenError::address("zookeeper", addr, reason);
        let (servers, root) = match addr.find('/') {
            Some(at) => addr.split_at(at),
            None => (addr, ""),
        };
        let root = root.trim_end_matches('/');
        if !root.is_empty() {
            super::path::check(root).map_err(|error| invalid(&error.to_string()))?;
        }
        for server in servers.split(',') {
            check_server(server.trim())
                .ok_or_else(|| invalid("expected host:port,host:port/root"))?;
        }
        Ok(Self {
            servers: servers
                .split(',')
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(","),
            root: root.to_owned(),
            auth,
            session,
            client: Mutex::default(),
        })
    }

    /// Whether records are for a user alone.
    pub const fn is_private(&self) -> bool {
        self.auth.is_some()
    }

    fn at(&self, operation: &'static str, path: &str) -> At {
        At {
            operation,
            path: path.to_owned(),
            store: format!("zookeeper {}{}", self.servers, self.root),
        }
    }

    /// Runs `call` on a connected session, all within [`CALL_MAX`]. What the server says about the
    /// node is the caller's to judge; see [`Connection::explain`].
    pub async fn call<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        operation: &'static str,
        path: &str,
        call: impl FnOnce(Client) -> F,
    ) -> Result<Result<T, Fault>, Error> {
        let deadline = Instant::now() + CALL_MAX;
        let client = self.connected(operation, path, deadline).await?;
        self.answer(operation, path, deadline, call(client)).await
    }

    /// A connected session, for several calls that must be of the same one.
    pub async fn session(&self, operation: &'static str, path: &str) -> Result<Client, Error> {
        let deadline = Instant::now() + CALL_MAX;
        self.connected(operation, path, deadline).await
    }

    /// Runs `call` on this session and no other: once that has ended, nothing is done.
    pub async fn call_on<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        session: &Client,
        operation: &'static str,
        path: &str,
        call: impl FnOnce(Client) -> F,
    ) -> Result<Result<T, Fault>, Error> {
        let deadline = Instant::now() + CALL_MAX;
        match timeout_at(deadline, settled(session)).await {
            Ok(state) if !state.is_terminated() => {
                let call = call(session.clone());
                self.answer(operation, path, deadline, call).await
            }
            Ok(state) => {
                let reason = format!("the session ended: {state}");
                Err(self.unreachable(operation, path, reason))
            }
            Err(_) => {
                let reason = format!("not within {CALL_MAX:?}");
                Err(self.unreachable(operation, path, reason))
            }
        }
    }

    async fn connected(
        &self,
        operation: &'static str,
        path: &str,
        deadline: Instant,
    ) -> Result<Client, Error> {
        match timeout_at(deadline, self.client()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(fault)) => Err(self.unreachable(operation, path, fault.to_string())),
            Err(_) => {
                let reason = format!("not within {CALL_MAX:?}");
                Err(self.unreachable(operation, path, reason))
            }
        }
    }

    async fn answer<T>(
        &self,
        operation: &'static str,
        path: &str,
        deadline: Instant,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Result<T, Fault>, Error> {
        match timeout_at(deadline, call).await {
            Ok(Err(fault)) if is_about_connection(&fault) => {
                Err(self.fault(operation, path, &fault))
            }
            Ok(answer) => Ok(answer),
            Err(_) => {
                let reason = format!("not within {CALL_MAX:?}");
                let at = self.at(operation, path);
                Err(Error::Unanswered { at, reason })
            }
        }
    }

    /// The error for a call that failed, whether the server said so or did not answer.
    pub fn fault(&self, operation: &'static str, path: &str, fault: &Fault) -> Error {
        if is_about_connection(fault) {
            let (at, reason) = (self.at(operation, path), fault.to_string());
            return Error::Unanswered { at, reason };
        }
        self.explain(operation, path, fault)
    }

    fn unreachable(&self, operation: &'static str, path: &str, reason: String) -> Error {
        let at = self.at(operation, path);
        Error::Unreachable { at, reason }
    }

    /// The error for an answer that the caller does not expect.
    pub fn explain(&self, operation: &'static str, path: &str, fault: &Fault) -> Error {
        let reason = match fault {
            Fault::NoAuth if self.auth.is_none() => "not authorized, and no user is set".to_owned(),
            other => other.to_string(),
        };
        let at = self.at(operation, path);
        Error::Refused { at, reason }
    }

    /// A session that is connected.
    pub async fn client(&self) -> Result<Client, Fault> {
        let mut held = self.client.lock().await;
        if let Some(client) = &*held {
            if !settled(client).await.is_terminated() {
                return Ok(client.clone());
            }
            *held = None;
        }
        let client = self.connect().await?;
        *held = Some(client.clone());
        Ok(client)
    }

    async fn connect(&self) -> Result<Client, Fault> {
        let mut connector = Client::connector()
            .with_session_timeout(self.session)
            .with_connection_timeout(SILENCE_MAX.min(self.session * 2 / 5))
            .with_fail_eagerly();
        if let Some(auth) = &self.auth {
            let identity = format!("{}:{}", auth.user, auth.password);
            connector = connector.with_auth("digest", identity.as_bytes());
        }
        let client = connector.connect(&self.servers).await?;
        if self.root.is_empty() {
            return Ok(client);
        }
        if client.check_stat(&self.root).await?.is_none() {
            client
                .mkdir(&self.root, &directory(self.is_private()))
                .await?;
        }
        client
            .chroot(self.root.as_str())
            .map_err(|_| Fault::BadArguments(&"invalid root node"))
    }
}

/// The state of a session once it is not between two connections.
async fn settled(client: &Client) -> SessionState {
    let mut states = client.state_watcher();
    let mut state = client.state();
    while state == SessionState::Disconnected {
        state = states.changed().await;
    }
    state
}

fn check_server(server: &str) -> Option<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c);
    let end_of_host = server.rfind(']').map_or(0, |at| at + 1);
    let valid = !server.is_empty()
        && server.chars().all(plain)
        && match server[end_of_host..].rsplit_once(':') {
            None => true,
            Some((_, port)) => port.parse::<u16>().is_ok_and(|port| port > 0),
        };
    valid.then_some(())
}

/// Whether an answer never came, so that nobody knows what was done.
pub fn is_about_connection(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::ConnectionLoss
            | Fault::SessionExpired
            | Fault::SessionMoved
            | Fault::AuthFailed
            | Fault::ClientClosed
            | Fault::Timeout
            | Fault::NoHosts
            | Fault::Custom(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_servers_and_a_root() {
        let read = |addr: &str| Connection::parse(addr, None, Duration::from_secs(9));
        let full = read("a:1, b,[::1]:2/codis/x/").unwrap();
        assert_eq!(
            (full.servers.as_str(), full.root.as_str()),
            ("a:1,b,[::1]:2", "/codis/x")
        );
        assert_eq!(read("a:1/").unwrap().root, "");
        for bad in [
            "",
            "a,",
            "a:0",
            "a:x",
            "/root",
            "a:1/x//y",
            "tcp://a:1",
            "a b",
        ] {
            let told = read(bad).unwrap_err().to_string();
            assert!(told.contains("zookeeper"), "{bad}: {told}");
        }
    }
}
