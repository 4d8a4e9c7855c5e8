//! The lock of a product: who may try to lead.
//!
//! The original's lock is a record that outlives a crash, and a restart waits for an operator. Ours
//! ends with the process; the record stays for those who look up the address in it. So a record
//! that nobody locks belongs to a dashboard that is gone, which is replaced at once, or to an
//! original dashboard, which is asked: it lives if its address answers with the record's identity.

use std::time::Duration;

use anyhow::Context as _;
use codis_core::ha::LeaderRecord;
use codis_core::json;
use codis_core::model::Topom;
use codis_core::paths;
use codis_runtime::coordinator::{Lock, LockError, Shared, Takeover};
use codis_runtime::http::Client;

use crate::standby::{LEADER_PATH, Who};

/// How long the dashboard in the record may take to answer.
const ASK_MAX: Duration = Duration::from_secs(1);

/// What became of a try.
#[derive(Debug)]
pub enum Attempt {
    /// The lock is held.
    Taken {
        /// The lock.
        lock: Lock,
        /// The record of the last leader, byte for byte.
        last: Option<Vec<u8>>,
    },
    /// Another dashboard has it.
    Held {
        /// Its address, if its record says so.
        by: Option<String>,
        /// The whole story.
        why: String,
    },
    /// The store did not do it.
    Failed {
        /// Why not.
        why: String,
    },
}

/// Tries to take the lock for `model`.
pub async fn attempt(coordinator: &Shared, model: &Topom) -> Attempt {
    let path = paths::topom(&model.product_name);
    let record = json::encode(model);
    let lock = match coordinator.lock(&path, &record, Takeover::Refuse).await {
        Ok(lock) => lock,
        Err(LockError::Held { path, record }) => {
            let by = record.as_deref().and_then(addr);
            let why = LockError::Held { path, record }.to_string();
            return Attempt::Held { by, why };
        }
        Err(LockError::Stale { record: stale, .. }) => {
            if let Some(addr) = living(coordinator, &stale, model).await {
                let why = format!("an original dashboard at {addr} holds {path}");
                return Attempt::Held {
                    by: Some(addr),
                    why,
                };
            }
            match take_over(coordinator, &path, &record, &stale).await {
                Ok(lock) => lock,
                Err(error) => return failed(error),
            }
        }
        Err(LockError::Store(error)) => return failed(error),
    };
    let last = coordinator
        .read(&paths::ha_leader(&model.product_name))
        .await;
    match last {
        Ok(last) => Attempt::Taken { lock, last },
        Err(error) => failed(error),
    }
}

/// Raises the term to that of `to`, if the record of the last leader still is `last`. Gives the
/// bytes that are the guard of each commit from now on.
///
/// # Errors
/// Somebody else was faster, or the store failed; then the record may have been written.
pub async fn fence(
    coordinator: &Shared,
    product: &str,
    last: Option<&[u8]>,
    to: &LeaderRecord,
) -> Result<Vec<u8>, codis_runtime::coordinator::Error> {
    use codis_runtime::coordinator::Expected;
    let path = paths::ha_leader(product);
    let expected = last.map_or(Expected::Missing, Expected::Value);
    let own = json::encode(to);
    coordinator
        .write_if(&path, expected, Some(&own), &[])
        .await?;
    Ok(own)
}

/// Deletes the record, for an operator who knows that its dashboard is gone. The term stays: it
/// only ever grows. So does the lock of one of ours that leads: it needs no removal when that one
/// dies, and a flag that was once put into a unit file must not depose it at each start.
///
/// # Errors
/// The store refused.
pub async fn remove(coordinator: &Shared, model: &Topom) -> anyhow::Result<()> {
    let path = paths::topom(&model.product_name);
    let record = coordinator.read(&path).await;
    let record = record.with_context(|| format!("store: read lock {path}"))?;
    let leader = record.as_deref().and_then(addr);
    if let Some(leader) = leader.filter(|leader| *leader != model.admin_addr) {
        let client = Client::new(ASK_MAX, ASK_MAX);
        let answer = client.get::<Who>(&leader, LEADER_PATH).await;
        if answer.is_ok_and(|who| who.leading) {
            tracing::warn!(path, leader, "lock not removed: its dashboard leads");
            return Ok(());
        }
    }
    coordinator
        .delete(&path)
        .await
        .with_context(|| format!("store: remove lock {path}"))?;
    tracing::warn!(path, "lock removed");
    Ok(())
}

