//! One connection to one server of the cluster, and the next server when that fails.

use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error as Fault};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::address::Address;
use crate::coordinator::{At, CALL_MAX, Credentials, Error};

/// How long one server may take to be reached and to show that it lives.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// A connection without traffic is probed after this, and given up after it once more.
const PROBE_PERIOD: Duration = Duration::from_secs(3);

/// Code numbers of gRPC. Their type is of a crate that is not ours to name.
mod code {
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const NOT_FOUND: i32 = 5;
    pub const PERMISSION_DENIED: i32 = 7;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const FAILED_PRECONDITION: i32 = 9;
    pub const OUT_OF_RANGE: i32 = 11;
    pub const UNIMPLEMENTED: i32 = 12;
}

/// The way to a cluster.
#[derive(Debug)]
pub struct Connection {
    address: Address,
    auth: Option<Credentials>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// The server to use, an index that wraps around.
    server: usize,
    client: Option<Client>,
    /// Tells connections apart, so that an old failure does not end a new one.
    number: u64,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current")
            .field("server", &self.server)
            .field("connected", &self.client.is_some())
            .finish()
    }
}

/// How a call went wrong, before the record is named.
enum Failure {
    Unreachable(String),
    Unanswered(String),
    Refused(String),
}

impl Connection {
    pub fn new(address: Address, auth: Option<Credentials>) -> Self {
        Self {
            address,
            auth,
            current: Mutex::default(),
        }
    }

    /// For error texts.
    fn store(&self) -> String {
        format!("etcd {}", self.address.endpoints.join(","))
    }

    /// Runs `call` on a living connection, all within [`CALL_MAX`].
    pub async fn call<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        operation: &'static str,
        path: &str,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, Error> {
        let failure = match self.try_call(call).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let at = At {
            operation,
            path: path.to_owned(),
            store: self.store(),
        };
        Err(match failure {
            Failure::Unreachable(reason) => Error::Unreachable { at, reason },
            Failure::Unanswered(reason) => Error::Unanswered { at, reason },
            Failure::Refused(reason) => Error::Refused { at, reason },
        })
    }

    async fn try_call<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + CALL_MAX;
        let (client, number) = match timeout_at(deadline, self.client()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(Failure::Unreachable(format!("not within {CALL_MAX:?}"))),
        };
        let failure = match timeout_at(deadline, call(client)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(fault)) => failure(&fault),
            Err(_) => Failure::Unanswered(format!("not within {CALL_MAX:?}")),
        };
        if !matches!(failure, Failure::Refused(_)) {
            self.give_up(number).await;
        }
        Err(failure)
    }

    /// The connection in use, or a new one to the first server that answers.
    async fn client(&self) -> Result<(Client, u64), Failure> {
        let mut current = self.current.lock().await;
        if let Some(client) = &current.client {
            return Ok((client.clone(), current.number));
        }
        let servers = self.address.endpoints.len();
        let mut last = Failure::Unreachable(String::new());
        for _ in 0..servers {
            let endpoint = &self.address.endpoints[current.server % servers];
            match self.connect(endpoint).await {
                Ok(client) => {
                    current.number += 1;
                    current.client = Some(client.clone());
                    return Ok((client, current.number));
                }
                Err(failure) => last = failure,
            }
            current.server = (current.server + 1) % servers;
        }
        Err(last)
    }

    async fn connect(&self, endpoint: &str) -> Result<Client, Failure> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_MAX)
            .with_keep_alive(PROBE_PERIOD, PROBE_PERIOD)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some(auth) = &self.auth {
            options = options
                .with_user(auth.user.clone(), auth.password.clone())
                .with_auto_token_refresh(true);
        }
        if let Some(tls) = &self.address.tls {
            options = options.with_tls(tls.clone());
        }
        let connect = async {
            let mut client = Client::connect([endpoint], Some(options)).await?;
            client.status().await?;
            Ok(client)
        };
        match timeout(CONNECT_MAX, connect).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(fault)) => Err(match failure(&fault) {
                Failure::Unanswered(reason) => {
                    Failure::Unreachable(format!("{endpoint}: {reason}"))
                }
                other => other,
            }),
            Err(_) => {
                let reason = format!("{endpoint}: no answer within {CONNECT_MAX:?}");
                Err(Failure::Unreachable(reason))
            }
        }
    }

    /// Lets the next call connect, and to the next server.
    async fn give_up(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.number == number && current.client.take().is_some() {
            current.server = (current.server + 1) % self.address.endpoints.len();
        }
    }
}

/// Whether the server says that there is no such lease.
pub fn is_not_found(fault: &Fault) -> bool {
    matches!(fault, Fault::GRpcStatus(status) if status.code() as i32 == code::NOT_FOUND)
}

fn failure(fault: &Fault) -> Failure {
    let Fault::GRpcStatus(status) = fault else {
        return Failure::Unanswered(fault.to_string());
    };
    // The first cause says most: "tcp connect error" alone does not say that it was refused.
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    if let Some(cause) = cause {
        text = format!("{text}: {cause}");
    }
    match status.code() as i32 {
        code::INVALID_ARGUMENT
        | code::NOT_FOUND
        | code::PERMISSION_DENIED
        | code::RESOURCE_EXHAUSTED
        | code::FAILED_PRECONDITION
        | code::OUT_OF_RANGE
        | code::UNIMPLEMENTED => Failure::Refused(text),
        _ => Failure::Unanswered(text),
    }
}
