//! One Redis server: `INFO` and `maxmemory`.

use std::sync::Arc;

use codis_core::api::{RemoteError, ServerStats};

use super::{ANSWER_MAX, held, unixtime};
use crate::core::Core;
use codis_runtime::peer::{Error, Fields, Peer};

/// Asks the server for ever.
pub async fn poll(core: Arc<Core>, addr: String) {
    let mut connection = None;
    loop {
        let asked = tokio::time::timeout(ANSWER_MAX, ask(&core, &addr, &mut connection)).await;
        let asked = asked.unwrap_or(Err(Error::TimedOut { addr: addr.clone() }));
        held(&core.polls.servers).insert(addr.clone(), report(asked));
        core.polls.server_due().await;
    }
}

async fn ask(core: &Core, addr: &str, connection: &mut Option<Peer>) -> Result<Fields, Error> {
    if let Some(mut peer) = connection.take() {
        match peer.full_info().await {
            // A promotion cuts all connections of a server, so a lost one says nothing about it.
            Err(Error::Broken { .. }) => {}
            Err(error) => return Err(error),
            Ok(fields) => {
                *connection = Some(peer);
                return Ok(fields);
            }
        }
    }
    let mut peer = Peer::connect(addr, &core.settings.product_auth, ANSWER_MAX).await?;
    let fields = peer.full_info().await?;
    *connection = Some(peer);
    Ok(fields)
}

fn report(asked: Result<Fields, Error>) -> ServerStats {
    let base = ServerStats {
        unixtime: unixtime(),
        ..ServerStats::default()
    };
    match asked {
        Ok(stats) => ServerStats { stats, ..base },
        Err(Error::TimedOut { .. }) => ServerStats {
            timeout: true,
            ..base
        },
        Err(error) => ServerStats {
            error: Some(RemoteError::new(error.to_string())),
            ..base
        },
    }
}
