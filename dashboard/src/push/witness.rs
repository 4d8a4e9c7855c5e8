//! A call that shows whether a proxy that does not answer is stopped, or cut off by the network.
//!
//! Both look alike from here, and the difference decides whether a step may be taken without the
//! proxy. So a call that is late is repeated on a connection of its own: the kernel of the proxy
//! accepted it, so at that moment the network was there, and a process that runs would have
//! answered. The silence is counted from then, not from earlier calls, which a network that was
//! broken may have lost. At its end the kernel must accept once more. A network that breaks in
//! between and mends right then would have to do so twice within moments to deceive us.
//!
//! The call stays out for as long as the proxy is silent: one place in the queue of a stopped
//! process, which fills up, and the first word when the process goes on.

use std::future::Future;
use std::time::Duration;

use codis_topom::pulse::ACCEPT_MAX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::peerage::Pulse;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Testimony {
    /// The process runs.
    Runs,
    /// It shows nothing: the network failed, or the process ended.
    Nothing,
    /// It shows nothing: the process answered elsewhere, and a call is late again.
    Recalled,
}

/// Repeats a late call to the proxy at `addr`. It ends when the proxy answers, here or elsewhere
/// (looked up at each `late`), or when the connection shows nothing any more. `changed` is told
/// when the proxy begins to count as silent.
pub async fn testify(
    pulse: &Pulse,
    addr: &str,
    silent_max: Duration,
    late: &Notify,
    changed: impl Fn(),
) -> Testimony {
    let Some(mut stream) = accepted(addr).await else {
        return Testimony::Nothing;
    };
    let sent = Instant::now();
    let request =
        format!("GET /api/proxy/model HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return Testimony::Nothing;
    }
    pulse.handle_witness(sent);
    let found = match within(sent + silent_max, word(&mut stream)).await {
        Some(found) => found,
        None if accepted(addr).await.is_some() => {
            if pulse.handle_silence(sent) {
                changed();
            }
            tokio::select! {
                found = word(&mut stream) => found,
                () = recalled(pulse, sent, late) => Testimony::Recalled,
            }
        }
        None => Testimony::Nothing,
    };
    match found {
        Testimony::Runs => pulse.handle_answer(),
        Testimony::Nothing | Testimony::Recalled => pulse.handle_witness_lost(sent),
    }
    found
}

async fn accepted(addr: &str) -> Option<TcpStream> {
    timeout(ACCEPT_MAX, TcpStream::connect(addr))
        .await
        .ok()?
        .ok()
}

async fn word(stream: &mut TcpStream) -> Testimony {
    match stream.read_u8().await {
        Ok(_) => Testimony::Runs,
        Err(_) => Testimony::Nothing,
    }
}

async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = sleep_until(deadline) => None,
    }
}

/// Waits until a call is late that was sent after the proxy had answered.
async fn recalled(pulse: &Pulse, sent: Instant, late: &Notify) {
    while pulse.is_witness(sent) {
        late.notified().await;
    }
}
