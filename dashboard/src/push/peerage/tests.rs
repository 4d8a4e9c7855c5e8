//! What a proxy is taken for, by what its kernel and its process do.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

use super::super::witness::{Testimony, testify};
use super::*;

/// How long the silence must last here.
const MAX: Duration = Duration::from_millis(200);

fn timed_out() -> ClientError {
    ClientError::Timeout {
        after: MAX,
        url: String::new(),
    }
}

fn stats(stalls: u64) -> ProxyStats {
    ProxyStats {
        stall_fence: true,
        stalls,
        ..ProxyStats::default()
    }
}

/// A kernel that takes connections, as many as `places` and one, which nobody accepts.
fn listener(places: u32) -> (TcpListener, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(places).unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    (listener, addr)
}

/// The pulse of a proxy whose fence is armed, and which leaves calls without an answer.
fn quiet() -> Pulse {
    let pulse = Pulse::default();
    pulse.handle_lifted(0);
    pulse.handle_failure(&timed_out());
    pulse
}

fn is_silent(pulse: &Pulse) -> bool {
    matches!(pulse.peerage(), Peerage::Silent { .. })
}

fn unchanged() {
    panic!("nothing has changed");
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let waits = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waits).await;
    assert!(waited.is_ok(), "{what}");
}

#[tokio::test]
async fn only_a_proxy_with_a_fence_is_silent_and_not_before_its_time() {
    let (_listener, addr) = listener(8);
    let (fenced, original, late) = (quiet(), Pulse::default(), Notify::new());
    original.handle_failure(&timed_out());
    assert_eq!(original.handle_stats(&ProxyStats::default()), None);
    assert_eq!(fenced.peerage(), Peerage::Serving, "perhaps the network");
    let (begun, told) = (Instant::now(), Notify::new());
    let tell = || told.notify_one();
    tokio::select! {
        found = testify(&fenced, &addr, MAX, &late, tell) => panic!("{found:?}"),
        found = testify(&original, &addr, MAX, &late, || {}) => panic!("{found:?}"),
        () = told.notified() => {}
    }
    assert!(begun.elapsed() >= MAX, "{:?}", begun.elapsed());
    assert!(is_silent(&fenced));
    assert_eq!(original.peerage(), Peerage::Serving, "it has no fence");
    fenced.handle_failure(&ClientError::Remote("no".to_owned()));
    assert_eq!(fenced.peerage(), Peerage::Serving, "an error is an answer");
    assert_eq!(fenced.handle_stats(&stats(2)), Some(2), "it stood still");
}

/// What is lost in a broken network says nothing about the process, however long ago it was sent.
#[tokio::test]
async fn after_a_broken_network_silence_counts_from_the_first_connection() {
    let (network, addr) = listener(0);
    // The one place in its queue is taken: what is sent to it is lost.
    let taken = TcpStream::connect(&addr).await.unwrap();
    let (pulse, late) = (quiet(), Notify::new());
    for _ in 0..3 {
        pulse.handle_failure(&timed_out());
        let found = testify(&pulse, &addr, MAX, &late, unchanged).await;
        assert_eq!(found, Testimony::Nothing);
        assert_eq!(pulse.peerage(), Peerage::Serving);
    }
    let accepted = network.accept().await.unwrap();
    let mended = testify(&pulse, &addr, Duration::from_secs(60), &late, unchanged);
    let looks = async {
        wait_for("it is asked", || pulse.signs().has_witness()).await;
        assert_eq!(pulse.peerage(), Peerage::Serving, "it was asked just now");
    };
    tokio::select! {
        found = mended => panic!("{found:?}"),
        () = looks => {}
    }
    drop((taken, accepted));
}

/// The network broke again after it took the call, so the answer may be lost.
#[tokio::test]
async fn a_network_that_is_broken_at_the_end_shows_nothing() {
    let (_network, addr) = listener(0);
    let (pulse, late) = (quiet(), Notify::new());
    // The call takes the one place, so the second connection is lost.
    let found = testify(&pulse, &addr, MAX, &late, unchanged).await;
    assert_eq!(found, Testimony::Nothing);
    assert_eq!(pulse.peerage(), Peerage::Serving);
}

#[tokio::test]
async fn the_first_word_ends_the_silence() {
    let (process, addr) = listener(8);
    let (pulse, late) = (quiet(), Notify::new());
    let goes_on = async {
        wait_for("it is silent", || is_silent(&pulse)).await;
        let (mut stream, _) = process.accept().await.unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"GET ");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    };
    let (found, ()) = tokio::join!(testify(&pulse, &addr, MAX, &late, || {}), goes_on);
    assert_eq!(found, Testimony::Runs);
    assert_eq!(pulse.peerage(), Peerage::Serving);
    assert!(!pulse.is_quiet());
}

/// Its connection may be dead for ever, and the next silence needs one of its own.
#[tokio::test]
async fn a_witness_ends_when_the_proxy_answered_elsewhere() {
    let (_process, addr) = listener(8);
    let (pulse, late) = (quiet(), Notify::new());
    let answers = async {
        wait_for("it is silent", || is_silent(&pulse)).await;
        late.notify_one();
        tokio::task::yield_now().await;
        assert!(is_silent(&pulse), "one more late call changes nothing");
        pulse.handle_answer();
        late.notify_one();
    };
    let (found, ()) = tokio::join!(testify(&pulse, &addr, MAX, &late, || {}), answers);
    assert_eq!(found, Testimony::Recalled);
}

#[tokio::test]
async fn a_proxy_that_nobody_listens_for_is_gone() {
    let (listener, addr) = listener(8);
    drop(listener);
    let client = codis_runtime::http::Client::new(MAX, MAX);
    let error = client.get::<String>(&addr, "/").await.unwrap_err();
    let pulse = quiet();
    pulse.handle_failure(&error);
    assert_eq!(pulse.peerage(), Peerage::Gone);
    pulse.handle_failure(&timed_out());
    assert_eq!(pulse.peerage(), Peerage::Serving, "somebody listens again");
}
