//! Migrate commands to the servers that give slots away.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_runtime::peer::{Error, Peer};
use codis_topom::mover::{Command, Outcome};
use redis::Cmd;

use crate::config::{MigrationMethod, Settings};
use crate::keyspace;

/// The longest silence that a server in an asynchronous migration is told to bear.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// What an answer may take longer than the migration that it tells of.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Connections to sources. A source has one command out at a time, so one connection each; it is
/// kept while it is good.
#[derive(Debug)]
pub struct Connections {
    auth: String,
    method: MigrationMethod,
    timeout: Duration,
    maxbulks: u32,
    maxbytes: i64,
    numkeys: u32,
    idle: Mutex<BTreeMap<String, Source>>,
}

struct Source {
    peer: Peer,
    db: Option<u32>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("db", &self.db).finish()
    }
}

impl Connections {
    /// No connections yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            auth: settings.product_auth.clone(),
            method: settings.migration_method,
            timeout: settings.migration_timeout.duration(),
            maxbulks: settings.migration_async_maxbulks,
            maxbytes: settings.migration_async_maxbytes.bytes(),
            numkeys: settings.migration_async_numkeys,
            idle: Mutex::default(),
        }
    }

    /// Closes all that are idle.
    pub fn close(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Moves some keys of a slot, and looks for the next database when none are left.
    ///
    /// # Errors
    /// The source refused or did not answer; it may or may not have moved keys.
    pub async fn migrate(&self, command: &Command) -> Result<Outcome, Error> {
        let target: Addr = command
            .target
            .parse()
            .map_err(|_| Error::Refused(format!("no address to send to: {}", command.target)))?;
        let mut source = self.take(&command.source).await?;
        if source.db != Some(command.db) {
            let () = source
                .peer
                .call(redis::cmd("SELECT").arg(command.db))
                .await?;
            source.db = Some(command.db);
        }
        let migrate = self.command(command, &target);
        let (_, left): (i64, u64) = source.peer.call(&migrate).await?;
        let next_db = if left == 0 {
            let dbs = keyspace::read(&mut source.peer).await?;
            dbs.into_keys().find(|db| *db > command.db)
        } else {
            None
        };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.insert(command.source.clone(), source);
        Ok(Outcome::Moved { left, next_db })
    }

    /// Makes sure that no command given before is alive at `source`.
    ///
    /// One that was given up may wait in the buffers of a server that was stopped. The server reads
    /// it before it answers on a connection that it accepts later; the batch that it may have
    /// started then is dropped.
    ///
    /// # Errors
    /// The source does not answer.
    pub async fn quiesce(&self, source: &str) -> Result<(), Error> {
        let mut peer = Peer::connect(source, &self.auth, ANSWER_MAX).await?;
        let () = peer.call(&redis::cmd("PING")).await?;
        if self.method == MigrationMethod::Sync {
            return Ok(());
        }
        for db in keyspace::read(&mut peer).await?.into_keys() {
            let () = peer.call(redis::cmd("SELECT").arg(db)).await?;
            let _: i64 = peer.call(&redis::cmd("SLOTSMGRT-ASYNC-CANCEL")).await?;
        }
        Ok(())
    }

    async fn take(&self, addr: &str) -> Result<Source, Error> {
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(addr);
        if let Some(source) = kept {
            return Ok(source);
        }
        let peer = Peer::connect(addr, &self.auth, self.timeout + ANSWER_MAX).await?;
        Ok(Source { peer, db: None })
    }

    fn command(&self, command: &Command, target: &Addr) -> Cmd {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut migrate = Cmd::new();
        match self.method {
            MigrationMethod::Sync => migrate
                .arg("SLOTSMGRTTAGSLOT")
                .arg(target.host())
                .arg(target.port())
                .arg(millis(self.timeout))
                .arg(command.slot),
            MigrationMethod::SemiAsync => migrate
                .arg("SLOTSMGRTTAGSLOT-ASYNC")
                .arg(target.host())
                .arg(target.port())
                .arg(millis(self.timeout.min(SILENCE_MAX)))
                .arg(self.maxbulks)
                .arg(self.maxbytes)
                .arg(command.slot)
                .arg(self.numkeys),
        };
        migrate
    }
}
