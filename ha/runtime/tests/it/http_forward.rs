//! Passing requests on: what arrives there, what comes back, and when.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use codis_runtime::http::forward::{ForwardError, Forwarder, HOPS_MAX, Hop};
use codis_runtime::http::{ApiError, JsonBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{PATIENCE, Server};

/// A server that passes everything on to `to`.
async fn hop_to(to: impl Into<String>) -> Server {
    let (to, forwarder) = (to.into(), Forwarder::new(PATIENCE));
    let pass = move |request: Request| {
        let (to, forwarder) = (to.clone(), forwarder.clone());
        async move { pass(&forwarder, &to, request, &Hop::default()).await }
    };
    Server::start(Router::new().fallback(pass)).await
}

async fn pass(forwarder: &Forwarder, to: &str, request: Request, hop: &Hop) -> Response {
    let answer = forwarder.forward(to, request, hop).await;
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

/// A server of one connection, to say and see every byte of it.
struct Raw {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Raw {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        Self { listener, addr }
    }

    async fn accept(&self) -> TcpStream {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        accepted.expect("a connection in time").unwrap().0
    }
}

/// Reads until `end` was seen; gives everything up to there.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let reading = async {
        let mut text = String::new();
        while !text.contains(end) {
            let mut bytes = [0; 4096];
            let len = stream.read(&mut bytes).await.unwrap();
            assert!(len > 0, "closed before `{end}`: {text}");
            text.push_str(std::str::from_utf8(&bytes[..len]).unwrap());
        }
        text
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.unwrap_or_else(|_| panic!("no `{end}` in time"))
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was_given() {
    let fail = || async { Err::<(), _>(ApiError::new("group-[1] already exists")) };
    let length =
        |JsonBody(body): JsonBody<Vec<u32>>| async move { codis_runtime::http::json(&body) };
    let routes = Router::new()
        .route("/fail", get(fail))
        .route("/length", put(length));
    let server = Server::start(routes).await;
    let hop = hop_to(server.addr.to_string()).await;
    let answer = hop.ask("GET", "/fail").await;
    assert!(
        answer.starts_with("HTTP/1.1 800 status code 800\r\n"),
        "{answer}"
    );
    assert!(answer.contains("content-type: application/json; charset=utf-8\r\n"));
    assert!(answer.contains("group-[1] already exists"), "{answer}");
    assert!(hop.ask("GET", "/none").await.starts_with("HTTP/1.1 404 "));
    let request = "PUT /length HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\
                   Content-Length: 5\r\n\r\n[1,2]";
    let answer = hop.send(request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let chunked = "PUT /length HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";
    assert_eq!(
        hop.send(chunked).await.split_once("\r\n\r\n").unwrap().1,
        answer.split_once("\r\n\r\n").unwrap().1
    );
}

#[tokio::test]
async fn the_next_server_sees_the_request_and_who_asked() {
    let raw = Raw::new().await;
    let hop = hop_to(raw.addr.to_string()).await;
    let mut client = TcpStream::connect(hop.addr).await.unwrap();
    let request = "PUT /api/x%20y/?forward=a&b=%2F HTTP/1.1\r\nHost: fe:18090\r\n\
                   X-Forwarded-For: 192.0.2.9\r\nX-Codis-Hops: 1\r\nConnection: X-Mine\r\n\
                   X-Mine: 1\r\nTE: trailers\r\nX-Kept: 2\r\nContent-Length: 0\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut server = raw.accept().await;
    let seen = read_until(&mut server, "\r\n\r\n").await;
    assert!(
        seen.starts_with("PUT /api/x%20y/?forward=a&b=%2F HTTP/1.1\r\n"),
        "{seen}"
    );
    let seen = seen.to_ascii_lowercase();
    for line in [
        "host: fe:18090",
        "x-forwarded-for: 192.0.2.9, 127.0.0.1",
        "x-codis-hops: 2",
        "x-kept: 2",
    ] {
        assert!(seen.contains(&format!("\r\n{line}\r\n")), "{line}: {seen}");
    }
    assert!(!seen.contains("x-mine") && !seen.contains("te: "), "{seen}");
}

#[tokio::test]
async fn both_bodies_pass_while_they_are_made() {
    let raw = Raw::new().await;
    let hop = hop_to(raw.addr.to_string()).await;
    let mut client = TcpStream::connect(hop.addr).await.unwrap();
    let head = "PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nfirst";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut server = raw.accept().await;
    read_until(&mut server, "first").await;
    client.write_all(b"again").await.unwrap();
    read_until(&mut server, "again").await;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none,\r\n";
    server.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut client, "one,").await;
    server.write_all(b"4\r\ntwo.\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut client, "two.").await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call() {
    let raw = Raw::new().await;
    let hop = hop_to(raw.addr.to_string()).await;
    let mut client = TcpStream::connect(hop.addr).await.unwrap();
    let request = b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut server = raw.accept().await;
    read_until(&mut server, "\r\n\r\n").await;
    drop(client);
    let end = tokio::time::timeout(PATIENCE, server.read(&mut [0; 16])).await;
    let len = end.expect("the end of the call").unwrap_or(0);
    assert_eq!(len, 0);
}

#[tokio::test]
async fn a_refused_dial_is_told_from_a_broken_call() {
    let forwarder = Forwarder::new(PATIENCE);
    let raw = Raw::new().await;
    let to = raw.addr.to_string();
    let breaking = async {
        let mut server = raw.accept().await;
        read_until(&mut server, "\r\n\r\n").await;
    };
    let hop = Hop::default();
    let (answer, ()) = tokio::join!(forwarder.forward(&to, Request::default(), &hop), breaking);
    let error = answer.unwrap_err();
    assert!(
        matches!(error, ForwardError::Broken { .. }) && !error.is_unsent(),
        "{error}"
    );
    drop(raw);
    let answer = forwarder.forward(&to, Request::default(), &hop).await;
    let error = answer.unwrap_err();
    assert!(
        matches!(error, ForwardError::Connect { .. }) && error.is_unsent(),
        "{error}"
    );
    assert!(error.to_string().starts_with(&format!("connect to {to}: ")));
    for bad in ["", "h", "h:1/x"] {
        let error = forwarder.forward(bad, Request::default(), &hop).await;
        assert!(matches!(error.unwrap_err(), ForwardError::Address { .. }));
    }
}

#[tokio::test]
async fn a_dial_without_an_answer_ends_in_time() {
    // The kernel drops the dials of a listener whose queue is full.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let to = listener.local_addr().unwrap();
    let _in_queue = TcpStream::connect(to).await.unwrap();
    let limit = Duration::from_millis(300);
    let begun = Instant::now();
    let forwarder = Forwarder::new(limit);
    let answer = forwarder
        .forward(&to.to_string(), Request::default(), &Hop::default())
        .await;
    let error = answer.unwrap_err();
    assert!(matches!(error, ForwardError::Connect { .. }), "{error}");
    assert!(error.to_string().ends_with("no connection within 300ms"));
    let took = begun.elapsed();
    assert!(took >= limit && took < PATIENCE, "{took:?}");
}

#[tokio::test]
async fn a_circle_of_servers_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let (forwarder, next) = (Forwarder::new(PATIENCE), to.clone());
    let circle = move |request: Request| {
        let (forwarder, to) = (forwarder.clone(), next.clone());
        async move { pass(&forwarder, &to, request, &Hop::default()).await }
    };
    let shutdown = codis_runtime::shutdown::Shutdown::new();
    let router = Router::new().fallback(circle);
    let serving = codis_runtime::http::serve(listener, router, shutdown.clone());
    let task = tokio::spawn(serving);
    let mut client = TcpStream::connect(&to).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let answer = read_until(&mut client, "each other").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains(&format!("passed on {HOPS_MAX} times")));
    shutdown.request("test over");
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hop_sets_its_own_headers() {
    let raw = Raw::new().await;
    let mut hop = Hop::default();
    hop.headers.insert("x-term", HeaderValue::from_static("7"));
    let mut request = Request::default();
    request
        .headers_mut()
        .insert("x-term", HeaderValue::from_static("forged"));
    let (forwarder, to) = (Forwarder::new(PATIENCE), raw.addr.to_string());
    let seen = async {
        let mut server = raw.accept().await;
        read_until(&mut server, "\r\n\r\n").await
    };
    let (_, seen) = tokio::join!(forwarder.forward(&to, request, &hop), seen);
    assert!(seen.contains("x-term: 7\r\n"), "{seen}");
    assert!(!seen.contains("forged"), "{seen}");
}
