//! Bytes that make no sense, from clients and from backends: nobody else notices.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use codis_core::rng::SplitMix64;
use codis_core::units::TimeSpan;

use super::harness::{Client, Fixture, Server, Text, key_on, settings, slot, spread, wait_for};

/// What a client may say that is no request. None of it may cost another client anything.
#[test]
fn what_is_no_request_is_told_so_and_ends_only_its_session() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut bystander = fixture.client();
    let oversized = vec![b'a'; 2 * 1024 * 1024];
    let nested = b"*1\r\n".repeat(100_000);
    let garbage: [&[u8]; 14] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-1\r\n",
        b"*-1\r\n",
        b"*1\r\n$-1\r\n",
        b"$3\r\nGET\r\n*",
        b"*1\n$4\nPING\n",
        b"*1\r\n$4\r\nPINGxx",
        b"*1\r\n*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$3\r\nGET\r\n:5\r\n",
        b"*1\r\n$04\r\nPING\r\n*\r\n",
        b"*\r\n",
        b"*1 \r\n$4\r\nPING\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &oversized,
        &nested,
    ];
    for (n, bytes) in garbage.iter().enumerate() {
        let mut client = fixture.client();
        client.send_raw(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
        // A session that was ended takes no more.
        let _ = client.stream.write_all(bytes);
        let _ = client.stream.shutdown(Shutdown::Write);
        assert_eq!(client.read().text(), (n + 1).to_string());
        let rest = std::iter::from_fn(|| client.try_read()).map(|reply| reply.text());
        for text in rest {
            assert!(text.starts_with("-ERR ") || text == "PONG", "{n}: {text}");
        }
        assert_eq!(bystander.text(&["GET", "n"]), (n + 1).to_string());
    }
}

/// Lengths that Codis takes and a server ends the connection over, which others share.
#[test]
fn lengths_that_servers_refuse_reach_none() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let refusals = || {
        let info = server.run(&["INFO", "stats"]).text();
        let line = info
            .lines()
            .find(|line| line.starts_with("total_error_replies:"));
        line.unwrap().to_owned()
    };
    let mut client = fixture.client();
    assert_eq!(client.text(&["SET", "warm", "up"]), "OK");
    let before = refusals();
    for (request, reply) in [
        ("*+3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "OK"),
        ("*3\r\n$03\r\nSET\r\n$+1\r\nk\r\n$01\r\nw\r\n", "OK"),
        ("*02\r\n$3\r\nGET\r\n$1\r\nk\r\n", "w"),
        (
            "*5\r\n$4\r\nMSET\r\n$+1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$02\r\n22\r\n",
            "OK",
        ),
        ("*3\r\n$3\r\nSET\r\n$1\r\ne\r\n$00\r\n\r\n", "OK"),
        ("*2\r\n$3\r\nGET\r\n$1\r\nb\r\n", "22"),
    ] {
        client.send_raw(request.as_bytes());
        assert_eq!(client.read().text(), reply, "{request:?}");
    }
    assert_eq!(refusals(), before, "the server was told no nonsense");
}

/// A browser, or somebody who makes one send commands.
#[test]
fn requests_of_http_run_nothing() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\nSET http 1\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nSET http 1\r\n",
        "post /x HTTP/1.0\r\n\r\nSET http 1\r\n",
    ] {
        let mut client = fixture.client();
        let _ = client.stream.write_all(request.as_bytes());
        let _ = client.stream.shutdown(Shutdown::Write);
        let replies: Vec<_> = std::iter::from_fn(|| client.try_read())
            .map(|r| r.text())
            .collect();
        let refused = replies.iter().any(|text| text.starts_with("-ERR "));
        assert!(refused, "{request}: {replies:?}");
    }
    assert_eq!(fixture.client().text(&["PING"]), "PONG");
}

/// Clients that send random changes of requests, and leave in the middle.
#[test]
fn random_bytes_of_clients_hurt_nobody_else() {
    const CLIENTS: usize = 400;
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let mut bystander = fixture.client();
    let mut rng = SplitMix64::new(20);
    let good: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n\
        *3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$4\r\nPING\r\nget k\r\n\
        *5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n";
    let mut open = Vec::new();
    for n in 0..CLIENTS {
        let mut bytes = good.repeat(1 + rng.below(4) as usize);
        for _ in 0..rng.below(6) {
            damage(&mut bytes, &mut rng);
        }
        let mut client = fixture.client();
        let _ = client.stream.set_nonblocking(true);
        let _ = client.stream.write(&bytes);
        if rng.below(2) == 0 {
            open.push(client);
        }
        let told = bystander.text(&["MSET", "x", &n.to_string(), "y", &n.to_string()]);
        assert_eq!(told, "OK", "after client {n}");
        assert_eq!(bystander.text(&["MGET", "x", "y"]), format!("{n} {n}"));
    }
    drop(open);
    wait_for("the sessions end", || fixture.stats().sessions.alive == 1);
}

/// Changes a few bytes, or takes some out, or puts some in.
pub fn damage(bytes: &mut Vec<u8>, rng: &mut SplitMix64) {
    const TOKENS: &[&[u8]] = &[
        b"\r\n",
        b"*",
        b"$",
        b"-1",
        b"0",
        b"*2\r\n",
        b"$536870912\r\n",
        b"*1048576\r\n",
        b"\0",
        b"999999999999999999999",
        b"+",
        b"%1\r\n",
        b"_\r\n",
        b">1\r\n",
        b":1\r\n",
        b"$3\r\nabc\r\n",
    ];
    if bytes.is_empty() {
        return;
    }
    let at = rng.below(bytes.len() as u64) as usize;
    let end = (at + rng.below(9) as usize).min(bytes.len());
    match rng.below(4) {
        0 => drop(bytes.drain(at..end)),
        1 => drop(bytes.splice(at..at, rng.pick(TOKENS).unwrap().iter().copied())),
        2 => drop(bytes.splice(at..end, rng.pick(TOKENS).unwrap().iter().copied())),
        _ => bytes[at] ^= 1 << rng.below(8),
    }
}

