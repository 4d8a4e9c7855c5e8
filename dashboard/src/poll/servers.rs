//! One Redis server: `INFO` and `maxmemory`.

use std::sync::Arc;

use super::aged::Failure;
use super::{ANSWER_MAX, held, unixtime};
use crate::core::Core;
use codis_runtime::peer::{Error, Info, Line};

/// Asks the server for ever.
pub async fn poll(core: Arc<Core>, addr: String) {
    let turn = core.polls.pace.turn();
    let mut connection = None;
    loop {
        let asked = tokio::time::timeout(ANSWER_MAX, ask(&core, &addr, &mut connection)).await;
        let asked = asked.unwrap_or(Err(Error::TimedOut { addr: addr.clone() }));
        held(&core.polls.servers).insert(&addr, asked.map_err(Failure::from), unixtime());
        core.polls.pace.next_of_server(turn).await;
    }
}

async fn ask(core: &Core, addr: &str, connection: &mut Option<Line>) -> Result<Info, Error> {
    if let Some(mut line) = connection.take() {
        match line.full_info().await {
            // A promotion cuts all connections of a server, so a lost one says nothing about it.
            Err(Error::Broken { .. }) => {}
            Err(error) => return Err(error),
            Ok(info) => {
                *connection = Some(line);
                return Ok(info);
            }
        }
    }
    let mut line = Line::open(addr, &core.settings.product_auth).await?;
    let info = line.full_info().await?;
    *connection = Some(line);
    Ok(info)
}
