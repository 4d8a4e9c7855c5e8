//! HTTP as Codis speaks it, both sides.
//!
//! Server: a daemon builds an [`axum::Router`] and hands it to [`serve`], which adds what is the
//! same everywhere: a slash at the end of a path is optional, an unknown route and a wrong method
//! are both `404 page not found`, bodies are limited, answers are compressed for clients that
//! take gzip, changes are logged, a panicking handler costs its own request and nothing else.
//! Replies are made by [`json`], [`ok`] and [`ApiError`].
//!
//! Client: [`Client`] keeps connections alive, limits every call in time, and understands the
//! application errors that come as status 800. [`Line`] is for one who asks the same peer again and
//! again. [`forward::Forwarder`] passes a request on to
//! another server.

mod client;
pub mod forward;
mod line;
mod percent;
mod reply;
mod serve;
mod standard;
mod wrap;

pub use client::{
    Client, ClientError, RESPONSE_BYTES_MAX, STALE, WARNING, check_url, without_login,
};
pub use line::Line;
pub use percent::percent_decoded;
pub use reply::{ApiError, Cause, JsonBody, json, not_found, ok};
pub use serve::{CONNECTIONS_MAX, DRAIN_MAX, bind, serve};
pub use standard::Standard;
pub use wrap::{REQUEST_BYTES_MAX, app};

/// `path` with its first xauth (32 lower-case hexadecimal digits) made unreadable: it opens the
/// API to whoever reads the log.
pub fn masked(path: &str) -> String {
    const XAUTH_LEN: usize = 32;
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let mut found = false;
    let segments = path.split('/').map(|segment| {
        if !found && segment.len() == XAUTH_LEN && segment.bytes().all(hex) {
            found = true;
            "***"
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn the_secret_is_masked_and_the_token_is_not() {
        let (xauth, token) = ("c32db19baf104a834a2d07a99c55a19a", "0".repeat(32));
        assert_eq!(
            masked(&format!("/api/topom/proxy/online/{xauth}/{token}")),
            format!("/api/topom/proxy/online/***/{token}")
        );
        assert_eq!(masked("/api/topom/model"), "/api/topom/model");
    }
}
