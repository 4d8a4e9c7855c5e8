//! Who answers a call: this dashboard, or the one that leads.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use codis_core::api::STATUS_ERROR;
use codis_runtime::http::{ApiError, json};

use super::{App, Reply, Seat};
use crate::standby::{LEADER_PATH, Who};

/// All routes.
pub fn routes() -> Router<App> {
    Router::new().route(LEADER_PATH, get(who))
}

async fn who(State(app): State<App>) -> Reply {
    let who = match &*app.seat() {
        Seat::Leading(core) => Who {
            leading: true,
            leader: Some(app.model().admin_addr.clone()),
            term: Some(core.lease.term()),
            lease_left_ms: u64::try_from(core.lease.left().as_millis()).ok(),
            records_age_ms: None,
        },
        Seat::Standby(standby) => standby.who(),
        Seat::Starting | Seat::Closed => Who::default(),
    };
    Ok(json(&who))
}

/// Sends a call to the one that leads, unless it is about this process. A call that is under way
/// when the lead ends is cut: what it would still order is not this one's to order.
pub async fn seated(State(app): State<App>, request: Request, next: Next) -> Response {
    if is_own(request.uri().path()) {
        return next.run(request).await;
    }
    match &*app.seat() {
        Seat::Leading(core) => {
            let lease = core.lease.clone();
            let response = tokio::select! {
                response = next.run(request) => response,
                () = lease.over() => return stopped_leading(),
            };
            // What it was refused by then says nothing of the call.
            let refused = response.status().as_u16() == STATUS_ERROR;
            if refused && lease.is_over() {
                return stopped_leading();
            }
            response
        }
        Seat::Standby(standby) => standby.answer(request).await,
        Seat::Starting | Seat::Closed => next.run(request).await,
    }
}

fn stopped_leading() -> Response {
    let text = "this dashboard stopped leading before it answered: the call may or may not have \
                been carried out, look before you call again";
    ApiError::new(text).into_response()
}

/// Whether a call is about the process that it reaches.
fn is_own(path: &str) -> bool {
    if path == "/" || path.starts_with("/debug") || path == "/topom/model" || path == LEADER_PATH {
        return true;
    }
    let call = path.strip_prefix("/api/topom/").unwrap_or_default();
    ["model", "xping", "shutdown", "loglevel"].contains(&call.split('/').next().unwrap_or_default())
}
