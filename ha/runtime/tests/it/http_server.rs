//! The server side, byte for byte where Codis's clients look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, put};
use codis_core::model::SlotMapping;
use codis_runtime::http::{self, ApiError, JsonBody, Standard};
use codis_runtime::metrics::Metrics;
use codis_runtime::telemetry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{PATIENCE, Server, eventually};

async fn fail() -> Result<Response, ApiError> {
    Err(ApiError::new("group-[1] already exists"))
}

async fn assign(JsonBody(slots): JsonBody<Vec<SlotMapping>>) -> Response {
    http::json(&slots.len())
}

async fn explode() -> Response {
    panic!("as told")
}

fn router() -> Router {
    let number = |Path(text): Path<String>| async move {
        let number: u32 = text.parse()?;
        Ok::<_, ApiError>(http::json(&number))
    };
    Router::new()
        .route(
            "/topom/model",
            get(|| async { http::json(&SlotMapping::default()) }),
        )
        .route("/api/fail", put(fail))
        .route("/api/assign/{xauth}", put(assign))
        .route("/api/number/{text}", get(number))
        .route("/api/ok", put(|| async { http::ok() }))
        .route("/explode", get(explode))
}

fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn success_and_errors_have_the_form_of_codis() {
    let server = Server::start(router()).await;
    let answer = server.ask("GET", "/topom/model").await;
    assert_eq!(status_line(&answer), "HTTP/1.1 200 OK");
    assert!(
        answer.contains("content-type: application/json; charset=utf-8\r\n"),
        "{answer}"
    );
    assert_eq!(
        body(&answer),
        "{\n    \"id\": 0,\n    \"group_id\": 0,\n    \"action\": {}\n}"
    );
    assert_eq!(body(&server.ask("PUT", "/api/ok").await), "\"OK\"");
    let answer = server.ask("PUT", "/api/fail").await;
    assert_eq!(status_line(&answer), "HTTP/1.1 800 status code 800");
    assert!(
        answer.contains("content-type: application/json; charset=utf-8\r\n"),
        "{answer}"
    );
    let cause = "{\n    \"Cause\": \"group-[1] already exists\",\n    \"Stack\": null\n}";
    assert_eq!(body(&answer), cause);
    let answer = server.ask("GET", "/api/number/x").await;
    assert!(
        answer.contains("800") && answer.contains("invalid digit"),
        "{answer}"
    );
}

#[tokio::test]
async fn slashes_are_optional_and_head_is_a_get_without_a_body() {
    let server = Server::start(router()).await;
    for path in ["/topom/model/", "/topom/model?x=1", "/topom/model/?x=1"] {
        assert!(
            server.ask("GET", path).await.starts_with("HTTP/1.1 200"),
            "{path}"
        );
    }
    let answer = server.ask("HEAD", "/topom/model").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && body(&answer).is_empty(),
        "{answer}"
    );
}

#[tokio::test]
async fn unknown_routes_and_wrong_methods_are_not_found() {
    let server = Server::start(router()).await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("PUT", "/topom/model"),
        ("GET", "/api/ok"),
        ("DELETE", "/api/ok"),
        ("GET", "/api/number/"),
    ] {
        let answer = server.ask(method, path).await;
        assert_eq!(
            status_line(&answer),
            "HTTP/1.1 404 Not Found",
            "{method} {path}"
        );
        assert_eq!(body(&answer), "404 page not found", "{method} {path}");
        assert!(answer.contains("content-type: text/plain"), "{answer}");
    }
}

