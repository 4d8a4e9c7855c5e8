//! Deep pipelines over three servers, one of which hangs, dies and comes back.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Scope;

use codis_bed::process::Signal;
use codis_core::resp::encode_command;
use codis_core::units::TimeSpan;

use super::harness::{Client, Fixture, Server, Text, key_on, settings, wait_for};

const CLIENTS: usize = 3;
const ROUNDS: usize = 1_500;
/// Requests of one round, and which of them counts.
const PER_ROUND: usize = 7;
const COUNTER: usize = 3;
/// The server that fails.
const BAD: usize = 1;

/// What a reply must be.
#[derive(Clone, Debug)]
enum Wanted {
    /// This and nothing else.
    Text(String),
    /// This, nothing (the server has lost its data), or an error of the link.
    OrNothing(String),
    /// Arrays of these or an error of the link.
    Parts(Vec<String>),
}

impl Wanted {
    fn fits(&self, told: &str) -> bool {
        let is_link = told.starts_with("-ERR handle response, backend conn ");
        match self {
            Self::Text(text) => told == text,
            Self::OrNothing(text) => told == text || told == "(nil)" || is_link,
            Self::Parts(texts) => {
                let mut parts = told.split(' ').zip(texts);
                let same = |(part, text): (&str, &String)| part == text || part == "(nil)";
                is_link || (told.split(' ').count() == texts.len() && parts.all(same))
            }
        }
    }
}

/// The requests of one client, each with what its reply must be. Every value is the name of its
/// key, so a reply in the wrong place is seen.
fn pipeline(client: usize, keys: &[Vec<String>]) -> (Vec<u8>, Vec<Wanted>) {
    let mut bytes = Vec::new();
    let mut wanted = Vec::new();
    let mut ask = |args: &[&str], reply: Wanted| {
        encode_command(&mut bytes, args);
        wanted.push(reply);
    };
    let counter = format!("{{{}}}count{client}", keys[0][0]);
    for round in 0..ROUNDS {
        let key = |server: usize| &keys[server][(round * 7 + client) % keys[server].len()];
        let (a, bad, c) = (key(0), key(BAD), key(2));
        ask(&["GET", a], Wanted::Text(a.clone()));
        ask(&["GET", bad], Wanted::OrNothing(bad.clone()));
        ask(&["GET", c], Wanted::Text(c.clone()));
        ask(&["INCR", &counter], Wanted::Text((round + 1).to_string()));
        ask(&["MGET", c, a], Wanted::Text(format!("{c} {a}")));
        let parts = [a, bad, c].map(String::clone).to_vec();
        ask(&["MGET", a, bad, c], Wanted::Parts(parts));
        let id = format!("{client}-{round}");
        ask(&["ECHO", &id], Wanted::Text(id.clone()));
    }
    (bytes, wanted)
}

fn keys(servers: usize) -> Vec<Vec<String>> {
    let of = |server| (0..20).map(|n| key_on(server, servers, n)).collect();
    (0..servers).map(of).collect()
}

fn store(fixture: &Fixture, keys: &[Vec<String>]) {
    let mut client = fixture.client();
    for key in keys.iter().flatten() {
        assert_eq!(client.text(&["SET", key, key]), "OK");
    }
}

fn write_in_background<'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut stream: TcpStream,
    bytes: &'scope [u8],
) {
    scope.spawn(move || stream.write_all(bytes).unwrap());
}

