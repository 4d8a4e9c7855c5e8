//! What every request passes: it is counted, and one that may change something is followed to its
//! end for the audit log.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, OriginalUri, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use codis_runtime::http::{Cause, percent_decoded};

use super::App;
use super::call::is_forced;
use crate::audit::Origin;
use crate::state::Audit;

/// Characters of a request's words, or of whom it is for, that are kept.
const WORDS_MAX: usize = 256;

/// Counts a request by the status of its answer.
pub async fn counted(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    app.counters().answered(&method, response.status());
    response
}

/// Follows a request that may change something to its end.
pub async fn audited(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || request.extensions().get::<MatchedPath>().is_none() {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let audit = audit_of(&parts);
    parts.extensions.insert(audit.clone());
    let call = app.audit().begin(audit);
    let response = next.run(Request::from_parts(parts, body)).await;
    match response.status() {
        StatusCode::OK => call.end(None),
        // The route exists, for another method: nobody was asked anything.
        StatusCode::METHOD_NOT_ALLOWED => call.forget(),
        status => {
            let cause = response.extensions().get::<Cause>();
            call.end(Some(cause.map_or_else(
                || format!("status {}", status.as_u16()),
                |Cause(cause)| cause.clone(),
            )));
        }
    }
    response
}

/// Who asks for what.
pub fn audit_of(parts: &Parts) -> Audit {
    Audit {
        who: who(parts),
        what: what(parts),
    }
}

/// The peer, whom it says that it speaks for, and which program it says that it is.
fn who(parts: &Parts) -> Origin {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or_else(
        || "unknown".to_owned(),
        |ConnectInfo(addr)| addr.to_string(),
    );
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let forwarded = header("x-real-ip").or_else(|| header("x-forwarded-for"));
    Origin {
        peer,
        forwarded: forwarded.map(shortened),
        agent: header("user-agent").map(shortened),
    }
}

/// The path below the API, decoded, without the place of the secret; and whether it was forced.
fn what(parts: &Parts) -> String {
    let whole = parts.extensions.get::<OriginalUri>();
    let path = whole.map_or(parts.uri.path(), |OriginalUri(uri)| uri.path());
    let route = parts.extensions.get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str).split('/');
    // A path has as many segments as its route: no route of the API has a wildcard.
    let named = route.chain(std::iter::repeat(""));
    let shown: Vec<String> = path
        .split('/')
        .zip(named)
        .filter(|(_, name)| *name != "{xauth}")
        .map(|(segment, _)| percent_decoded(segment).unwrap_or_else(|| segment.to_owned()))
        .collect();
    let shown = shown.join("/");
    let below = shown.strip_prefix("/api/topom/").unwrap_or(&shown);
    let called = shortened(below.trim_matches('/'));
    match is_forced(parts.uri.query()) {
        Ok(true) => format!("{called} forced"),
        Ok(false) | Err(_) => called,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(WORDS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(shortened("abc"), "abc");
        let long = "\u{e4}".repeat(WORDS_MAX + 1);
        assert_eq!(shortened(&long).chars().count(), WORDS_MAX + 3);
    }
}
