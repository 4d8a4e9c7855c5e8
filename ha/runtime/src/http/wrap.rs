//! What every request passes on its way to a handler and back.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::compression::CompressionLayer;

use super::forward::Sent;
use super::masked;
use super::reply::{ApiError, not_found};

/// The largest request body.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// `router` with everything that [`super::serve()`] adds to it but the optional slash.
pub fn app(router: Router) -> Router {
    router
        .layer(middleware::from_fn(guard))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(CompressionLayer::new().gzip(true))
}

/// Drops a slash at the end of the path, so that each route is written once.
pub(super) fn without_slash<B>(request: &mut axum::http::Request<B>) {
    let uri = request.uri();
    let trimmed = uri.path().trim_end_matches('/');
    if trimmed.len() == uri.path().len() || trimmed.is_empty() {
        return;
    }
    let text = match uri.query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    let Ok(path) = text.parse::<PathAndQuery>() else {
        return;
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path);
    if let Ok(routed) = Uri::from_parts(parts) {
        let sent = std::mem::replace(request.uri_mut(), routed);
        request.extensions_mut().insert(Sent(sent));
    }
}

async fn guard(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    log_change(&request);
    if let Some(refused) = too_large(request.headers()) {
        return refused;
    }
    let response = match caught(next.run(request)).await {
        Ok(response) => response,
        Err(panic) => {
            let (text, path) = (panic_text(&*panic), masked(&path));
            tracing::error!(%method, path, "handler panicked: {text}");
            (StatusCode::INTERNAL_SERVER_ERROR, "500 internal error").into_response()
        }
    };
    let status = response.status();
    let unrouted =
        status == StatusCode::NOT_FOUND && !response.headers().contains_key(header::CONTENT_TYPE);
    if unrouted || status == StatusCode::METHOD_NOT_ALLOWED {
        return not_found();
    }
    response
}

/// Refuses a body by its announced length, before it is sent. One without an announcement is cut
/// by the extractor that reads it.
fn too_large(headers: &HeaderMap) -> Option<Response> {
    let announced = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    let len: u64 = announced.parse().ok()?;
    (len > REQUEST_BYTES_MAX as u64).then(|| {
        let text = format!("a body of {len} bytes is over the limit of {REQUEST_BYTES_MAX}");
        let mut response = ApiError::new(text).into_response();
        // What the caller goes on to send would be taken for the next request.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    })
}

/// Logs what changes something, and who asked for it.
fn log_change(request: &Request) {
    let path = request.uri().path();
    if matches!(*request.method(), Method::GET | Method::HEAD) || !path.starts_with("/api/") {
        return;
    }
    let remote = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let remote = remote.map_or_else(String::new, |ConnectInfo(addr)| addr.to_string());
    let forwarded = forwarded_for(request.headers());
    tracing::info!(method = %request.method(), path = masked(path), remote, forwarded, "api call");
}

fn forwarded_for(headers: &HeaderMap) -> &str {
    ["x-real-ip", "x-forwarded-for"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())
        .unwrap_or_default()
}

/// Runs `work` to its end or to its panic.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    poll_fn(move |context| {
        // The future is not polled again after a panic, so no broken state is seen.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        (None, None) => "without a text",
    }
}
