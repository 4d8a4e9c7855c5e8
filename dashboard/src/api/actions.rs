//! Slot actions, and the plans that queue many of them.

use axum::Router;
use axum::http::Uri;
use axum::routing::put;
use codis_runtime::http::{ApiError, json};
use codis_topom::edit;

use super::call::Call;
use super::{App, Reply};
use crate::rebalance::{self, By};

/// All routes of slot actions.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/slots/action/create/{xauth}/{sid}/{gid}", put(create))
        .route(
            "/slots/action/create-some/{xauth}/{src}/{dst}/{num}",
            put(create_some),
        )
        .route(
            "/slots/action/create-range/{xauth}/{beg}/{end}/{gid}",
            put(create_range),
        )
        .route("/slots/action/remove/{xauth}/{sid}", put(remove))
        .route("/slots/action/cancel/{xauth}/{sid}", put(cancel))
        .route("/slots/action/interval/{xauth}/{value}", put(interval))
        .route("/slots/action/disabled/{xauth}/{value}", put(disabled))
        .route("/slots/rebalance/{xauth}/{confirm}", put(rebalance))
}

async fn create(call: Call) -> Reply {
    let (sid, gid) = (call.integer("sid")?, call.integer("gid")?);
    call.edit(move |cluster| edit::create_action(cluster, sid, gid))
        .await
}

async fn create_some(call: Call) -> Reply {
    let (from, to) = (call.integer("src")?, call.integer("dst")?);
    let num = call.integer("num")?;
    call.edit(move |cluster| edit::create_some(cluster, from, to, num))
        .await
}

async fn create_range(call: Call) -> Reply {
    let (beg, end) = (call.integer("beg")?, call.integer("end")?);
    let gid = call.integer("gid")?;
    call.edit(move |cluster| edit::create_range(cluster, beg, end, gid))
        .await
}

async fn remove(call: Call) -> Reply {
    let sid = call.integer("sid")?;
    call.edit(move |cluster| edit::remove_action(cluster, sid))
        .await
}

/// Answers once the wish is on record; the mover brings the keys back.
async fn cancel(call: Call) -> Reply {
    let sid = call.integer("sid")?;
    call.edit(move |cluster| edit::cancel_action(cluster, sid))
        .await
}

async fn interval(call: Call) -> Reply {
    let value = call.integer("value")?;
    call.edit(move |cluster| edit::set_interval(cluster, value))
        .await
}

async fn disabled(call: Call) -> Reply {
    let value = call.flag("value")?;
    call.edit(move |cluster| edit::set_disabled(cluster, value))
        .await
}

/// Answers with the plan, and carries it out when it is confirmed.
async fn rebalance(call: Call, uri: Uri) -> Reply {
    let confirmed = call.flag("confirm")?;
    let by = by(&uri)?;
    let plan = if confirmed {
        rebalance::carry_out(&call.core, call.audit(), by).await?
    } else {
        rebalance::plan(&call.core, by).await?
    };
    Ok(json(&plan))
}

/// What `?by=` says; the number of slots without it, as in the original.
fn by(uri: &Uri) -> Result<By, ApiError> {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    let value = pairs.find_map(|pair| pair.strip_prefix("by="));
    match value.unwrap_or("slots") {
        "slots" => Ok(By::Slots),
        "memory" => Ok(By::Memory),
        "keys" => Ok(By::Keys),
        _ => Err(ApiError::new("invalid by, expected slots, memory or keys")),
    }
}
