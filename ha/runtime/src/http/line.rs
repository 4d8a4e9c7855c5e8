//! A connection of one who asks the same peer again and again.
//!
//! The connections of a [`Client`](super::Client) are shared, with a task for each; a hundred peers
//! that are asked every second are cheaper to ask by whoever waits for the answer. Only questions
//! are asked, never changes made: one that found its connection closed is asked again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::client::{ClientError, chain, decode, read};
use super::masked;

type Body = Empty<Bytes>;
type Driver = Pin<Box<Connection<TokioIo<TcpStream>, Body>>>;

/// A connection that is opened when it is needed and kept.
pub struct Line {
    addr: String,
    headers: HeaderMap,
    connect_timeout: Duration,
    total_timeout: Duration,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Body>,
    /// What moves the bytes. It rests while nobody asks, and is gone when it came to its end.
    connection: Option<Driver>,
}

impl Line {
    pub(super) fn new(
        addr: &str,
        headers: HeaderMap,
        connect_timeout: Duration,
        total_timeout: Duration,
    ) -> Self {
        Self {
            addr: addr.to_owned(),
            headers,
            connect_timeout,
            total_timeout,
            open: None,
        }
    }

    /// The peer.
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// `GET http://{addr}{path}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        let after = self.total_timeout;
        // A call that is given up takes its connection with it: the answer may still come.
        let answer = tokio::time::timeout(after, self.exchange(path)).await;
        let url = || self.shown(path);
        match answer {
            Ok(Ok((status, reason, body))) => decode(status, reason, &body, url),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ClientError::Timeout { after, url: url() }),
        }
    }

    /// What is asked, without its secret.
    fn shown(&self, path: &str) -> String {
        masked(&format!("http://{}{path}", self.addr))
    }

    async fn exchange(&mut self, path: &str) -> Result<(StatusCode, String, Bytes), ClientError> {
        if let Some(open) = self.open.take()
            && let Ok(answer) = self.ask(open, path).await
        {
            return Ok(answer);
        }
        let open = self.connect().await?;
        self.ask(open, path).await
    }

    async fn connect(&self) -> Result<Open, ClientError> {
        let failed = |reason: String, refused: bool| ClientError::Connect {
            addr: self.addr.clone(),
            reason,
            refused,
        };
        let opening = tokio::time::timeout(self.connect_timeout, TcpStream::connect(&self.addr));
        let opened = opening
            .await
            .map_err(|_| failed("no connection in time".to_owned(), false))?;
        let stream = opened.map_err(|error| {
            let refused = error.kind() == std::io::ErrorKind::ConnectionRefused;
            failed(error.to_string(), refused)
        })?;
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(|error| failed(chain(&error), false))?;
        Ok(Open {
            sender,
            connection: Some(Box::pin(connection)),
        })
    }

    async fn ask(
        &mut self,
        mut open: Open,
        path: &str,
    ) -> Result<(StatusCode, String, Bytes), ClientError> {
        let shown = || self.shown(path);
        let mut request = Request::get(path)
            .body(Body::new())
            .map_err(|_| ClientError::Url(shown()))?;
        let host = HeaderValue::from_str(&self.addr);
        let host = host.map_err(|_| ClientError::Url(shown()))?;
        request.headers_mut().clone_from(&self.headers);
        request.headers_mut().insert(header::HOST, host);
        let Open { sender, connection } = &mut open;
        let exchange = async {
            let broken = |error: hyper::Error| ClientError::Broken {
                reason: chain(&error),
                url: shown(),
            };
            sender.ready().await.map_err(broken)?;
            let response = sender.send_request(request).await.map_err(broken)?;
            read(response, shown).await
        };
        let answer = driven(connection, exchange).await?;
        self.open = open.connection.is_some().then_some(open);
        Ok(answer)
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

/// Waits for an exchange while the connection moves its bytes.
async fn driven<T>(connection: &mut Option<Driver>, exchange: impl Future<Output = T>) -> T {
    let mut exchange = pin!(exchange);
    poll_fn(|context| {
        if let Poll::Ready(answer) = exchange.as_mut().poll(context) {
            return Poll::Ready(answer);
        }
        let ended = connection.as_mut().is_some_and(|connection| {
            let moved = connection.as_mut().poll(context);
            moved.is_ready()
        });
        // The exchange is told of the end, and why, by the connection that goes away.
        if ended {
            *connection = None;
        }
        exchange.as_mut().poll(context)
    })
    .await
}
