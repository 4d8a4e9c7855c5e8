//! The lock of a product: one dashboard at a time.
//!
//! The original's lock is a record that outlives a crash, and a restart waits for an operator. Ours
//! ends with the process; the record stays for those who look up the address in it. So a record
//! that nobody locks belongs to a dashboard that crashed, which is replaced at once, or to an
//! original dashboard, which is asked: it lives if its address answers with the record's identity.

use std::time::Duration;

use anyhow::{Context as _, bail};
use codis_core::json;
use codis_core::model::Topom;
use codis_core::paths;
use codis_runtime::coordinator::{Lock, LockError, Shared, Takeover};
use codis_runtime::http::Client;

/// How often the lock is tried before giving up.
const ATTEMPTS: u32 = 17;
/// The pause between attempts.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the dashboard in the record may take to answer.
const ASK_MAX: Duration = Duration::from_secs(1);

/// Takes the lock for `model`, waiting for another dashboard as long as the original would.
///
/// # Errors
/// Another dashboard kept it, or the store failed to the end.
pub async fn acquire(coordinator: &Shared, model: &Topom) -> anyhow::Result<Lock> {
    let path = paths::topom(&model.product_name);
    let record = json::encode(model);
    for attempt in 1..=ATTEMPTS {
        let why = match coordinator.lock(&path, &record, Takeover::Refuse).await {
            Ok(lock) => return Ok(lock),
            Err(LockError::Stale { record: stale, .. }) => match living(&stale).await {
                Some(addr) => format!("an original dashboard at {addr} holds {path}"),
                None => match take_over(coordinator, &path, &record, &stale).await {
                    Ok(lock) => return Ok(lock),
                    Err(error) => error.to_string(),
                },
            },
            Err(error) => error.to_string(),
        };
        tracing::warn!(attempt, of = ATTEMPTS, "lock not taken: {why}");
        if attempt == ATTEMPTS {
            bail!(
                "store: acquire lock of {} failed: {why}",
                model.product_name
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("store: acquire lock of {} failed", model.product_name)
}

/// Deletes the record, for an operator who knows that its dashboard is gone.
///
/// # Errors
/// The store refused.
pub async fn remove(coordinator: &Shared, product: &str) -> anyhow::Result<()> {
    let path = paths::topom(product);
    coordinator
        .delete(&path)
        .await
        .with_context(|| format!("store: remove lock {path}"))?;
    tracing::warn!(path, "lock removed");
    Ok(())
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

/// The address of the dashboard that wrote the record, if it lives. The same host and port give the
/// same token after a restart, so the start time and process id must agree too.
async fn living(record: &[u8]) -> Option<String> {
    let wrote: Topom = json::decode(record).ok()?;
    let client = Client::new(ASK_MAX, ASK_MAX);
    let answers: Topom = client.get(&wrote.admin_addr, "/topom/model").await.ok()?;
    let same = answers.token == wrote.token
        && answers.start_time == wrote.start_time
        && answers.pid == wrote.pid;
    same.then_some(wrote.admin_addr)
}
