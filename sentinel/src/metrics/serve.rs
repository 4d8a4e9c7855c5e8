//! The port of the figures: `/metrics`, `/live` and `/ready`.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use codis_runtime::http;
use codis_runtime::metrics::{CONTENT_TYPE, Metrics};
use codis_runtime::shutdown::Shutdown;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Figures;
use super::exporter::Exporter;
use super::own::Own;
use crate::log::Log;
use crate::port::{Call, Shared};

/// How long the event loop may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// What the handlers share.
#[derive(Clone)]
struct Scraped {
    shared: Arc<Shared>,
    /// Figures of the build and the process.
    process: Metrics,
}

/// Opens the port.
///
/// # Errors
/// The address is not of this host, or in use.
pub async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let addr = match host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    };
    http::bind(&addr).await
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, log: Log) {
    let scraped = Scraped {
        shared,
        process: Metrics::new("sentinel"),
    };
    let router = Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(scrape))
        .with_state(scraped);
    if let Err(error) = http::serve(listener, router, Shutdown::new()).await {
        log.warning(&format!("The metrics port is closed: {error}"));
    }
}

/// Asks the event loop; `None` when it does not answer in time.
async fn ask(shared: &Shared) -> Option<Figures> {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        shared.calls.send(Call::Figures(answer)).await.ok()?;
        answered.await.ok()
    };
    timeout(ANSWER_TIMEOUT, asked).await.ok().flatten()
}

async fn ready(State(scraped): State<Scraped>) -> Response {
    match ask(&scraped.shared).await {
        Some(_) => "ready\n".into_response(),
        None => {
            let text = "not ready: the event loop does not answer\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn scrape(State(scraped): State<Scraped>) -> Response {
    let figures = ask(&scraped.shared).await;
    match text(figures, &scraped.process) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            let text = format!("encode metrics: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// All figures as text; `process` ends it.
fn text(figures: Option<Figures>, process: &Metrics) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    if let Some(figures) = &figures {
        registry.register_collector(Box::new(Own(figures.clone())));
    }
    registry.register_collector(Box::new(Exporter(figures)));
    let mut text = String::with_capacity(16 * 1024);
    encode_registry(&mut text, &registry)?;
    text.push_str(&process.encode()?);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_answer_only_that_is_told() {
        let text = text(None, &Metrics::new("sentinel")).unwrap();
        assert!(text.contains("redis_up 0.0\n"), "{text}");
        assert!(!text.contains("redis_sentinel_masters"), "{text}");
        assert_eq!(text.matches("# EOF\n").count(), 1, "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
