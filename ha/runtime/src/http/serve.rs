//! The accept loop: a limit on connections, a limit on slow heads, and an end in stages.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use super::wrap::{app, without_slash};
use crate::shutdown::Shutdown;

/// Connections served at a time; further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 4096;
/// How long requests in flight may go on after the stop was requested.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long a head may take, and how long a connection may idle. Longer than the originals keep
/// an idle connection (60 s), so that it is them who close.
const HEAD_MAX: Duration = Duration::from_secs(75);
/// The pause after a failed accept: out of file descriptors, most often.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds `addr` (`host:port`).
///
/// # Errors
/// The address is malformed, in use or not of this host; the text names it.
pub async fn bind(addr: &str) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(addr).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("listen on {addr}: {error}")))
}

/// Serves `router` until `shutdown` is requested, then lets requests in flight end, up to
/// [`DRAIN_MAX`].
///
/// # Errors
/// The listener has no address any more.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> io::Result<()> {
    let addr = listener.local_addr()?;
    let router = app(router);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    tracing::info!(%addr, "http server listens");
    let accepting = async {
        loop {
            // The semaphore is never closed.
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => connect(stream, peer, router.clone(), &graceful, slot),
                Err(error) => {
                    tracing::warn!(%addr, %error, "http accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown.requested() => {}
    }
    drop(listener);
    Shutdown::within(DRAIN_MAX, "http requests in flight", graceful.shutdown()).await;
    Ok(())
}

fn connect(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    graceful: &GracefulShutdown,
    slot: OwnedSemaphorePermit,
) {
    // Without it small replies wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let mut request: Request = Request::map(request, axum::body::Body::new);
        without_slash(&mut request);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%peer, %error, "http connection ended");
        }
        drop(slot);
    });
}
