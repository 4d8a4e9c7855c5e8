//! A dashboard that answers what the test says, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use codis_core::model::Topom;
use codis_core::{json, xauth};
use serde_json::json;
use tokio::net::TcpListener;

/// The product that it serves.
pub const PRODUCT: &str = "demo";

type Answers = dyn Fn(&str) -> Option<(u16, String)> + Send + Sync;

/// The dashboard.
pub struct Board {
    pub addr: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Board {
    /// A dashboard that answers requests (`PUT /api/...`, with `X` for the secret) by `answers`,
    /// and by `"OK"` where that has no answer.
    pub async fn start(
        answers: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answers, log): (Arc<Answers>, _) = (Arc::new(answers), asked.clone());
        let app = axum::Router::new()
            .fallback(async move |request: Request| answer(&*answers, &log, request).await);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { addr, asked }
    }

    /// One that says OK to everything.
    pub async fn content() -> Self {
        Self::start(|_| None).await
    }

    /// The changes that it was asked for since the last time, as method, path and query, and then
    /// the body if there was one.
    pub fn changes(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.retain(|line| line.starts_with("PUT"));
        asked
    }

    /// The option that names it.
    pub fn option(&self) -> String {
        format!("--dashboard={}", self.addr)
    }
}

async fn answer(answers: &Answers, log: &Mutex<Vec<String>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let uri = head.uri.to_string();
    let asked = format!("{} {uri}", head.method).replace(&xauth::dashboard(PRODUCT), "X");
    let line = format!("{asked} {}", String::from_utf8_lossy(&body));
    log.lock().unwrap().push(line.trim_end().to_owned());
    let (status, text) = answers(&asked).unwrap_or_else(|| (200, usual(&asked)));
    let mut response = Response::new(Body::from(text));
    if asked.contains("/group/add/") {
        let warning = axum::http::HeaderValue::from_static("it holds 7 keys");
        response.headers_mut().append("x-codis-warning", warning);
    }
    *response.status_mut() = axum::http::StatusCode::from_u16(status).unwrap();
    response
}

fn usual(asked: &str) -> String {
    if asked == "GET /api/topom/model" {
        let model = Topom {
            product_name: PRODUCT.to_owned(),
            ..Topom::default()
        };
        return String::from_utf8(json::encode(&model)).unwrap();
    }
    "\"OK\"".to_owned()
}

/// An error as a dashboard writes it.
pub fn error(cause: &str) -> (u16, String) {
    (800, json!({ "Cause": cause, "Stack": null }).to_string())
}
