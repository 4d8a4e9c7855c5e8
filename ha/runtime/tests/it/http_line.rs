//! A connection of one who asks again and again.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::routing::get;
use codis_runtime::http::{self, ApiError, Client, ClientError};
use codis_runtime::shutdown::Shutdown;
use tokio::net::TcpListener;

use crate::support::{PATIENCE, Server, eventually};

fn client() -> Client {
    Client::new(Duration::from_secs(1), PATIENCE)
}

fn router() -> Router {
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { http::json(&peer) };
    let header = |headers: HeaderMap| async move {
        let text = |name| headers[name].to_str().unwrap_or_default().to_owned();
        http::json(&[text("x-term"), text("host")])
    };
    let long = || async { http::json(&"x".repeat(1 << 20)) };
    let fail = || async { Err::<(), _>(ApiError::new("no")) };
    Router::new()
        .route("/peer", get(peer))
        .route("/header", get(header))
        .route("/long", get(long))
        .route("/fail", get(fail))
        .route("/slow", get(std::future::pending::<()>))
}

#[tokio::test]
async fn questions_share_a_connection_whatever_the_answers() {
    let server = Server::start(router()).await;
    let addr = server.addr.to_string();
    let mut line = client().with_header("x-term", "7").line(&addr);
    let first: SocketAddr = line.get("/peer").await.unwrap();
    let headers: [String; 2] = line.get("/header").await.unwrap();
    assert_eq!(headers, ["7".to_owned(), addr]);
    let error = line.get::<String>("/fail").await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Remote(cause) if cause == "no"),
        "{error}"
    );
    let error = line.get::<String>("/missing").await.unwrap_err();
    assert!(
        error.is_answer() && error.to_string().starts_with("[404]"),
        "{error}"
    );
    assert_eq!(line.get::<String>("/long").await.unwrap().len(), 1 << 20);
    assert_eq!(line.get::<SocketAddr>("/peer").await.unwrap(), first);
    let error = line.get::<String>("no path").await.unwrap_err();
    assert!(error.is_unsent(), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_late_is_not_taken_for_the_next_one() {
    let server = Server::start(router()).await;
    let limit = Duration::from_secs(2);
    let mut line = client()
        .with_total_timeout(limit)
        .line(&server.addr.to_string());
    let first: SocketAddr = line.get("/peer").await.unwrap();
    let error = line.get::<String>("/slow").await.unwrap_err();
    assert!(error.is_timeout() && !error.is_unsent(), "{error}");
    let next: SocketAddr = line.get("/peer").await.unwrap();
    assert_ne!(next, first, "on another connection");
}

#[tokio::test]
async fn a_peer_that_restarts_is_asked_on_a_new_connection() {
    let server = Server::start(router()).await;
    let addr = server.addr.to_string();
    let mut line = client().line(&addr);
    let first: SocketAddr = line.get("/peer").await.unwrap();
    server.shutdown.request("restart");
    eventually("the end", || async {
        server.task.is_finished().then_some(())
    })
    .await;
    let error = line.get::<String>("/peer").await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    let listener = http::bind(&addr).await.unwrap();
    let again = Shutdown::new();
    let task = tokio::spawn(http::serve(listener, router(), again.clone()));
    let second: SocketAddr = line.get("/peer").await.unwrap();
    assert_ne!(first, second);
    again.request("over");
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn one_that_says_nothing_sensible_is_broken() {
    use tokio::io::AsyncWriteExt as _;
    for answer in [
        &b""[..],
        b"-ERR\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\"O",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            let _ = stream.try_read(&mut [0; 4096]);
            stream.write_all(answer).await.unwrap();
        });
        let error = client().line(&addr).get::<String>("/x").await.unwrap_err();
        assert!(
            matches!(error, ClientError::Broken { .. }),
            "{answer:?}: {error:?}"
        );
        server.await.unwrap();
    }
}
