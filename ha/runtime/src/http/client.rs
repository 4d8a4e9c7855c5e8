//! The client side of Codis's HTTP.
//!
//! The legacy error status 1500 is not understood: a status line has three digits, and neither this
//! client nor the originals can read another one. Such an answer is [`ClientError::Broken`].

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use codis_core::api::{RemoteError, STATUS_ERROR};

use super::{Line, masked};

/// The largest response body: an overview of 1024 slots and hundreds of servers is a tenth of it.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The header of an answer that says what its reader should look after, though all went well.
pub const WARNING: &str = "x-codis-warning";
/// The header of an answer that a dashboard gave from its own records, because the one that leads
/// did not answer: how old they are, in seconds.
pub const STALE: &str = "x-codis-stale";
/// How long an unused connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);
const IDLE_PER_HOST_MAX: usize = 8;
/// Bytes of an answer to a report that are given back.
const ANSWER_SHOWN_MAX: usize = 256;

/// Why a call gave no answer, and whether the other side may have acted on it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address or path makes no URL.
    #[error("invalid URL `{0}`")]
    Url(String),
    /// This side may not make the call any more: nothing was sent.
    #[error("not sent: {0}")]
    Withheld(String),
    /// No connection: nothing was sent.
    #[error("connect to {addr}: {reason}")]
    Connect {
        /// The peer.
        addr: String,
        /// What the system says.
        reason: String,
        /// Whether the peer's machine says that nobody listens there.
        refused: bool,
    },
    /// No answer in time; the request may have been carried out.
    #[error("no answer within {after:?} - {url}")]
    Timeout {
        /// How long was waited.
        after: Duration,
        /// What was asked, without its secret.
        url: String,
    },
    /// The connection broke; the request may have been carried out.
    #[error("{reason} - {url}")]
    Broken {
        /// What happened.
        reason: String,
        /// What was asked, without its secret.
        url: String,
    },
    /// The peer refused for a reason of its own.
    #[error("[Remote Error] {0}")]
    Remote(String),
    /// The peer answered with another status.
    #[error("[{code}] {reason} - {url}")]
    Status {
        /// The status.
        code: u16,
        /// Its text.
        reason: String,
        /// What was asked, without its secret.
        url: String,
    },
    /// The answer is not what was expected.
    #[error("unexpected answer: {reason} - {url}")]
    Answer {
        /// What is wrong with it.
        reason: String,
        /// What was asked, without its secret.
        url: String,
    },
}

impl ClientError {
    /// Whether the peer surely has not seen the request, so that asking again is safe.
    pub const fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Url(_) | Self::Withheld(_) | Self::Connect { .. }
        )
    }

    /// Whether the call ran out of time.
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether nobody listens at the peer's address.
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Connect { refused: true, .. })
    }

    /// Whether the peer answered, and only the answer is not the wanted one.
    pub const fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Remote(_) | Self::Status { .. } | Self::Answer { .. }
        )
    }
}

/// A client that keeps connections alive. Clones share them.
#[derive(Clone)]
pub struct Client {
    inner: legacy::Client<HttpConnector, Full<Bytes>>,
    headers: HeaderMap,
    connect_timeout: Duration,
    total_timeout: Duration,
    on_warning: Option<fn(&str)>,
    fresh_only: bool,
}

impl Client {
    /// A client that gives up connecting after `connect_timeout` and a whole call after
    /// `total_timeout`.
    pub fn new(connect_timeout: Duration, total_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(connector);
        Self {
            inner,
            headers: HeaderMap::new(),
            connect_timeout,
            total_timeout,
            on_warning: None,
            fresh_only: false,
        }
    }

