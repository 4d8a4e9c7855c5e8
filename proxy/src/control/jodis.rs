//! Jodis: a record by which clients find this proxy, for as long as it serves them.
//!
//! The record is made when the proxy goes online, it is the first thing that goes when the proxy
//! stops, and it goes by itself, after `jodis_timeout`, when the process dies. It is made again
//! whenever it is lost.
//!
//! The token in its path makes it this proxy's alone, with two exceptions. After a restart the
//! record of the run before may still be there: it is replaced, where the original waits until it
//! has expired. And two proxies may have come to the same token, which is made of hardware and
//! listening addresses: the second one leaves the record of the first alone and says so.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use codis_core::backoff::Backoff;
use codis_core::model::{self, Jodis};
use codis_core::{json, paths};
use codis_runtime::coordinator::{self, Ephemeral, Error, Shared};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::settings::Settings;

/// The pauses after failures: from this, doubling, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A record that was lost sooner than this is not made again without a pause.
const CALM: Duration = Duration::from_secs(1);
/// How long a stop waits for the record to go.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// How often a record that others change at the same time is tried before a pause.
const TRIES: u32 = 3;
/// What a `jodis_timeout` of nothing means.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// The path of the record, when there is to be one.
pub fn path(settings: &Settings, token: &str) -> Option<String> {
    let product = &settings.product_name;
    let path = if settings.jodis_compatible {
        paths::jodis_compatible(product, token)
    } else {
        paths::jodis(product, token)
    };
    (!settings.jodis_addr.is_empty()).then_some(path)
}

/// The registration of a proxy; nothing at all when it is not configured.
#[derive(Debug, Default)]
pub struct Registration(Option<Place>);

#[derive(Debug)]
struct Place {
    store: Shared,
    path: String,
    own: Jodis,
    leaving: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Registration {
    /// What the settings ask for. The coordinator is not asked yet.
    ///
    /// # Errors
    /// The address or the credentials are not valid.
    pub async fn prepare(settings: &Settings, proxy: &model::Proxy) -> anyhow::Result<Self> {
        let Some(path) = path(settings, &proxy.token) else {
            return Ok(Self::default());
        };
        let session = match settings.jodis_timeout.duration() {
            Duration::ZERO => TIMEOUT_DEFAULT,
            set => set,
        };
        let (name, addr) = (&settings.jodis_name, &settings.jodis_addr);
        let store = coordinator::open_with(name, addr, &settings.jodis_auth, session).await;
        Ok(Self(Some(Place {
            store: store.context("jodis_name, jodis_addr and jodis_auth")?,
            path,
            own: Jodis {
                addr: proxy.proxy_addr.clone(),
                admin: proxy.admin_addr.clone(),
                start: proxy.start_time.clone(),
                state: Jodis::ONLINE.to_owned(),
                token: proxy.token.clone(),
            },
            leaving: watch::Sender::new(false),
            task: Mutex::default(),
        })))
    }

    /// Registers, once: from now on until [`Registration::leave`].
    pub fn start(&self) {
        let Some(place) = &self.0 else {
            return;
        };
        let mut task = place.task();
        if task.is_none() && !*place.leaving.borrow() {
            let registrar = Registrar {
                store: place.store.clone(),
                path: place.path.clone(),
                value: json::encode(&place.own),
                own: place.own.clone(),
                was_held: false,
            };
            *task = Some(tokio::spawn(registrar.run(place.leaving.subscribe())));
        }
    }

    /// Removes the record, and returns when it is gone or cannot be removed in time.
    pub async fn leave(&self) {
        let Some(place) = &self.0 else {
            return;
        };
        place.leaving.send_replace(true);
        let task = place.task().take();
        if let Some(task) = task
            && timeout(LEAVE_MAX, task).await.is_err()
        {
            tracing::warn!(
                path = place.path,
                "jodis record not removed within {LEAVE_MAX:?}: it goes after jodis_timeout"
            );
        }
    }
}

impl Place {
    /// The task that registers; locked for a moment, never across a wait.
    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever keeps the record there.
struct Registrar {
    store: Shared,
    path: String,
    own: Jodis,
    value: Vec<u8>,
    /// Whether this process has had the record before.
    was_held: bool,
}

impl Registrar {
    async fn run(mut self, mut leaving: watch::Receiver<bool>) {
        let seed = self.path.bytes().fold(1, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX, seed);
        loop {
            // Never given up half way: what was made must be known, so that it can be removed.
            match self.register().await {
                Ok(record) => {
                    let began = Instant::now();
                    self.was_held = true;
                    tracing::info!(path = self.path, "registered with jodis");
                    let reason = tokio::select! {
                        biased;
                        () = told(&mut leaving) => return self.remove(record).await,
                        reason = record.lost() => reason,
                    };
                    tracing::warn!(path = self.path, "jodis record lost: {reason}");
                    if began.elapsed() >= CALM {
                        backoff.reset();
                        continue;
                    }
                }
                Err(error) => tracing::warn!("not registered with jodis: {error}"),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = told(&mut leaving) => return,
            }
        }
    }

