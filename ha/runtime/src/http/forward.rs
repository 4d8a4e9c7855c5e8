//! Passing a request on to another server, as a reverse proxy does.
//!
//! The web front end sends browsers' calls to the dashboard of a product, and a standby dashboard
//! sends changes to its leader. Both bodies stream: nothing is kept here, so a large body costs no
//! memory and a slow answer shows as it comes. Only the dial has a limit. A call may rightly take
//! minutes, and who gives up is the client: its end ends the call to the server too.
//!
//! The answer is passed on as it is, status 800 and its reason with it. Headers that speak of one
//! connection stay on it. `X-Forwarded-For` names the client; [`HOPS_HEADER`] counts the hops, so
//! that servers which send a request in a circle end it.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use axum::response::Response;
use hyper::ext::ReasonPhrase;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower_service::Service;

/// How often a request was passed on already, in decimal.
pub const HOPS_HEADER: HeaderName = HeaderName::from_static("x-codis-hops");
/// How often a request may be passed on when the hop does not say: front end, standby, leader, and
/// one more while leadership moves.
pub const HOPS_MAX: u32 = 4;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Shorter than servers keep an idle connection (ours 75 s, the original's 60 s).
const IDLE_MAX: Duration = Duration::from_secs(30);
const IDLE_PER_HOST_MAX: usize = 8;

/// What belongs to one connection, beside what its `Connection` header lists.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What a hop says about itself to the next server.
#[derive(Clone, Debug)]
pub struct Hop {
    /// How often the request may be passed on in all, this time included.
    pub hops_max: u32,
    /// Headers to set, over what the client sent.
    pub headers: HeaderMap,
}

impl Default for Hop {
    fn default() -> Self {
        Self {
            hops_max: HOPS_MAX,
            headers: HeaderMap::new(),
        }
    }
}

/// Why a request was not passed on, or its answer not back.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// It has been passed on too often: servers send it in a circle.
    #[error("passed on {hops} times already: the servers on its way point at each other")]
    Loop {
        /// How often.
        hops: u32,
    },
    /// The text is no `host:port`.
    #[error("`{to}` is no address to forward to: expected host:port")]
    Address {
        /// The text.
        to: String,
    },
    /// No connection: nothing was sent.
    #[error("connect to {to}: {reason}")]
    Connect {
        /// The server.
        to: String,
        /// What the system says.
        reason: String,
    },
    /// The connection broke before the answer: the request may have been carried out.
    #[error("no answer from {to}: {reason}; the request may have been carried out")]
    Broken {
        /// The server.
        to: String,
        /// What happened.
        reason: String,
    },
}

impl ForwardError {
    /// Whether the server surely has not seen the request.
    pub const fn is_unsent(&self) -> bool {
        !matches!(self, Self::Broken { .. })
    }
}

/// The URI as the client sent it, where the server changed it before routing.
#[derive(Clone, Debug)]
pub(super) struct Sent(pub(super) Uri);

/// Passes requests on. Clones share connections.
#[derive(Clone)]
pub struct Forwarder {
    client: legacy::Client<Dial, Body>,
}

impl Forwarder {
    /// A forwarder that gives up connecting after `dial`, name lookup included.
    pub fn new(dial: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(Dial { tcp, limit: dial });
        Self { client }
    }

    /// Sends `request` to the server at `to` (`host:port`), path and query unchanged, and gives its
    /// answer as soon as its head is there.
    ///
    /// # Errors
    /// See [`ForwardError`]. A body that breaks off later ends the answer in the middle.
    pub async fn forward(
        &self,
        to: &str,
        request: Request,
        hop: &Hop,
    ) -> Result<Response, ForwardError> {
        let request = outgoing(to, request, hop)?;
        let answer = self.client.request(request).await;
        let (mut head, body) = answer.map_err(|error| failed(&error, to))?.into_parts();
        drop_hop_by_hop(&mut head.headers);
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if let Some(reason) = head.extensions.remove::<ReasonPhrase>() {
            response.extensions_mut().insert(reason);
        }
        Ok(response)
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").finish_non_exhaustive()
    }
}