    /// The same client with a header that each call carries; one that is none is left out.
    #[must_use]
    pub fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        if let Ok(value) = HeaderValue::from_str(value) {
            client.headers.insert(name, value);
        }
        client
    }

    /// The same client with the name of this program in each request: a dashboard writes it into
    /// its audit log.
    #[must_use]
    pub fn as_program(&self, name: &str) -> Self {
        let agent = format!("{name}/{}", env!("CARGO_PKG_VERSION"));
        self.with_header("user-agent", &agent)
    }

    /// The same client with another limit on a whole call.
    #[must_use]
    pub fn with_total_timeout(&self, total_timeout: Duration) -> Self {
        Self {
            total_timeout,
            ..self.clone()
        }
    }

    /// The same client, which hands on each [`WARNING`] of an answer.
    #[must_use]
    pub fn with_warnings(&self, on_warning: fn(&str)) -> Self {
        Self {
            on_warning: Some(on_warning),
            ..self.clone()
        }
    }

    /// A connection to one peer for one caller, with the limits and headers of this client.
    pub fn line(&self, addr: &str) -> Line {
        let headers = self.headers.clone();
        Line::new(addr, headers, self.connect_timeout, self.total_timeout)
    }

    /// The same client, which takes a [`STALE`] answer for none: for those who draw conclusions
    /// from what is not there any more.
    #[must_use]
    pub fn fresh_only(&self) -> Self {
        Self {
            fresh_only: true,
            ..self.clone()
        }
    }

    /// `GET http://{addr}{path}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, addr: &str, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, addr, path, Bytes::new()).await
    }

    /// `PUT http://{addr}{path}` without a body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put<T: DeserializeOwned>(&self, addr: &str, path: &str) -> Result<T, ClientError> {
        self.call(Method::PUT, addr, path, Bytes::new()).await
    }

    /// `PUT http://{addr}{path}` with a JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put_json<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        addr: &str,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = codis_core::json::encode(body);
        self.call(Method::PUT, addr, path, body.into()).await
    }

    /// `POST` to a whole URL, as other systems want their reports. Gives the status and the start
    /// of the answer; any status is an answer. A user in the URL becomes basic authentication.
    ///
    /// # Errors
    /// No answer came: see [`ClientError`].
    pub async fn post(
        &self,
        url: &str,
        content_type: &str,
        login: Option<(&str, &str)>,
        body: Bytes,
    ) -> Result<(u16, String), ClientError> {
        let target = Target::of(url).ok_or_else(|| ClientError::Url(without_login(url)))?;
        let shown = target.url.clone();
        let login = login.map(|(user, password)| format!("{user}:{password}"));
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&target.url)
            .header(header::CONTENT_TYPE, content_type);
        if let Some(login) = login.or(target.login) {
            request = request.header(header::AUTHORIZATION, basic(&login));
        }
        let request = request
            .body(Full::new(body))
            .map_err(|_| ClientError::Url(shown.clone()))?;
        let (status, _, body) = self.exchange(request, &target.addr, &shown).await?;
        let start = &body[..body.len().min(ANSWER_SHOWN_MAX)];
        Ok((status.as_u16(), String::from_utf8_lossy(start).into_owned()))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        addr: &str,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let url = format!("http://{addr}{path}");
        let shown = masked(&url);
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| ClientError::Url(shown.clone()))?;
        request.headers_mut().extend(self.headers.clone());
        let (status, reason, body) = self.exchange(request, addr, &shown).await?;
        decode(status, reason, &body, || shown.clone())
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        addr: &str,
        shown: &str,
    ) -> Result<(StatusCode, String, Bytes), ClientError> {
        let exchange = async {
            let response = self
                .inner
                .request(request)
                .await
                .map_err(|error| failed(&error, addr, shown))?;
            let age = response.headers().get(STALE).filter(|_| self.fresh_only);
            if let Some(age) = age.map(|age| age.to_str().unwrap_or("?")) {
                let text = format!("topom is not online, the records at {addr} are {age} s old");
                return Err(ClientError::Remote(text));
            }
            if let Some(tell) = self.on_warning {
                let warnings = response.headers().get_all(WARNING).iter();
                warnings
                    .filter_map(|text| text.to_str().ok())
                    .for_each(tell);
            }
            read(response, || shown.to_owned()).await
        };
        let after = self.total_timeout;
        let answer = tokio::time::timeout(after, exchange).await;
        answer.map_err(|_| ClientError::Timeout {
            after,
            url: shown.to_owned(),
        })?
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("total_timeout", &self.total_timeout)
            .finish_non_exhaustive()
    }
}

