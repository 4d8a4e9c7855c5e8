//! What anybody may read.

use axum::Router;
use axum::routing::get;
use codis_runtime::http::json;
use codis_topom::form;

use super::call::{Call, Known};
use super::{App, Reply};
use crate::stats;

/// Pages below the root.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/topom", get(overview))
        .route("/topom/model", get(model))
        .route("/topom/stats", get(statistics))
        .route("/topom/slots", get(slots))
        .route("/topom/slots/ranges", get(ranges))
}

/// Calls below `/api/topom`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/model", get(model))
        .route("/stats/{xauth}", get(statistics))
        .route("/slots/{xauth}", get(slots))
}

async fn overview(call: Call) -> Reply {
    Ok(json(&stats::overview(&call.core)))
}

async fn model(known: Known) -> Reply {
    Ok(json(known.app.model()))
}

async fn statistics(call: Call) -> Reply {
    Ok(json(&stats::stats(&call.core)))
}

/// The slots as nobody in particular is sent them.
async fn slots(call: Call) -> Reply {
    let method = call.core.settings.migration_method.forward_method();
    Ok(json(&form::all(&call.core.state.cluster(), method, None)))
}

/// Who owns what, in a few lines instead of a thousand.
async fn ranges(call: Call) -> Reply {
    Ok(json(&stats::ranges(call.core.state.cluster().slots())))
}
