//! The routes that every daemon serves beside its own.
//!
//! `/live`: the process runs. `/ready`: it would take traffic now. `/metrics`: figures. `PUT
//! /loglevel/{level}`, from this host alone: the log level.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

use super::reply::{ApiError, ok};
use crate::metrics::{self, Metrics};
use crate::telemetry;

type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Builds the standard routes.
#[derive(Clone)]
pub struct Standard {
    metrics: Metrics,
    ready: Ready,
    log: Option<telemetry::Handle>,
}

impl Standard {
    /// Routes that serve `metrics` and are always ready.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            ready: Arc::new(|| Ok(())),
            log: None,
        }
    }

    /// Makes `/ready` ask `ready`, which says why not.
    #[must_use]
    pub fn ready(mut self, ready: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.ready = Arc::new(ready);
        self
    }

    /// Lets this host change the log level.
    #[must_use]
    pub fn log(mut self, log: telemetry::Handle) -> Self {
        self.log = Some(log);
        self
    }

    /// The routes, to be merged with the daemon's own.
    pub fn routes(self) -> Router {
        let Self {
            metrics,
            ready,
            log,
        } = self;
        let routes = Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(move || async move { readiness(&ready) }))
            .route("/metrics", get(move || async move { scrape(&metrics) }));
        match log {
            None => routes,
            Some(log) => {
                routes.route(
                    "/loglevel/{level}",
                    put(
                        move |ConnectInfo(peer): ConnectInfo<SocketAddr>,
                              Path(level): Path<String>| {
                            async move { set_level(peer, &level, &log) }
                        },
                    ),
                )
            }
        }
    }
}

impl fmt::Debug for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standard").finish_non_exhaustive()
    }
}

fn readiness(ready: &Ready) -> Response {
    match ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {why}\n"),
        )
            .into_response(),
    }
}

fn scrape(metrics: &Metrics) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            let text = format!("encode metrics: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

fn set_level(peer: SocketAddr, level: &str, log: &telemetry::Handle) -> Result<Response, ApiError> {
    if !peer.ip().is_loopback() {
        return Err(ApiError::new(
            "the log level is changed from this host alone",
        ));
    }
    log.set_level(level.parse()?);
    Ok(ok())
}