/// A backend that answers whatever it is told to, over and over, and greets as a server does.
struct Liar {
    addr: String,
    stop: Arc<AtomicBool>,
}

impl Liar {
    /// `say` gives the answer to a read, or `None` to say nothing at all.
    fn start(say: impl Fn(usize) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, say) = (stop.clone(), Arc::new(say));
        std::thread::spawn(move || {
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        count += 1000;
                        let (say, stopped) = (say.clone(), stopped.clone());
                        std::thread::spawn(move || lie(stream, &*say, &stopped, count));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { addr, stop }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lie(
    mut stream: TcpStream,
    say: &dyn Fn(usize) -> Option<Vec<u8>>,
    stopped: &AtomicBool,
    mut count: usize,
) {
    stream.set_nonblocking(false).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut buf = [0; 4096];
    let mut greeted = false;
    while !stopped.load(Ordering::Relaxed) {
        match stream.read(&mut buf) {
            Ok(0) => return,
            Ok(_) if !greeted => {
                greeted = true;
                let _ = stream.write_all(b"+PONG\r\n");
            }
            Ok(_) => {
                count += 1;
                if let Some(bytes) = say(count)
                    && stream.write_all(&bytes).is_err()
                {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// A proxy whose even slots belong to a liar and the others to a server, and the keys of both.
fn beside(liar: &Liar, server: &Server) -> (Fixture, String, String) {
    let mut with = settings();
    with.ha_hold = TimeSpan::from_millis(200);
    with.backend_recv_timeout = TimeSpan::from_millis(500);
    let fixture = Fixture::start(with);
    let mut slots = spread(&[server, server], 0);
    for place in slots.iter_mut().filter(|place| place.id % 2 == 0) {
        *place = slot(place.id, 9, &liar.addr, 0);
    }
    fixture.fill(&slots).unwrap();
    fixture.put("start").unwrap();
    (fixture, key_on(0, 2, 0), key_on(1, 2, 0))
}

/// Whatever a backend says, its own requests get an answer or an error, and one request more to
/// the other server is right in its place.
fn only_its_own(say: impl Fn(usize) -> Option<Vec<u8>> + Send + Sync + 'static, rounds: usize) {
    let server = Server::start(&[]);
    let liar = Liar::start(say);
    let (fixture, lied, true_key) = beside(&liar, &server);
    let mut bystander = fixture.client();
    for round in 0..rounds {
        let mut client = fixture.client();
        let value = format!("v{round}");
        client.send(&["SET", &true_key, &value]);
        client.send(&["GET", &lied]);
        client.send(&["ECHO", "between"]);
        client.send(&["MGET", &lied, &true_key]);
        client.send(&["GET", &true_key]);
        assert_eq!(client.read().text(), "OK");
        let whole = |client: &mut Client| client.try_read_raw().is_some_and(|r| !r.is_empty());
        assert!(
            whole(&mut client),
            "round {round}: a reply of whatever kind"
        );
        assert_eq!(client.read().text(), "between", "round {round}");
        assert!(
            whole(&mut client),
            "round {round}: a reply of whatever kind"
        );
        assert_eq!(client.read().text(), value, "round {round}");
        assert_eq!(bystander.text(&["GET", &true_key]), value);
    }
}

#[test]
fn a_backend_that_answers_garbage_hurts_only_its_own_requests() {
    only_its_own(|_| Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), 3);
    only_its_own(
        |_| Some(b"$5\r\nhello world, this is too long\r\n".to_vec()),
        3,
    );
    only_its_own(|_| Some(b"*2\r\n:1\r\n\xff\xff\xff\r\n".to_vec()), 3);
}

#[test]
fn a_backend_that_answers_too_much_hurts_only_its_own_requests() {
    only_its_own(|_| Some(b"+A\r\n+B\r\n+C\r\n+D\r\n".to_vec()), 10);
}

#[test]
fn a_backend_that_never_answers_hurts_only_its_own_requests() {
    only_its_own(|_| None, 2);
    // Half a reply is none.
    only_its_own(|_| Some(b"$100\r\nhalf".to_vec()), 2);
}

/// Lengths that no machine has, and depth without end.
#[test]
fn a_backend_that_announces_giants_hurts_only_its_own_requests() {
    only_its_own(|_| Some(b"$4294967295\r\nsome".to_vec()), 2);
    only_its_own(|_| Some(b"*4294967295\r\n:1\r\n".to_vec()), 2);
    only_its_own(|_| Some(b"$9223372036854775807\r\n".to_vec()), 2);
    only_its_own(|_| Some(b"*1\r\n".repeat(50_000)), 2);
    only_its_own(|_| Some(b"*-5\r\n$-7\r\n".to_vec()), 2);
}

/// Replies with random damage, the same ones in every run.
#[test]
fn random_bytes_of_backends_hurt_only_their_own_requests() {
    let damaged = |n: usize| {
        let mut rng = SplitMix64::new(n as u64);
        let mut bytes = b"$5\r\nhello\r\n*2\r\n$1\r\na\r\n:7\r\n+OK\r\n".to_vec();
        for _ in 0..=rng.below(3) {
            damage(&mut bytes, &mut rng);
        }
        Some(bytes)
    };
    only_its_own(damaged, 12);
}
