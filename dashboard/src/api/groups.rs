//! Groups and their servers.

use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderName, HeaderValue};
use axum::routing::{get, put};
use codis_runtime::http::{ApiError, json, ok};
use codis_topom::inquiry::Silent;
use codis_topom::{Refusal, edit};

use super::call::{Call, is_forced};
use super::{App, Reply, done};
use crate::groups::{self, NewServer};
use crate::promote;
use codis_runtime::peer::Peer;

/// The header of what an operator should know of a change that was made.
const WARNING: HeaderName = HeaderName::from_static(codis_runtime::http::WARNING);
/// How long a server may take to tell its figures.
const INFO_MAX: Duration = Duration::from_secs(1);

/// All routes of groups.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/group/create/{xauth}/{gid}", put(create))
        .route("/group/remove/{xauth}/{gid}", put(remove))
        .route("/group/resync/{xauth}/{gid}", put(resync))
        .route("/group/resync-all/{xauth}", put(resync_all))
        .route("/group/add/{xauth}/{gid}/{addr}", put(add))
        .route("/group/add/{xauth}/{gid}/{addr}/{datacenter}", put(add))
        .route("/group/del/{xauth}/{gid}/{addr}", put(del))
        .route("/group/promote/{xauth}/{gid}/{addr}", put(promote))
        .route(
            "/group/replica-groups/{xauth}/{gid}/{addr}/{value}",
            put(replica_groups),
        )
        .route(
            "/group/replica-groups-all/{xauth}/{value}",
            put(replica_groups_all),
        )
        .route("/group/action/create/{xauth}/{addr}", put(create_sync))
        .route("/group/action/remove/{xauth}/{addr}", put(remove_sync))
        .route("/group/info/{addr}", get(info))
}

async fn create(call: Call) -> Reply {
    let gid = call.integer("gid")?;
    call.edit(move |cluster| edit::create_group(cluster, gid))
        .await
}

async fn remove(call: Call) -> Reply {
    let gid = call.group()?;
    call.edit(move |cluster| edit::remove_group(cluster, gid))
        .await
}

async fn resync(call: Call) -> Reply {
    done(groups::resync(&call.core, call.audit(), call.group()?).await)
}

async fn resync_all(call: Call) -> Reply {
    done(groups::resync_all(&call.core, call.audit()).await)
}

/// Adds a server; what the operator should know of it goes into a header, for the body is what the
/// tools of Codis compare with `"OK"`.
async fn add(call: Call, RawQuery(query): RawQuery) -> Reply {
    let to = NewServer {
        group: call.group()?,
        addr: call.text("addr")?.to_owned(),
        datacenter: call.text("datacenter").unwrap_or_default().to_owned(),
    };
    let force = is_forced(query.as_deref())?;
    let warnings = groups::add_server(&call.core, call.audit(), to, force).await?;
    let mut response = ok();
    for warning in warnings {
        if let Ok(value) = HeaderValue::try_from(warning) {
            response.headers_mut().append(WARNING, value);
        }
    }
    Ok(response)
}

async fn del(call: Call) -> Reply {
    let (gid, addr) = (call.group()?, call.text("addr")?.to_owned());
    call.edit(move |cluster| edit::remove_server(cluster, gid, &addr))
        .await
}

/// With `force` the caller answers for it that a master that does not answer is dead.
async fn promote(call: Call, RawQuery(query): RawQuery) -> Reply {
    let whom = (call.group()?, call.text("addr")?.to_owned());
    let silent = match is_forced(query.as_deref())? {
        true => Silent::IsDead,
        false => Silent::MayLive,
    };
    done(promote::promote(&call.core, call.audit(), whom, silent).await)
}

async fn replica_groups(call: Call) -> Reply {
    let (gid, addr, value) = (
        call.group()?,
        call.text("addr")?.to_owned(),
        call.flag("value")?,
    );
    call.edit(move |cluster| edit::replica_groups(cluster, gid, &addr, value))
        .await
}

async fn replica_groups_all(call: Call) -> Reply {
    let value = call.flag("value")?;
    call.edit(move |cluster| edit::replica_groups_all(cluster, value))
        .await
}

async fn create_sync(call: Call) -> Reply {
    let addr = call.text("addr")?.to_owned();
    call.edit(move |cluster| edit::create_sync(cluster, &addr))
        .await
}

async fn remove_sync(call: Call) -> Reply {
    let addr = call.text("addr")?.to_owned();
    call.edit(move |cluster| edit::remove_sync(cluster, &addr))
        .await
}

/// The figures of a server of the product. Any other address is refused: the password would go to
/// whoever listens there.
async fn info(call: Call) -> Reply {
    let addr = call.text("addr")?;
    if call.core.state.cluster().find_server(addr).is_none() {
        return Err(Refusal::ServerMissing(addr.to_owned()).into());
    }
    let auth = &call.core.settings.product_auth;
    let asked = async { Peer::connect(addr, auth, INFO_MAX).await?.full_info().await };
    let info = asked
        .await
        .map_err(|error| ApiError::new(error.to_string()))?;
    Ok(json(&info.fields()))
}
