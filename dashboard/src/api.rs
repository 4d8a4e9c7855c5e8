//! The HTTP API of Codis.

mod actions;
mod call;
mod groups;
mod open;
mod proxies;
mod sentinels;
mod slots;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, put};
use codis_core::model::Topom;
use codis_core::xauth;
use codis_runtime::http::{ApiError, ok};
use codis_runtime::shutdown::Shutdown;
use codis_runtime::telemetry;

use crate::core::{Core, Failure};
use crate::state::Audit;
use call::{Call, Known};

/// What the API serves: a dashboard that may not be online yet. Clones are the same.
#[derive(Clone, Debug)]
pub struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    model: Topom,
    xauth: String,
    core: OnceLock<Arc<Core>>,
    closed: AtomicBool,
    shutdown: Shutdown,
    log: telemetry::Handle,
}

impl App {
    /// A dashboard that is not online.
    pub fn new(model: Topom, shutdown: Shutdown, log: telemetry::Handle) -> Self {
        let xauth = xauth::dashboard(&model.product_name);
        let (core, closed) = (OnceLock::new(), AtomicBool::new(false));
        Self {
            inner: Arc::new(Inner {
                model,
                xauth,
                core,
                closed,
                shutdown,
                log,
            }),
        }
    }

    /// Lets calls reach the records.
    pub fn go_online(&self, core: Arc<Core>) {
        // It is called once; a second core would be a second owner, and is dropped.
        let _ = self.inner.core.set(core);
    }

    /// Refuses calls from now on.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
    }

    /// Who this dashboard is.
    pub fn model(&self) -> &Topom {
        &self.inner.model
    }

    /// Why calls would be refused, if they would.
    pub fn readiness(&self) -> Result<(), String> {
        self.core().map(drop).map_err(|failure| failure.to_string())
    }

    fn core(&self) -> Result<Arc<Core>, Failure> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(Failure::new("use of closed topom"));
        }
        self.inner
            .core
            .get()
            .cloned()
            .ok_or_else(|| Failure::new("topom is not online"))
    }

    fn check(&self, xauth: &str) -> Result<(), Failure> {
        if xauth == self.inner.xauth {
            Ok(())
        } else {
            Err(Failure::new(
                "invalid xauth, please check product name & auth",
            ))
        }
    }
}

/// What a handler answers.
type Reply = Result<Response, ApiError>;

/// All routes.
pub fn router(app: App) -> Router {
    let api = Router::new()
        .merge(open::routes())
        .route("/xping/{xauth}", get(async |_: Known| ok()))
        .route("/reload/{xauth}", put(reload))
        .route("/shutdown/{xauth}", put(shutdown))
        .route("/loglevel/{xauth}/{value}", put(loglevel))
        .merge(groups::routes())
        .merge(proxies::routes())
        .merge(sentinels::routes())
        .merge(slots::routes())
        .merge(actions::routes());
    Router::new()
        .route("/", get(async || found("/topom")))
        .merge(open::pages())
        .nest("/api/topom", api)
        .with_state(app)
}

/// `302`, as the original; the library has helpers for the other redirects only.
fn found(to: &str) -> Response {
    let mut response = Redirect::temporary(to).into_response();
    *response.status_mut() = axum::http::StatusCode::FOUND;
    response
}

async fn reload(call: Call) -> Reply {
    call.core.state.reload().await?;
    Ok(ok())
}

async fn shutdown(known: Known) -> Reply {
    known
        .app
        .inner
        .shutdown
        .request(format!("PUT shutdown from {}", known.audit.who));
    Ok(ok())
}

async fn loglevel(known: Known) -> Reply {
    known.app.inner.log.set_level(known.text("value")?.parse()?);
    Ok(ok())
}

/// An answer to a change that went well.
fn done(outcome: Result<(), Failure>) -> Reply {
    outcome?;
    Ok(ok())
}

impl Call {
    /// Makes a change that needs nothing but the records.
    async fn edit(
        self,
        decide: impl FnOnce(&codis_topom::Cluster) -> codis_topom::edit::Edit + Send + 'static,
    ) -> Reply {
        let Audit { who, what } = self.known.audit;
        self.core.state.edit(Audit { who, what }, decide).await?;
        Ok(ok())
    }
}
