//! One sentinel: `INFO`, and the masters and replicas of this product.

use std::collections::BTreeMap;
use std::sync::Arc;

use codis_core::api::{SentinelMonitored, SentinelStats};
use codis_core::paths;

use super::aged::Failure;
use super::{ANSWER_MAX, held, unixtime};
use crate::core::Core;
use crate::sentinels::login;
use codis_runtime::peer::{Error, Peer};

/// Asks the sentinel for ever.
pub async fn poll(core: Arc<Core>, addr: String) {
    let turn = core.polls.pace.turn();
    let mut connection = None;
    loop {
        let asked = tokio::time::timeout(ANSWER_MAX, ask(&core, &addr, &mut connection)).await;
        let asked = asked.unwrap_or(Err(Error::TimedOut { addr: addr.clone() }));
        held(&core.polls.sentinels).insert(&addr, asked.map_err(Failure::from), unixtime());
        core.polls.sentinel_asked(&addr).notify_one();
        core.polls.pace.next(turn).await;
    }
}

async fn ask(
    core: &Core,
    addr: &str,
    connection: &mut Option<Peer>,
) -> Result<SentinelStats, Error> {
    let mut peer = match connection.take() {
        Some(peer) => peer,
        None => Peer::connect_as(addr, &login(&core.settings), ANSWER_MAX).await?,
    };
    let stats = peer.info().await?;
    let sentinel = monitored(&mut peer, &core.settings.product_name).await?;
    *connection = Some(peer);
    Ok(SentinelStats {
        stats,
        sentinel,
        ..SentinelStats::default()
    })
}

/// What a sentinel monitors of a product, by name.
pub async fn monitored(
    peer: &mut Peer,
    product: &str,
) -> Result<BTreeMap<String, SentinelMonitored>, Error> {
    let mut monitored = BTreeMap::new();
    for master in peer.masters().await? {
        let Some(name) = master.get("name").cloned() else {
            continue;
        };
        if paths::monitored_group(product, &name).is_some() {
            let slaves = peer.slaves(&name).await?;
            monitored.insert(name, SentinelMonitored { master, slaves });
        }
    }
    Ok(monitored)
}
