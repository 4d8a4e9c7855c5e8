//! Talking with Redis servers and sentinels.

mod info;
mod line;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::topology::Topology;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError,
};

pub use info::{Info, master_of};
pub use line::Line;

/// How long a connection may take to open.
pub const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Fields with their values, both as text.
pub type Fields = BTreeMap<String, String>;

/// Why a peer gave no good answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No answer in time.
    #[error("{addr}: no answer in time")]
    TimedOut {
        /// The peer.
        addr: String,
    },
    /// The peer refused in its own words.
    #[error("{0}")]
    Refused(String),
    /// The peer does not take our password.
    #[error("{addr}: {reason}")]
    WrongPassword {
        /// The peer.
        addr: String,
        /// What it said.
        reason: String,
    },
    /// The connection could not be opened or broke.
    #[error("{addr}: {reason}")]
    Broken {
        /// The peer.
        addr: String,
        /// What happened.
        reason: String,
    },
}

impl Error {
    /// Whether the peer answered with an error of its own.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    fn from_redis(addr: &str, error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::TimedOut {
                addr: addr.to_owned(),
            };
        }
        let refused = error.code().unwrap_or_default();
        if error.kind() == ErrorKind::AuthenticationFailed
            || matches!(refused, "NOAUTH" | "WRONGPASS")
        {
            return Self::WrongPassword {
                addr: addr.to_owned(),
                reason: error.to_string(),
            };
        }
        match (error.code(), error.detail()) {
            (Some(code), Some(detail)) => Self::Refused(format!("{code} {detail}")),
            (Some(code), None) => Self::Refused(code.to_owned()),
            (None, _) => Self::Broken {
                addr: addr.to_owned(),
                reason: error.to_string(),
            },
        }
    }
}

/// As whom we speak to a peer. All empty: as nobody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// A user of its access list; empty for the default one.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Login {
    /// The default user with a password.
    pub fn with_password(password: &str) -> Self {
        Self {
            user: String::new(),
            password: password.to_owned(),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A connection to a Redis server or a sentinel.
#[derive(Clone)]
pub struct Peer {
    addr: String,
    connection: MultiplexedConnection,
}

/// The description of a peer for the client library.
fn client(addr: &str, login: &Login) -> Result<Client, Error> {
    let broken = |reason: String| Error::Broken {
        addr: addr.to_owned(),
        reason,
    };
    let parsed: Addr = addr.parse().map_err(|error| broken(format!("{error}")))?;
    let mut settings = redis::RedisConnectionInfo::default().set_skip_set_lib_name();
    if !login.user.is_empty() {
        settings = settings.set_username(login.user.as_str());
    }
    if !login.password.is_empty() {
        settings = settings.set_password(login.password.as_str());
    }
    let info = (parsed.host().to_owned(), parsed.port()).into_connection_info();
    let info = info.map_err(|error| Error::from_redis(addr, &error))?;
    Client::open(info.set_redis_settings(settings)).map_err(|error| Error::from_redis(addr, &error))
}

/// A subscription to channels of a sentinel.
pub async fn subscribe(
    addr: &str,
    login: &Login,
    channels: &[&str],
) -> Result<redis::aio::PubSub, Error> {
    let client = client(addr, login)?;
    let subscribing = async {
        let mut subscription = client.get_async_pubsub().await?;
        for channel in channels {
            subscription.subscribe(*channel).await?;
        }
        Ok(subscription)
    };
    match tokio::time::timeout(CONNECT_MAX, subscribing).await {
        Ok(outcome) => outcome.map_err(|error| Error::from_redis(addr, &error)),
        Err(_) => Err(Error::TimedOut {
            addr: addr.to_owned(),
        }),
    }
}

impl Peer {
    /// Connects; an empty `auth` sends no password. Each later command may take `limit`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn connect(addr: &str, auth: &str, limit: Duration) -> Result<Self, Error> {
        Self::connect_as(addr, &Login::with_password(auth), limit).await
    }

    /// The same, as somebody.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn connect_as(addr: &str, login: &Login, limit: Duration) -> Result<Self, Error> {
        let client = client(addr, login)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit.min(CONNECT_MAX)))
            .set_response_timeout(Some(limit));
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        let connection = connection.map_err(|error| Error::from_redis(addr, &error))?;
        Ok(Self {
            addr: addr.to_owned(),
            connection,
        })
    }

    /// Its address, as it was given.
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Sends a command and reads its reply.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Error> {
        let outcome = command.query_async(&mut self.connection).await;
        outcome.map_err(|error| Error::from_redis(&self.addr, &error))
    }

    /// `INFO`, as fields.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn info(&mut self) -> Result<Fields, Error> {
        self.info_text().await.map(|text| info::fields(&text))
    }

    /// `INFO`, as the server said it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn info_text(&mut self) -> Result<String, Error> {
        self.call(&redis::cmd("INFO")).await
    }

    /// `CONFIG GET maxmemory`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn maxmemory(&mut self) -> Result<Option<String>, Error> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("maxmemory");
        let config: Vec<String> = self.call(&command).await?;
        Ok(config.into_iter().nth(1))
    }

    /// `INFO`, `maxmemory` and `master_addr`: what statistics show of a server.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn full_info(&mut self) -> Result<Info, Error> {
        let info = Info::new(self.info_text().await?);
        // Servers from 3.2 on tell it with the rest; a second question costs as much as the first.
        if info.field("maxmemory").is_some() {
            return Ok(info);
        }
        Ok(info.with_maxmemory(self.maxmemory().await?))
    }

    /// Makes the server follow `master`, or nobody, and keep that in its config file.
    ///
    /// The parts run as one transaction, and each part of the reply is judged: a transaction of
    /// Redis goes on after a part that failed.
    ///
    /// # Errors
    /// The server refused a part of it. A server that runs without a config file cannot keep the
    /// order, but took it.
    pub async fn follow(&mut self, master: Option<&str>, masterauth: &str) -> Result<(), Error> {
        let (host, port) = match master.map(str::parse::<Addr>) {
            None => ("NO".to_owned(), "ONE".to_owned()),
            Some(Ok(addr)) => (addr.host().to_owned(), addr.port().to_string()),
            Some(Err(error)) => return Err(Error::Refused(error.to_string())),
        };
        let mut pipe = redis::pipe();
        pipe.atomic().ignore_errors();
        pipe.cmd("CONFIG")
            .arg("SET")
            .arg("masterauth")
            .arg(masterauth);
        pipe.cmd("SLAVEOF").arg(host).arg(port);
        pipe.cmd("CONFIG").arg("REWRITE");
        pipe.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal");
        let replies: Result<Vec<Result<redis::Value, RedisError>>, _> =
            pipe.query_async(&mut self.connection).await;
        let replies = replies.map_err(|error| Error::from_redis(&self.addr, &error))?;
        let refused: Vec<Option<String>> = replies
            .iter()
            .map(|reply| reply.as_ref().err().map(refusal_text))
            .collect();
        match judge_follow(&self.addr, &refused)? {
            Kept::InFile => {}
            Kept::InMemory => tracing::warn!(
                server = self.addr,
                "order taken, but there is no config file to keep it"
            ),
        }
        Ok(())
    }

    /// `SENTINEL TOPOLOGY`; records that do not parse are left out.
    ///
    /// # Errors
    /// See [`Error`]; a stock sentinel refuses.
    pub async fn topology(&mut self, pattern: &str) -> Result<Vec<Topology>, Error> {
        let records: Vec<String> = self
            .call(redis::cmd("SENTINEL").arg("TOPOLOGY").arg(pattern))
            .await?;
        Ok(records
            .iter()
            .filter_map(|record| parse_topology(record))
            .collect())
    }

    /// `SENTINEL MASTERS`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn masters(&mut self) -> Result<Vec<Fields>, Error> {
        self.call(redis::cmd("SENTINEL").arg("MASTERS")).await
    }

    /// `SENTINEL SLAVES name`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn slaves(&mut self, name: &str) -> Result<Vec<Fields>, Error> {
        self.call(redis::cmd("SENTINEL").arg("SLAVES").arg(name))
            .await
    }
}

