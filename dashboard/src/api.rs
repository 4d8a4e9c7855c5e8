//! The HTTP API of Codis.

mod actions;
mod audit;
mod audited;
mod call;
mod groups;
mod leader;
mod mappings;
mod open;
mod proxies;
mod sentinels;
mod slots;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{any, get, put};
use codis_core::model::Topom;
use codis_core::xauth;
use codis_runtime::http::{ApiError, ok};
use codis_runtime::shutdown::Shutdown;
use codis_runtime::telemetry;

use crate::audit::AuditLog;
use crate::core::{Core, Failure};
use crate::metrics::Counters;
use crate::standby::Standby;
use crate::state::Audit;
use call::{Call, Known};

/// What this dashboard is just now.
#[derive(Clone, Debug)]
pub enum Seat {
    /// It has not tried yet to lead.
    Starting,
    /// Another one leads, or nobody.
    Standby(Arc<Standby>),
    /// It leads.
    Leading(Arc<Core>),
    /// It stops.
    Closed,
}

/// What the API serves: a dashboard that leads, or not. Clones are the same.
#[derive(Clone, Debug)]
pub struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    model: Topom,
    xauth: String,
    seat: ArcSwap<Seat>,
    shutdown: Shutdown,
    log: telemetry::Handle,
    counters: Counters,
    audit: AuditLog,
}

impl App {
    /// A dashboard that is not online.
    pub fn new(
        model: Topom,
        shutdown: Shutdown,
        log: telemetry::Handle,
        counters: Counters,
        audit: AuditLog,
    ) -> Self {
        let xauth = xauth::dashboard(&model.product_name);
        Self {
            inner: Arc::new(Inner {
                model,
                xauth,
                seat: ArcSwap::from_pointee(Seat::Starting),
                shutdown,
                log,
                counters,
                audit,
            }),
        }
    }

    /// Says what this dashboard is from now on.
    pub fn sit(&self, seat: Seat) {
        self.inner.seat.store(Arc::new(seat));
    }

    /// What it is.
    pub fn seat(&self) -> Arc<Seat> {
        self.inner.seat.load_full()
    }

    /// Who this dashboard is.
    pub fn model(&self) -> &Topom {
        &self.inner.model
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// The audit log.
    pub fn audit(&self) -> &AuditLog {
        &self.inner.audit
    }

    /// The cluster, if this dashboard leads it.
    pub fn leading(&self) -> Option<Arc<Core>> {
        self.core().ok()
    }

    /// Why calls would be refused, if they would.
    pub fn readiness(&self) -> Result<(), String> {
        match &*self.seat() {
            Seat::Standby(standby) => standby.readiness(),
            Seat::Starting | Seat::Leading(_) | Seat::Closed => {
                self.core().map(drop).map_err(|failure| failure.to_string())
            }
        }
    }

    fn core(&self) -> Result<Arc<Core>, Failure> {
        match &*self.seat() {
            Seat::Leading(core) => Ok(core.clone()),
            Seat::Closed => Err(Failure::new("use of closed topom")),
            Seat::Starting => Err(Failure::new("topom is not online")),
            // The call came in while it still led.
            Seat::Standby(_) => Err(Failure::new(
                "topom is not online: this dashboard does not lead any more, call again",
            )),
        }
    }

    fn check(&self, xauth: &str) -> Result<(), Failure> {
        if xauth == self.inner.xauth {
            Ok(())
        } else {
            Err(wrong_xauth())
        }
    }
}

/// What somebody is told who does not know the secret.
pub fn wrong_xauth() -> Failure {
    Failure::new("invalid xauth, please check product name & auth")
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
        .merge(actions::routes())
        .merge(audit::routes())
        .layer(from_fn_with_state(app.clone(), audited::audited));
    Router::new()
        .route("/", get(async || found("/topom")))
        .route("/debug", any(no_profiler))
        .route("/debug/{*page}", any(no_profiler))
        .merge(open::pages())
        .merge(leader::routes())
        .nest("/api/topom", api)
        .route_layer(from_fn_with_state(app.clone(), leader::seated))
        .layer(from_fn_with_state(app.clone(), audited::counted))
        .with_state(app)
}

/// Below `/debug`, where the original has the profiler of its language.
async fn no_profiler() -> Response {
    const HINT: &str = "no profiler here: run `perf record -g -p PID` on the host, \
                        see /metrics for figures\n";
    (axum::http::StatusCode::NOT_IMPLEMENTED, HINT).into_response()
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
