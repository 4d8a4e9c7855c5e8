//! What clients of Go and Java send when they connect, replayed: their libraries do not come from
//! PyPI or npm, as those of `clients.rs` do.
//!
//! The sequences of go-redis v9 (`redis.go`, `initConn`) and Lettuce 6 (`RedisHandshake`) follow
//! their published sources; that of Jedis 5 is what its users report, and version numbers are
//! examples.

use codis_proxy::settings::Settings;

use super::harness::{Fixture, Server, settings};

/// Go-redis asks for RESP3; after an error of the server to that it sends the rest.
const GO_REDIS: &[&str] = &[
    "HELLO 3 AUTH default secret SETNAME app",
    "AUTH secret",
    "SELECT 1",
    "CLIENT SETNAME app",
    "CLIENT SETINFO LIB-NAME go-redis(,go1.24)",
    "CLIENT SETINFO LIB-VER 9.14.0",
];

/// Lettuce asks for RESP3 and falls back to a password alone, or to PING.
const LETTUCE: &[&str] = &[
    "HELLO 3 AUTH default secret SETNAME app",
    "AUTH secret",
    "CLIENT SETNAME app",
    "SELECT 1",
    "CLIENT SETINFO lib-name Lettuce",
    "CLIENT SETINFO lib-ver 6.5.0.RELEASE/0",
    "PING",
];

/// Jedis stays with RESP2 unless it is told otherwise.
const JEDIS: &[&str] = &[
    "AUTH default secret",
    "CLIENT SETNAME app",
    "CLIENT SETINFO LIB-NAME jedis",
    "CLIENT SETINFO LIB-VER 5.2.0",
    "SELECT 1",
    "PING",
];

#[test]
fn handshakes_of_go_and_java_lead_to_a_session_that_works() {
    for session_resp3 in [true, false] {
        let server = Server::start(&[]);
        let with = Settings {
            session_auth: "secret".to_owned(),
            session_resp3,
            ..settings()
        };
        let fixture = Fixture::online(with, &[&server]);
        for (name, handshake) in [
            ("go-redis", GO_REDIS),
            ("lettuce", LETTUCE),
            ("jedis", JEDIS),
        ] {
            connects(&fixture, name, handshake, session_resp3);
        }
        let mut direct = server.client();
        assert_eq!(direct.text(&["SELECT", "1"]), "OK");
        assert_eq!(
            direct.text(&["EXISTS", "go-redis", "lettuce", "jedis"]),
            "3"
        );
    }
}

fn connects(fixture: &Fixture, name: &str, handshake: &[&str], resp3: bool) {
    let mut client = fixture.client();
    for request in handshake {
        let words: Vec<&str> = request.split(' ').collect();
        let told = client.text(&words);
        match words[0] {
            "HELLO" if resp3 => assert!(told.contains(" proto 3 "), "{name}: {told}"),
            "HELLO" => assert!(told.starts_with("-NOPROTO "), "{name}: {told}"),
            "PING" => assert_eq!(told, "PONG", "{name}"),
            _ => assert_eq!(told, "OK", "{name}: {request}"),
        }
    }
    assert_eq!(client.text(&["CLIENT", "GETNAME"]), "app", "{name}");
    assert_eq!(client.text(&["SET", name, "v"]), "OK");
    assert_eq!(client.text(&["GET", name]), "v");
}
