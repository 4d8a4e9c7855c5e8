//! Sentinels.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, put};
use codis_runtime::http::{ApiError, json};
use codis_topom::Refusal;

use super::call::Call;
use super::{App, Reply, done};
use crate::poll::sentinels::monitored;
use crate::sentinels::{self, login};
use codis_runtime::peer::Peer;

/// How long a sentinel may take to answer.
const INFO_MAX: Duration = Duration::from_secs(1);

/// All routes of sentinels.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/sentinels/add/{xauth}/{addr}", put(add))
        .route("/sentinels/del/{xauth}/{addr}/{force}", put(del))
        .route("/sentinels/resync-all/{xauth}", put(resync_all))
        .route("/sentinels/info/{addr}", get(info))
        .route("/sentinels/info/{addr}/monitored", get(watched))
}

async fn add(call: Call) -> Reply {
    let addr = call.text("addr")?.to_owned();
    done(sentinels::add(&call.core, call.audit(), addr).await)
}

async fn del(call: Call) -> Reply {
    let (addr, force) = (call.text("addr")?.to_owned(), call.flag("force")?);
    done(sentinels::remove(&call.core, call.audit(), addr, force).await)
}

async fn resync_all(call: Call) -> Reply {
    done(sentinels::resync_all(&call.core, call.audit()).await)
}

async fn info(call: Call) -> Reply {
    let mut peer = connect(&call).await?;
    let fields = peer
        .info()
        .await
        .map_err(|error| ApiError::new(error.to_string()))?;
    Ok(json(&fields))
}

async fn watched(call: Call) -> Reply {
    let mut peer = connect(&call).await?;
    let found = monitored(&mut peer, &call.core.settings.product_name).await;
    Ok(json(
        &found.map_err(|error| ApiError::new(error.to_string()))?,
    ))
}

/// A connection to a sentinel of the product, and to no other address.
async fn connect(call: &Call) -> Result<Peer, ApiError> {
    let addr = call.text("addr")?;
    if !call
        .core
        .state
        .cluster()
        .sentinel()
        .servers
        .iter()
        .any(|known| known == addr)
    {
        return Err(Refusal::SentinelMissing(addr.to_owned()).into());
    }
    let connected = Peer::connect_as(addr, &login(&call.core.settings), INFO_MAX).await;
    connected.map_err(|error| ApiError::new(error.to_string()))
}
