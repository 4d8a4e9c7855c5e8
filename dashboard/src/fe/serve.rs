//! What the front end answers itself, and what goes on to dashboards.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Query, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use codis_core::json;
use codis_runtime::http::forward::{ForwardError, Forwarder, Hop};
use codis_runtime::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;

use super::assets::Assets;
use super::directory::Directory;

/// How long a dashboard may take to accept a connection.
const DIAL_MAX: Duration = Duration::from_secs(10);

/// What the front end counts. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Requests that a dashboard answered.
    pub forwarded: Counter,
    /// Requests that no dashboard answered.
    pub forwards_failed: Counter,
    /// Requests for products that are not there.
    pub forwards_refused: Counter,
    /// Reads of the list of products.
    pub list_reads: Counter,
    /// Such reads that failed.
    pub list_reads_failed: Counter,
}

impl Counters {
    /// Counters that `metrics` shows.
    pub fn register(metrics: &Metrics) -> Self {
        let counters = Self::default();
        metrics.counters([
            (
                "forwarded",
                "Calls that a dashboard answered",
                &counters.forwarded,
            ),
            (
                "forwards_failed",
                "Calls that no dashboard answered",
                &counters.forwards_failed,
            ),
            (
                "forwards_refused",
                "Calls for products that are not there",
                &counters.forwards_refused,
            ),
            (
                "list_reads",
                "Reads of the list of products",
                &counters.list_reads,
            ),
            (
                "list_reads_failed",
                "Reads of the list of products that failed",
                &counters.list_reads_failed,
            ),
        ]);
        counters
    }
}

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Fe {
    directory: Arc<Directory>,
    assets: Assets,
    forwarder: Forwarder,
    counters: Counters,
}

impl Fe {
    /// A front end for the products of `directory`.
    pub fn new(directory: Arc<Directory>, assets: Assets, counters: Counters) -> Self {
        Self {
            directory,
            assets,
            forwarder: Forwarder::new(DIAL_MAX),
            counters,
        }
    }
}

/// All routes. `standard` are those that every daemon has; a call with `?forward=` goes before
/// them, so that the metrics of a dashboard can be read through here too.
pub fn router(fe: Fe, standard: Router) -> Router {
    Router::new()
        .route("/list", get(list))
        .fallback(forward)
        .with_state(fe.clone())
        .merge(standard)
        .layer(middleware::from_fn_with_state(fe, first))
}

/// Files and what is to be forwarded come before every route but `/list`.
async fn first(State(fe): State<Fe>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == "/list" {
        return next.run(request).await;
    }
    if matches!(*request.method(), Method::GET | Method::HEAD)
        && let Some(file) = fe.assets.find(path).await
    {
        return file;
    }
    if product(request.uri()).is_some() {
        return forward(State(fe), request).await;
    }
    next.run(request).await
}

async fn list(State(fe): State<Fe>) -> Response {
    let names = json::encode(&fe.directory.names().await);
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], names).into_response()
}

/// Sends a call to the dashboard of the product that it names.
async fn forward(State(fe): State<Fe>, request: Request) -> Response {
    let refused = || {
        fe.counters.forwards_refused.inc();
        StatusCode::FORBIDDEN.into_response()
    };
    let Some(name) = product(request.uri()) else {
        return refused();
    };
    let Some(addr) = fe.directory.find(&name).await else {
        return refused();
    };
    let again = again(&request);
    let mut answer = fe.send(&name, &addr, request).await;
    if answer.as_ref().is_err_and(ForwardError::is_unsent) {
        // It may have moved. A call with a body is gone with its first try.
        let moved = fe.directory.find_again(&name).await;
        if let (Some(to), Some(request)) = (moved.filter(|to| *to != addr), again) {
            answer = fe.send(&name, &to, request).await;
        }
    }
    match answer {
        Ok(response) => {
            fe.counters.forwarded.inc();
            response
        }
        Err(error) => {
            fe.counters.forwards_failed.inc();
            tracing::warn!(product = name, "call not forwarded: {error}");
            let text = format!("dashboard of {name}: {error}\n");
            (StatusCode::BAD_GATEWAY, text).into_response()
        }
    }
}

impl Fe {
    async fn send(&self, name: &str, to: &str, request: Request) -> Result<Response, ForwardError> {
        if to.is_empty() {
            let reason = format!("no dashboard of {name} runs: start codis-dashboard");
            let to = "it".to_owned();
            return Err(ForwardError::Connect { to, reason });
        }
        self.forwarder.forward(to, request, &Hop::default()).await
    }
}

/// The product that a call is for: the first `forward` of its query.
fn product(uri: &Uri) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let named = pairs.into_iter().find(|(name, _)| name == "forward");
    named
        .map(|(_, product)| product)
        .filter(|name| !name.is_empty())
}

/// The same call once more, when it has no body.
fn again(request: &Request) -> Option<Request> {
    if !request.body().is_end_stream() {
        return None;
    }
    let mut again = Request::default();
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_the_first_that_the_query_names() {
        let of = |uri: &str| product(&uri.parse().unwrap());
        assert_eq!(of("/topom?forward=a-b.c").as_deref(), Some("a-b.c"));
        assert_eq!(of("/x?y=1&forward=a%20b&forward=c").as_deref(), Some("a b"));
        for none in [
            "/topom",
            "/topom?forward=",
            "/topom?Forward=a",
            "/forward=a",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