/// A topology record; a malformed one is logged and dropped.
pub fn parse_topology(record: &str) -> Option<Topology> {
    let parsed = serde_json::from_str(record);
    parsed
        .inspect_err(|error| tracing::warn!(%error, "malformed topology record dropped"))
        .ok()
}

/// The parts of an order to follow, in the order in which they are sent.
const FOLLOW_PARTS: [&str; 4] = [
    "CONFIG SET masterauth",
    "SLAVEOF",
    "CONFIG REWRITE",
    "CLIENT KILL TYPE normal",
];
/// What a server says that has no config file to write.
const WITHOUT_FILE: &str = "running without a config file";

/// Where a server keeps an order that it took.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    InFile,
    InMemory,
}

/// What the server said of a part, in its own words.
fn refusal_text(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    }
}

/// Judges the reply to an order to follow, part by part; `refused` holds what was said of each part
/// that failed.
fn judge_follow(addr: &str, refused: &[Option<String>]) -> Result<Kept, Error> {
    if refused.len() != FOLLOW_PARTS.len() {
        return Err(Error::Broken {
            addr: addr.to_owned(),
            reason: format!(
                "{} replies to an order of {} parts",
                refused.len(),
                FOLLOW_PARTS.len()
            ),
        });
    }
    let mut kept = Kept::InFile;
    let mut failed = Vec::new();
    for (part, text) in FOLLOW_PARTS.iter().zip(refused) {
        match text {
            None => {}
            Some(text) if *part == "CONFIG REWRITE" && text.contains(WITHOUT_FILE) => {
                kept = Kept::InMemory;
            }
            Some(text) => failed.push(format!("{part}: {text}")),
        }
    }
    if failed.is_empty() {
        Ok(kept)
    } else {
        Err(Error::Refused(format!("{addr}: {}", failed.join("; "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_order_is_judged() {
        let text = |text: &str| Some(text.to_owned());
        let no_file = "ERR The server is running without a config file";
        assert_eq!(
            judge_follow("s", &[None, None, None, None]).unwrap(),
            Kept::InFile
        );
        assert_eq!(
            judge_follow("s", &[None, None, text(no_file), None]).unwrap(),
            Kept::InMemory
        );
        let both = judge_follow("s", &[None, text("ERR no"), text(no_file), None]);
        assert_eq!(both.unwrap_err().to_string(), "s: SLAVEOF: ERR no");
        let full = judge_follow("s", &[None, None, text("ERR Rewriting: No space"), None]);
        assert!(full.unwrap_err().is_refusal());
        assert!(judge_follow("s", &[None]).is_err());
    }
}