/// A URL taken apart: what is dialled, and what is shown in errors without the login.
struct Target {
    url: String,
    addr: String,
    login: Option<String>,
}

impl Target {
    /// Only plain HTTP is spoken.
    fn of(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (login, addr) = match authority.rsplit_once('@') {
            Some((login, addr)) => (Some(login.to_owned()), addr),
            None => (None, authority),
        };
        let target = Self {
            url: format!("http://{addr}{path}"),
            addr: addr.to_owned(),
            login,
        };
        (!addr.is_empty()).then_some(target)
    }
}

/// A URL without the user and password that it may hold.
pub fn without_login(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        (_, None) => url.to_owned(),
    }
}

fn basic(login: &str) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(login);
    format!("Basic {encoded}")
}

/// Whether [`Client::post`] could dial this URL.
///
/// # Errors
/// What is wrong with it, without its login.
pub fn check_url(url: &str) -> Result<(), String> {
    let parses = |target: &Target| target.url.parse::<hyper::Uri>().is_ok();
    if Target::of(url).as_ref().is_some_and(parses) {
        return Ok(());
    }
    let shown = without_login(url);
    Err(format!(
        "`{shown}` is no URL of plain HTTP: expected http://host:port/path"
    ))
}

pub(super) async fn read(
    response: Response<Incoming>,
    url: impl Fn() -> String,
) -> Result<(StatusCode, String, Bytes), ClientError> {
    let (head, body) = response.into_parts();
    let reason = match (
        head.status.canonical_reason(),
        head.extensions.get::<ReasonPhrase>(),
    ) {
        (Some(reason), _) => reason.to_owned(),
        (None, Some(reason)) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        (None, None) => String::new(),
    };
    let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
    let body = body.map_err(|error| {
        let url = url();
        if error.is::<LengthLimitError>() {
            let reason = format!("more than {RESPONSE_BYTES_MAX} bytes");
            return ClientError::Answer { reason, url };
        }
        ClientError::Broken {
            reason: chain(&*error),
            url,
        }
    })?;
    Ok((head.status, reason, body.to_bytes()))
}

pub(super) fn decode<T: DeserializeOwned>(
    status: StatusCode,
    reason: String,
    body: &[u8],
    url: impl Fn() -> String,
) -> Result<T, ClientError> {
    let bad = |reason: String| {
        let url = url();
        Err(ClientError::Answer { reason, url })
    };
    match status.as_u16() {
        200 => codis_core::json::decode(body).or_else(|error| bad(error.to_string())),
        STATUS_ERROR if body.is_empty() => {
            Err(ClientError::Remote("remote error is empty".to_owned()))
        }
        STATUS_ERROR => match codis_core::json::decode::<RemoteError>(body) {
            Ok(error) => Err(ClientError::Remote(error.cause)),
            Err(error) => bad(error.to_string()),
        },
        code => Err(ClientError::Status {
            code,
            reason,
            url: url(),
        }),
    }
}

fn failed(error: &legacy::Error, addr: &str, url: &str) -> ClientError {
    let reason = chain(error);
    if error.is_connect() {
        return ClientError::Connect {
            addr: addr.to_owned(),
            reason,
            refused: is_refused(error),
        };
    }
    ClientError::Broken {
        reason,
        url: url.to_owned(),
    }
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let system = error.downcast_ref::<std::io::Error>();
        if system.is_some_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The innermost text says what the system said; the outer ones only name layers.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_in_a_url_is_used_and_never_shown() {
        let target = Target::of("http://u:p@h:1/x?y").unwrap();
        assert_eq!(target.url, "http://h:1/x?y");
        assert_eq!(
            (&*target.addr, target.login.as_deref()),
            ("h:1", Some("u:p"))
        );
        assert_eq!(basic("u:p"), "Basic dTpw");
        assert!(check_url("http://h:1").is_ok());
        for bad in ["https://u:secret@h", "h:1", "http://", "http://h :1/"] {
            let told = check_url(bad).unwrap_err();
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
