//! The client side: what it says about answers of every kind, and about none.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::{get, put};
use codis_core::model::{Sentinel, SlotMapping};
use codis_runtime::http::{self, ApiError, Client, ClientError, JsonBody};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{PATIENCE, Server};

const XAUTH: &str = "c32db19baf104a834a2d07a99c55a19a";

fn client() -> Client {
    Client::new(Duration::from_secs(1), PATIENCE)
}

fn router() -> Router {
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { http::json(&peer) };
    let echo = |JsonBody(body): JsonBody<Sentinel>| async move { http::json(&body) };
    let fail = || async {
        Err::<(), _>(ApiError::new(
            "invalid xauth, please check product name & auth",
        ))
    };
    let empty = || async { StatusCode::from_u16(800).unwrap() };
    Router::new()
        .route("/peer", get(peer))
        .route("/echo", put(echo))
        .route("/ok", put(|| async { http::ok() }))
        .route("/fail", get(fail))
        .route("/empty", get(empty))
        .route("/", get(|| async { Redirect::to("/topom") }))
        .route("/text", get(|| async { "not json" }))
        .route("/old", get(|| async { ([(http::STALE, "7")], "1") }))
}

async fn failure(path: &str) -> ClientError {
    let server = Server::start(router()).await;
    let addr = server.addr.to_string();
    let answer = client().get::<SlotMapping>(&addr, path).await;
    answer.unwrap_err()
}

#[tokio::test]
async fn calls_carry_json_both_ways_on_one_connection() {
    let server = Server::start(router()).await;
    let (client, addr) = (client(), server.addr.to_string());
    let first: SocketAddr = client.get(&addr, "/peer").await.unwrap();
    let sent = Sentinel {
        servers: vec!["a<b>:1".to_owned()],
        out_of_sync: true,
    };
    let back: Sentinel = client.put_json(&addr, "/echo", &sent).await.unwrap();
    assert_eq!(back, sent);
    assert_eq!(client.put::<String>(&addr, "/ok").await.unwrap(), "OK");
    let last: SocketAddr = client.get(&addr, "/peer").await.unwrap();
    assert_eq!(first, last, "the connection is kept");
}

#[tokio::test]
async fn application_errors_show_their_cause() {
    let error = failure("/fail").await;
    assert!(matches!(&error, ClientError::Remote(cause) if cause.ends_with("name & auth")));
    let shown = "[Remote Error] invalid xauth, please check product name & auth";
    assert_eq!(error.to_string(), shown);
    assert!(!error.is_unsent() && !error.is_timeout());
    assert_eq!(
        failure("/empty").await.to_string(),
        "[Remote Error] remote error is empty"
    );
}

#[tokio::test]
async fn other_answers_show_status_and_place_without_the_secret() {
    let error = failure(&format!("/api/{XAUTH}/x")).await.to_string();
    assert!(
        error.starts_with("[404] Not Found - http://127.0.0.1:"),
        "{error}"
    );
    assert!(error.ends_with("/api/***/x"), "{error}");
    let error = failure("/").await.to_string();
    assert!(error.starts_with("[303] See Other - http://"), "{error}");
    let error = failure("/text").await;
    assert!(matches!(error, ClientError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn a_refused_connection_is_told_from_a_slow_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let impatient = client().with_total_timeout(Duration::from_millis(200));
    let asked = Instant::now();
    let error = impatient.get::<String>(&addr, "/slow").await.unwrap_err();
    assert!(error.is_timeout() && !error.is_unsent(), "{error}");
    assert!(asked.elapsed() >= Duration::from_millis(200) && asked.elapsed() < PATIENCE);
    drop(listener);
    let error = client().get::<String>(&addr, "/").await.unwrap_err();
    assert!(error.is_unsent() && !error.is_timeout(), "{error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("connect to {addr}: ")),
        "{error}"
    );
    assert!(error.to_string().contains("refused"), "{error}");
    for bad in ["", "no port at all", "h:99999"] {
        let error = client().get::<String>(bad, "/").await.unwrap_err();
        assert!(error.is_unsent(), "{bad:?}: {error}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_neither() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\"O",
        b"-ERR\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            let _ = stream.try_read(&mut [0; 4096]);
            stream.write_all(answer).await.unwrap();
        });
        let error = client().get::<String>(&addr, "/x").await.unwrap_err();
        assert!(
            matches!(error, ClientError::Broken { .. }),
            "{answer:?}: {error:?}"
        );
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_restarts_is_reached_again() {
    let server = Server::start(router()).await;
    let (client, addr) = (client(), server.addr.to_string());
    client.put::<String>(&addr, "/ok").await.unwrap();
    server.shutdown.request("restart");
    crate::support::eventually("the end", || async {
        server.task.is_finished().then_some(())
    })
    .await;
    let listener = http::bind(&addr).await.unwrap();
    let again = codis_runtime::shutdown::Shutdown::new();
    let task = tokio::spawn(http::serve(listener, router(), again.clone()));
    assert_eq!(client.put::<String>(&addr, "/ok").await.unwrap(), "OK");
    again.request("over");
    task.await.unwrap().unwrap();
}

/// Whoever waits for something to go must not take an old reading for the present.
#[tokio::test]
async fn an_answer_from_old_records_is_none_for_those_who_ask_for_fresh_ones() {
    let server = Server::start(router()).await;
    let addr = server.addr.to_string();
    assert_eq!(client().get::<u32>(&addr, "/old").await.unwrap(), 1);
    let refused = client().fresh_only().get::<u32>(&addr, "/old").await;
    let ClientError::Remote(text) = refused.unwrap_err() else {
        panic!("another error");
    };
    assert!(text.starts_with("topom is not online"), "{text}");
    assert!(text.ends_with("are 7 s old"), "{text}");
    let peer = client().fresh_only().get::<String>(&addr, "/peer").await;
    assert!(peer.is_ok(), "{peer:?}");
}