#[tokio::test]
async fn bodies_are_read_strictly_and_up_to_a_limit() {
    let server = Server::start(router()).await;
    let send = |body: String| {
        let head = format!(
            "PUT /api/assign/x HTTP/1.1\r\nHost: t\r\nContent-Length: {}",
            body.len()
        );
        let request = format!("{head}\r\nConnection: close\r\n\r\n{body}");
        let server = &server;
        async move { server.send(&request).await }
    };
    assert_eq!(
        body(&send(r#"[{"ID": 1, "new": 2}, {}]"#.to_owned()).await),
        "2"
    );
    for bad in ["", "{", "{}", r#"[{"id":"x"}]"#] {
        let answer = send(bad.to_owned()).await;
        assert!(
            answer.starts_with("HTTP/1.1 800") && answer.contains("invalid JSON"),
            "{answer}"
        );
    }
    let large = http::REQUEST_BYTES_MAX + 1;
    let head = format!("PUT /api/assign/x HTTP/1.1\r\nHost: t\r\nContent-Length: {large}");
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(format!("{head}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 800") && answer.contains("over the limit"),
        "refused by its length, before it is sent: {answer}"
    );
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let server = Server::start(router()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let request = "GET /explode HTTP/1.1\r\nHost: t\r\n\r\n\
                   GET /topom/model HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 500 Internal Server Error"),
        "{answer}"
    );
    assert!(
        answer.contains("500 internal error") && answer.contains("HTTP/1.1 200 OK"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_standard_routes_tell_the_state() {
    let ready = Arc::new(AtomicBool::new(false));
    let asked = ready.clone();
    let standard =
        Standard::new(Metrics::new("proxy")).ready(move || match asked.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("slots are missing".to_owned()),
        });
    let server = Server::start(router().merge(standard.routes())).await;
    assert!(server.ask("GET", "/live").await.starts_with("HTTP/1.1 200"));
    let answer = server.ask("GET", "/ready").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(body(&answer), "not ready: slots are missing\n");
    ready.store(true, Ordering::Relaxed);
    assert!(
        server
            .ask("GET", "/ready/")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let answer = server.ask("GET", "/metrics").await;
    assert!(
        answer.contains("content-type: application/openmetrics-text"),
        "{answer}"
    );
    assert!(answer.contains("codis_proxy_build_info"), "{answer}");
}

#[tokio::test]
async fn this_host_changes_the_log_level() {
    let level = telemetry::Level::Error;
    let log = telemetry::init(telemetry::Options { level, file: None }).unwrap();
    let routes = Standard::new(Metrics::new("proxy"))
        .log(log.clone())
        .routes();
    let server = Server::start(routes).await;
    let answer = server.ask("PUT", "/loglevel/loud").await;
    assert!(
        answer.contains("800") && answer.contains("invalid loglevel"),
        "{answer}"
    );
    assert_eq!(log.level(), level);
    assert_eq!(body(&server.ask("PUT", "/loglevel/None").await), "\"OK\"");
    assert_eq!(log.level(), telemetry::Level::None);
}

#[tokio::test]
async fn requests_in_flight_end_before_the_server_does() {
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, wait) = (entered.clone(), go.clone());
    let slow = move || async move {
        inside.notify_one();
        wait.notified().await;
        http::ok()
    };
    let server = Server::start(Router::new().route("/slow", get(slow))).await;
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    let mut busy = TcpStream::connect(server.addr).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
        .await
        .unwrap();
    entered.notified().await;
    server.shutdown.request("test");
    let mut end = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, idle.read_to_end(&mut end)).await;
    assert_eq!(closed.expect("idle connections are closed").unwrap(), 0);
    eventually("a closed listener", || async {
        TcpStream::connect(server.addr).await.err()
    })
    .await;
    assert!(!server.task.is_finished());
    go.notify_one();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\"OK\""), "{answer}");
    eventually("the end", || async {
        server.task.is_finished().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = http::bind("127.0.0.1:0").await.unwrap();
    let addr = first.local_addr().unwrap().to_string();
    let error = http::bind(&addr).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("listen on {addr}: ")),
        "{error}"
    );
    assert!(http::bind("nonsense").await.is_err());
}

/// A large answer is compressed for a client that takes gzip, and for no other.
#[tokio::test]
async fn answers_are_compressed_on_request() {
    let large = || async { http::json(&"x".repeat(10_000)) };
    let server = Server::start(Router::new().route("/large", get(large))).await;
    let plain = server.ask("GET", "/large").await;
    assert!(body(&plain).len() > 10_000 && !plain.contains("content-encoding"));
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let request = "GET /large HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\
                   Connection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(text.contains("content-encoding: gzip"), "{text}");
    assert!(answer.len() < 1_000);
}
