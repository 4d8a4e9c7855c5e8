//! Makes sentinels forget the product that were dropped and never told: the dashboard that dropped
//! them died, or did not learn that its record was stored.
//!
//! A call that drops a sentinel tells it at once. This comes behind, after a pause, and does the
//! same, which does no harm when the call is under way still.

use std::sync::Arc;
use std::time::Duration;

use codis_core::backoff::Backoff;
use codis_topom::{Cluster, edit};

use super::ensure;
use crate::core::Core;
use crate::keyed::Keyed;
use crate::orders::may_order;
use crate::state::Audit;

/// Pauses before each attempt.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest of them.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// Looks for such sentinels for ever.
pub async fn let_go(core: Arc<Core>) {
    let mut leavers = Keyed::default();
    let mut views = core.state.subscribe();
    loop {
        let leaving = views.borrow_and_update().cluster.leaving().servers.clone();
        leavers.update(leaving, |addr| tokio::spawn(tell(core.clone(), addr)));
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// Tells one until it has forgotten; it is ended when it is on record that it has.
async fn tell(core: Arc<Core>, addr: String) {
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(core.model.pid));
    let mut said = String::new();
    loop {
        tokio::time::sleep(backoff.next_delay()).await;
        match forget(&core, &addr).await {
            Ok(()) => return,
            Err(why) if why == said => {}
            Err(why) => {
                tracing::warn!(
                    sentinel = addr,
                    why,
                    "a sentinel that was removed still watches the product; it is told until it \
                     has forgotten"
                );
                said = why;
            }
        }
    }
}

async fn forget(core: &Core, addr: &str) -> Result<(), String> {
    may_order(core).map_err(|error| error.to_string())?;
    let (audit, left) = (Audit::own(format!("sentinels/del {addr}")), addr.to_owned());
    let forgotten = ensure::forget(core, &audit, addr).await;
    forgotten.map_err(|error| error.to_string())?;
    let leave = move |cluster: &Cluster| edit::sentinel_left(cluster, &left);
    let stored = core.state.edit(audit, leave).await;
    stored.map_err(|error| error.to_string())?;
    tracing::info!(
        sentinel = addr,
        "the sentinel that left has forgotten the product"
    );
    Ok(())
}