    async fn register(&self) -> Result<Ephemeral, Failure> {
        let (path, value) = (&self.path, &self.value);
        let mut last = Error::Changed { path: path.clone() };
        for _ in 0..TRIES {
            match self.store.create_ephemeral(path, value, None).await {
                Err(Error::Exists { .. }) => {}
                outcome => return Ok(outcome?),
            }
            let Some(found) = self.store.read(path).await? else {
                continue;
            };
            self.check_replaceable(&found)?;
            tracing::info!(path, "jodis record of an earlier run is replaced");
            let replaced = self.store.create_ephemeral(path, value, Some(&found));
            match replaced.await {
                Err(error @ (Error::Changed { .. } | Error::Exists { .. })) => last = error,
                outcome => return Ok(outcome?),
            }
        }
        Err(last.into())
    }

    /// Whose record it is, as far as it tells. One with our token and our addresses is an earlier
    /// run of this proxy; or a later one, that took over from us after we had the record.
    fn check_replaceable(&self, found: &[u8]) -> Result<(), Failure> {
        let own = &self.own;
        let Ok(record) = json::decode::<Jodis>(found) else {
            return Ok(());
        };
        if found == self.value || record.token != own.token {
            return Ok(());
        }
        let path = self.path.clone();
        if record.addr != own.addr || record.admin != own.admin {
            Err(Failure::Twin(path, record.addr))
        } else if self.was_held {
            Err(Failure::Successor(path))
        } else {
            Ok(())
        }
    }

    async fn remove(&self, record: Ephemeral) {
        match record.remove().await {
            Ok(()) => tracing::info!(path = self.path, "jodis record removed"),
            Err(error) => tracing::warn!("jodis record goes after jodis_timeout: {error}"),
        }
    }
}

/// Waits until the proxy leaves.
async fn told(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leave| *leave).await;
}

/// Why the record was not made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(
        "{0} belongs to another proxy with the same token, at {1}: give one of them another \
         proxy_addr or admin_addr, or stop it"
    )]
    Twin(String, String),
    #[error("{0} belongs to a later run of this proxy: stop one of the two")]
    Successor(String),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use codis_runtime::coordinator::{Coordinator, Memory};

    use super::*;

    fn registrar(store: &Memory, start: &str, addr: &str) -> Registrar {
        let own = Jodis {
            addr: addr.to_owned(),
            admin: "a:2".to_owned(),
            start: start.to_owned(),
            state: Jodis::ONLINE.to_owned(),
            token: "t".to_owned(),
        };
        Registrar {
            store: Arc::new(store.clone()),
            path: paths::jodis("p", "t"),
            value: json::encode(&own),
            own,
            was_held: false,
        }
    }

    #[test]
    fn the_path_follows_the_settings() {
        let mut settings = Settings {
            product_name: "p".to_owned(),
            ..Settings::default()
        };
        assert_eq!(path(&settings, "t"), None);
        settings.jodis_addr = "h:1".to_owned();
        assert_eq!(path(&settings, "t").as_deref(), Some("/jodis/p/proxy-t"));
        settings.jodis_compatible = true;
        let old = "/zk/codis/db_p/proxy/t";
        assert_eq!(path(&settings, "t").as_deref(), Some(old));
    }

    #[tokio::test]
    async fn an_earlier_run_is_replaced_and_a_later_one_is_not() {
        let store = Memory::new();
        let first = registrar(&store, "1", "a:1");
        let _left_by_a_crash = first.register().await.unwrap();
        let mut second = registrar(&store, "2", "a:1");
        let held = second.register().await.unwrap();
        second.was_held = true;
        let _again = second.register().await.expect("its own is made again");
        let _later = registrar(&store, "3", "a:1").register().await.unwrap();
        assert!(!held.lost().await.is_empty());
        let refused = second.register().await.unwrap_err();
        assert!(matches!(refused, Failure::Successor(_)), "{refused}");
    }

    #[tokio::test]
    async fn a_twin_is_left_alone_and_damage_is_not() {
        let store = Memory::new();
        let other = registrar(&store, "1", "b:1").register().await.unwrap();
        let own = registrar(&store, "2", "a:1");
        let told = own.register().await.unwrap_err().to_string();
        assert!(told.contains("at b:1"), "{told}");
        store.update(other.path(), b"{broken").await.unwrap();
        own.register().await.unwrap();
    }
}