/// A session that has no business with the failing server goes on through all of its states: it
/// gets answers between each two of them.
#[test]
fn a_server_that_hangs_dies_and_returns_hurts_only_its_own_requests() {
    let mut servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let mut with = settings();
    with.ha_hold = TimeSpan::from_millis(300);
    let fixture = Fixture::online(with, &[&servers[0], &servers[1], &servers[2]]);
    let keys = keys(servers.len());
    store(&fixture, &keys);
    let traffic: Vec<_> = (0..CLIENTS).map(|n| pipeline(n, &keys)).collect();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| fixture.client()).collect();
    let mut bystander = fixture.client();
    let mut undisturbed = || {
        for n in 0..200 {
            let key = &keys[[0, 2][n % 2]][n % 20];
            assert_eq!(bystander.text(&["GET", key]), *key);
        }
    };
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        servers[BAD].signal(Signal::STOP);
        for (client, (bytes, wanted)) in clients.iter_mut().zip(&traffic) {
            write_in_background(scope, client.stream.try_clone().unwrap(), bytes);
            let answered = &answered;
            scope.spawn(move || {
                for (n, wanted) in wanted.iter().enumerate() {
                    let told = client.read().text();
                    assert!(wanted.fits(&told), "reply {n}: {told}, not {wanted:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        undisturbed();
        servers[BAD].kill();
        undisturbed();
        wait_for("replies go on", || answered.load(Ordering::Relaxed) > 1_000);
        servers[BAD] = Server::start_at(servers[BAD].port, &[]);
        undisturbed();
    });
    wait_for("the server is used again", || {
        clients[0].text(&["SET", &keys[BAD][0], "again"]) == "OK"
    });
    for client in &mut clients {
        assert_eq!(client.text(&["GET", &keys[BAD][0]]), "again");
    }
}

/// Not one request fails on a server that is only slow.
#[test]
fn a_slow_server_delays_and_fails_nothing() {
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1], &servers[2]]);
    let keys = keys(servers.len());
    store(&fixture, &keys);
    let traffic: Vec<_> = (0..CLIENTS).map(|n| pipeline(n, &keys)).collect();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| fixture.client()).collect();
    std::thread::scope(|scope| {
        let mut sleeper = servers[BAD].client();
        scope.spawn(move || {
            for _ in 0..8 {
                sleeper.text(&["DEBUG", "SLEEP", "0.15"]);
            }
        });
        for (client, (bytes, wanted)) in clients.iter_mut().zip(&traffic) {
            write_in_background(scope, client.stream.try_clone().unwrap(), bytes);
            scope.spawn(move || {
                for (n, wanted) in wanted.iter().enumerate() {
                    let told = client.read().text();
                    let whole = !told.starts_with('-') && !told.contains("(nil)");
                    assert!(
                        whole && wanted.fits(&told),
                        "reply {n}: {told}, not {wanted:?}"
                    );
                }
            });
        }
    });
    assert_eq!(fixture.stats().ops.fails, 0);
}

/// Servers die and come back again and again under the pipelines of clients that come and go.
#[test]
fn clients_that_leave_take_no_replies_of_others_with_them() {
    let mut servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let mut with = settings();
    with.ha_hold = TimeSpan::from_millis(200);
    let fixture = Fixture::online(with, &[&servers[0], &servers[1], &servers[2]]);
    let keys = keys(servers.len());
    store(&fixture, &keys);
    for round in 0..4 {
        let (bytes, wanted) = pipeline(round, &keys);
        let mut stays = fixture.client();
        std::thread::scope(|scope| {
            write_in_background(scope, stays.stream.try_clone().unwrap(), &bytes);
            for n in 0..30 {
                let mut leaves = fixture.client();
                let part = bytes.len() * (n + 1) / 40;
                // It leaves in the middle of a request, with most replies unread.
                leaves.send_raw(&bytes[..part.min(100_000)]);
                if n == 15 {
                    servers[BAD].kill();
                    servers[BAD] = Server::start_at(servers[BAD].port, &[]);
                }
            }
            for (n, wanted) in wanted.iter().enumerate() {
                let told = stays.read().text();
                // The counter is shared with those that left.
                let fits = match n % PER_ROUND {
                    COUNTER => told.parse::<u64>().is_ok(),
                    _ => wanted.fits(&told),
                };
                assert!(fits, "reply {n}: {told}, not {wanted:?}");
            }
        });
    }
}
