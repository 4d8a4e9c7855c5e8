//! One Redis server: `INFO` and `maxmemory`.

use std::sync::Arc;

use codis_core::api::{RemoteError, ServerStats};

use super::{ANSWER_MAX, EVERY, held, unixtime};
use crate::core::Core;
use codis_runtime::peer::{Error, Fields, Peer};

/// Asks the server for ever.
pub async fn poll(core: Arc<Core>, addr: String) {
    let mut connection = None;
    loop {
        let asked = tokio::time::timeout(ANSWER_MAX, ask(&core, &addr, &mut connection)).await;
        let asked = asked.unwrap_or(Err(Error::TimedOut { addr: addr.clone() }));
        if asked.is_err() {
            connection = None;
        }
        held(&core.polls.servers).insert(addr.clone(), report(asked));
        tokio::time::sleep(EVERY).await;
    }
}

async fn ask(core: &Core, addr: &str, connection: &mut Option<Peer>) -> Result<Fields, Error> {
    if connection.is_none() {
        let auth = &core.settings.product_auth;
        *connection = Some(Peer::connect(addr, auth, ANSWER_MAX).await?);
    }
    match connection {
        Some(peer) => peer.full_info().await,
        None => Err(Error::TimedOut {
            addr: addr.to_owned(),
        }),
    }
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
