//! Proxies.

use axum::Router;
use axum::routing::put;

use super::call::Call;
use super::{App, Reply, done};
use crate::proxies;

/// All routes of proxies.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/proxy/create/{xauth}/{addr}", put(create))
        .route("/proxy/online/{xauth}/{addr}", put(online))
        .route("/proxy/reinit/{xauth}/{token}", put(reinit))
        .route("/proxy/remove/{xauth}/{token}/{force}", put(remove))
}

async fn create(call: Call) -> Reply {
    done(proxies::create(&call.core, call.audit(), call.text("addr")?).await)
}

async fn online(call: Call) -> Reply {
    done(proxies::online(&call.core, call.audit(), call.text("addr")?).await)
}

async fn reinit(call: Call) -> Reply {
    done(proxies::reinit(&call.core, &call.audit(), call.text("token")?).await)
}

async fn remove(call: Call) -> Reply {
    let force = call.flag("force")?;
    done(proxies::remove(&call.core, call.audit(), call.text("token")?, force).await)
}