fn failed(error: impl ToString) -> Attempt {
    let why = error.to_string();
    Attempt::Failed { why }
}

/// Where the dashboard that wrote the record serves.
fn addr(record: &[u8]) -> Option<String> {
    let wrote: Topom = json::decode(record).ok()?;
    Some(wrote.admin_addr).filter(|addr| !addr.is_empty())
}

async fn take_over(
    coordinator: &Shared,
    path: &str,
    record: &[u8],
    stale: &[u8],
) -> Result<Lock, LockError> {
    let lock = coordinator.lock(path, record, Takeover::Allow).await?;
    let stale = String::from_utf8_lossy(stale)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    tracing::warn!(
        path,
        stale,
        "took over the lock of a dashboard that is gone"
    );
    Ok(lock)
}

/// The address of the original dashboard that wrote the record, if it lives. The same host and port
/// give the same token after a restart, so the start time and process id must agree too. One of
/// ours that lives and does not hold the lock left the record behind when it stepped down. Of the
/// one that led last it is known without asking, which would take its time where that one hangs.
async fn living(coordinator: &Shared, record: &[u8], own: &Topom) -> Option<String> {
    let wrote: Topom = json::decode(record).ok()?;
    if is_same(&wrote, own) {
        return None;
    }
    let path = paths::ha_leader(&own.product_name);
    let last = coordinator.read(&path).await.ok().flatten();
    let last = last.and_then(|last| json::decode::<LeaderRecord>(&last).ok());
    if last.is_some_and(|last| is_of(&wrote, &last)) {
        return None;
    }
    let client = Client::new(ASK_MAX, ASK_MAX);
    let answers: Topom = client.get(&wrote.admin_addr, "/topom/model").await.ok()?;
    let ours = client.get::<Who>(&wrote.admin_addr, LEADER_PATH).await;
    (is_same(&wrote, &answers) && ours.is_err()).then_some(wrote.admin_addr)
}

/// Whether the lock is that of the run that raised the term.
fn is_of(lock: &Topom, leader: &LeaderRecord) -> bool {
    let known = !leader.token.is_empty() && !leader.start_time.is_empty();
    known
        && (&lock.token, &lock.start_time, lock.pid)
            == (&leader.token, &leader.start_time, leader.pid)
}

fn is_same(one: &Topom, other: &Topom) -> bool {
    one.token == other.token && one.start_time == other.start_time && one.pid == other.pid
}

#[cfg(test)]
mod tests {
    use codis_core::ha::Term;

    use super::*;

    #[test]
    fn a_lock_is_ours_only_when_the_same_run_raised_the_term() {
        let lock = Topom {
            token: "t".to_owned(),
            start_time: "then".to_owned(),
            pid: 1,
            ..Topom::default()
        };
        let leader = LeaderRecord {
            term: Term(3),
            token: "t".to_owned(),
            start_time: "then".to_owned(),
            pid: 1,
            ..LeaderRecord::default()
        };
        assert!(is_of(&lock, &leader));
        // An original in the container of ours has the token and the number of its process.
        let original = Topom {
            start_time: "later".to_owned(),
            ..lock.clone()
        };
        assert!(!is_of(&original, &leader));
        assert!(!is_of(&Topom::default(), &LeaderRecord::default()));
        let unknown = LeaderRecord {
            start_time: String::new(),
            ..leader
        };
        assert!(!is_of(&lock, &unknown), "written before there were times");
    }
}
