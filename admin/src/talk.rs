//! HTTP calls that say on stderr what they do when asked to.

use std::time::Duration;

use codis_runtime::http::{Client, ClientError, masked};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A client, and whether it tells.
#[derive(Clone)]
pub struct Talk {
    client: Client,
    verbose: bool,
}

impl Talk {
    /// Calls through `client`; `verbose` tells of each on stderr.
    pub const fn new(client: Client, verbose: bool) -> Self {
        Self { client, verbose }
    }

    /// The same with another limit on a whole call.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self {
            client: self.client.with_total_timeout(limit),
            verbose: self.verbose,
        }
    }

    /// The same, which takes an answer from old records for none.
    #[must_use]
    pub fn fresh_only(&self) -> Self {
        Self {
            client: self.client.fresh_only(),
            verbose: self.verbose,
        }
    }

    /// Calls GET.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, addr: &str, path: &str) -> Result<T, ClientError> {
        self.tell("GET", addr, path, self.client.get(addr, path).await)
    }

    /// Calls PUT without a body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put<T: DeserializeOwned>(&self, addr: &str, path: &str) -> Result<T, ClientError> {
        self.tell("PUT", addr, path, self.client.put(addr, path).await)
    }

    /// Calls PUT with a JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put_json<B: Serialize + ?Sized + Sync, T: DeserializeOwned>(
        &self,
        addr: &str,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.tell(
            "PUT",
            addr,
            path,
            self.client.put_json(addr, path, body).await,
        )
    }

    fn tell<T>(
        &self,
        method: &str,
        addr: &str,
        path: &str,
        outcome: Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        if self.verbose {
            let ending = outcome
                .as_ref()
                .map_or_else(ToString::to_string, |_| "ok".to_owned());
            eprintln!("{method} http://{addr}{}: {ending}", masked(path));
        }
        outcome
    }
}
