//! The load against a server that says what a test wants.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use super::*;

const WORK: Work = Work {
    command: Command::Get,
    keys: 1,
    value_bytes: 64,
    keyspace: 1000,
};

/// Bytes of one request of `WORK`.
const REQUEST: usize = 36;

/// A server that answers each request with what `reply` makes of it and its place in line.
fn server(reply: impl Fn(usize, &[u8]) -> Vec<u8> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let reply = reply.clone();
            std::thread::spawn(move || {
                let mut request = [0; REQUEST];
                for place in 0.. {
                    let read = stream.read_exact(&mut request);
                    if read.is_err() || stream.write_all(&reply(place, &request)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

/// The right reply to a request.
fn right(request: &[u8]) -> Vec<u8> {
    let digits = &request[REQUEST - 14..REQUEST - 2];
    [b"$64\r\n", digits, &[b'x'; 52], b"\r\n"].concat()
}

fn load(server: SocketAddr) -> Load {
    Load::new(server, WORK, &Stop::default()).unwrap()
}

#[test]
fn every_request_is_answered_once_in_each_way_of_sending() {
    let addr = server(|_, request| right(request));
    let mut load = load(addr);
    let churned = load.churn(40, 4).unwrap();
    load.connect(3).unwrap();
    let closed = load.closed(1001, 16).unwrap();
    let open = load.open(200, 2000).unwrap();
    for (seen, requests) in [(&churned, 40), (&closed, 1001), (&open, 200)] {
        assert_eq!((seen.requests, seen.latency.len()), (requests, requests));
        assert!(seen.latency.max() <= seen.span.as_nanos() as u64 + 100_000);
    }
    // The last of 200 requests is due after 99.5 ms.
    assert!(
        open.span >= Duration::from_micros(99_500),
        "{:?}",
        open.span
    );
}

#[test]
fn one_error_among_right_replies_fails_the_run() {
    let addr = server(|place, request| match place {
        7 => b"-ERR broken\r\n".to_vec(),
        _ => right(request),
    });
    let mut load = load(addr);
    load.connect(1).unwrap();
    let failure = load.closed(100, 4).unwrap_err().to_string();
    let end = "-ERR broken\\r\\n";
    assert!(
        failure.starts_with("wrong reply to Get v64:0000"),
        "{failure}"
    );
    assert!(failure.contains(end), "{failure}");
}

#[test]
fn a_reply_too_many_fails_the_run() {
    let addr = server(|_, request| [right(request), right(request)].concat());
    let mut load = load(addr);
    load.connect(1).unwrap();
    let failure = load.closed(100, 1).unwrap_err().to_string();
    assert!(failure.starts_with("wrong reply to "), "{failure}");
}

#[test]
fn what_a_stall_delays_is_counted_from_when_it_was_due() {
    let stall = Duration::from_millis(200);
    let addr = server(move |place, request| {
        if place == 10 {
            std::thread::sleep(stall);
        }
        right(request)
    });
    let mut load = load(addr);
    load.connect(1).unwrap();
    // 400 requests in 400 ms: about 190 are due during the stall and wait for its end.
    let seen = load.open(400, 1000).unwrap();
    let late = Duration::from_nanos(seen.latency.value_at_quantile(0.8));
    assert!(late >= stall / 4, "{late:?}");
}

#[test]
fn a_load_can_be_stopped() {
    let addr = server(|_, _| Vec::new());
    let stop = Stop::default();
    let mut load = Load::new(addr, WORK, &stop).unwrap();
    load.connect(1).unwrap();
    stop.request();
    assert!(matches!(load.closed(1, 1), Err(Failure::Stopped)));
}