/// The request that leaves for `to`.
fn outgoing(to: &str, request: Request, hop: &Hop) -> Result<Request, ForwardError> {
    let (head, body) = request.into_parts();
    let hops = hops(&head.headers);
    if hops >= hop.hops_max {
        return Err(ForwardError::Loop { hops });
    }
    let sent = head
        .extensions
        .get::<Sent>()
        .map_or(&head.uri, |sent| &sent.0);
    let mut onward = Request::new(body);
    *onward.uri_mut() = target(to, sent)?;
    *onward.method_mut() = head.method;
    *onward.version_mut() = Version::HTTP_11;
    let mut headers = head.headers;
    // A length beside chunks is not to be trusted, and chunks are made anew.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    drop_hop_by_hop(&mut headers);
    // This server says `continue` itself, as soon as the body is asked for.
    headers.remove(header::EXPECT);
    if let Some(ConnectInfo(peer)) = head.extensions.get::<ConnectInfo<SocketAddr>>() {
        name_client(&mut headers, *peer);
    }
    headers.insert(HOPS_HEADER, HeaderValue::from(hops + 1));
    for (name, value) in &hop.headers {
        headers.insert(name, value.clone());
    }
    *onward.headers_mut() = headers;
    Ok(onward)
}

/// How often the request was passed on; a count that is none came from no hop.
fn hops(headers: &HeaderMap) -> u32 {
    let count = headers
        .get(HOPS_HEADER)
        .and_then(|value| value.to_str().ok());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn target(to: &str, sent: &Uri) -> Result<Uri, ForwardError> {
    let wrong = || ForwardError::Address { to: to.to_owned() };
    let authority: Authority = to.parse().map_err(|_| wrong())?;
    if authority.port_u16().is_none() || to.contains('@') {
        return Err(wrong());
    }
    let path = sent.path_and_query().cloned();
    let mut parts = axum::http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|_| wrong())
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Adds the peer to those that `X-Forwarded-For` names already.
fn name_client(headers: &mut HeaderMap, peer: SocketAddr) {
    let earlier = headers.get_all(FORWARDED_FOR).iter();
    let mut names: Vec<&str> = earlier.filter_map(|value| value.to_str().ok()).collect();
    let peer = peer.ip().to_canonical().to_string();
    names.push(&peer);
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(FORWARDED_FOR, value);
    }
}

fn failed(error: &legacy::Error, to: &str) -> ForwardError {
    let mut innermost: &(dyn StdError + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let (to, reason) = (to.to_owned(), innermost.to_string());
    if error.is_connect() {
        return ForwardError::Connect { to, reason };
    }
    ForwardError::Broken { to, reason }
}

/// Opens connections, for a bounded time: the limit of the connector itself leaves out the lookup.
#[derive(Clone, Debug)]
struct Dial {
    tcp: HttpConnector,
    limit: Duration,
}

type Dialled = Result<TokioIo<TcpStream>, Box<dyn StdError + Send + Sync>>;

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Dialled> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (dialling, limit) = (self.tcp.call(to), self.limit);
        Box::pin(async move {
            match tokio::time::timeout(limit, dialling).await {
                Ok(dialled) => dialled.map_err(Into::into),
                Err(_) => {
                    let text = format!("no connection within {limit:?}");
                    Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_are_dialled() {
        let sent: Uri = "/topom?forward=a%20b".parse().unwrap();
        let uri = target("[::1]:18080", &sent).unwrap();
        assert_eq!(uri.to_string(), "http://[::1]:18080/topom?forward=a%20b");
        for bad in ["", "h", "u:p@h:1", "h:1/x", "http://h:1", "h:99999"] {
            assert!(target(bad, &sent).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_belongs_to_a_connection_stays_on_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("x-other", "2"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-other"], "2");
    }
}
