//! RESP3: what a client gets that said `HELLO 3`, byte for byte.

use std::time::Duration;

use super::harness::{Client, Fixture, Server, Text, key_on, settings};
use super::migrating::Migration;

/// The bytes of the reply as text.
fn raw(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    client.send(&words);
    String::from_utf8(client.try_read_raw().unwrap()).unwrap()
}

fn resp3(fixture: &Fixture) -> Client {
    let mut client = fixture.client();
    let hello = raw(&mut client, "HELLO 3");
    assert!(hello.starts_with("%7\r\n$6\r\nserver\r\n"), "{hello}");
    assert!(hello.contains("$5\r\nproto\r\n:3\r\n"), "{hello}");
    client
}

/// Requests, and their replies in RESP2 and in RESP3.
const BOTH: &[(&str, &str, &str)] = &[
    ("GET missing", "$-1\r\n", "_\r\n"),
    (
        "HGETALL h",
        "*2\r\n$1\r\na\r\n$1\r\n1\r\n",
        "%1\r\n$1\r\na\r\n$1\r\n1\r\n",
    ),
    ("SMEMBERS s", "*1\r\n$1\r\nx\r\n", "~1\r\n$1\r\nx\r\n"),
    ("ZSCORE z m", "$3\r\n1.5\r\n", ",1.5\r\n"),
    ("LPOP missing 1", "*-1\r\n", "_\r\n"),
    (
        "EVAL return{1,false} 1 k",
        "*2\r\n:1\r\n$-1\r\n",
        "*2\r\n:1\r\n_\r\n",
    ),
    // Answered by the proxy itself.
    ("CLIENT GETNAME", "$-1\r\n", "_\r\n"),
    ("COMMAND INFO nosuch", "*1\r\n$-1\r\n", "*1\r\n_\r\n"),
    ("COMMAND DOCS nosuch", "*0\r\n", "%0\r\n"),
    ("PING", "+PONG\r\n", "+PONG\r\n"),
];

#[test]
fn two_sessions_get_the_same_in_their_own_protocols() {
    let server = Server::start(&["--requirepass", "inner"]);
    let with = codis_proxy::settings::Settings {
        product_auth: "inner".to_owned(),
        ..settings()
    };
    let fixture = Fixture::online(with, &[&server]);
    let (mut two, mut three) = (fixture.client(), resp3(&fixture));
    assert_eq!(raw(&mut two, "HSET h a 1"), ":1\r\n");
    assert_eq!(raw(&mut three, "SADD s x"), ":1\r\n");
    assert_eq!(raw(&mut two, "ZADD z 1.5 m"), ":1\r\n");
    for (line, resp2, resp3) in BOTH {
        assert_eq!(raw(&mut two, line), *resp2, "{line}");
        assert_eq!(raw(&mut three, line), *resp3, "{line}");
    }
    assert!(raw(&mut three, "CLIENT INFO").contains(" resp=3 "));
    assert!(raw(&mut three, "CLIENT INFO").starts_with('='));
    assert!(raw(&mut three, "SLOTSMAPPING 7").ends_with("+\r\n_\r\n"));
    assert!(raw(&mut three, "INFO").starts_with('='));
    // In another database as well.
    assert_eq!(raw(&mut three, "SELECT 5"), "+OK\r\n");
    assert_eq!(raw(&mut three, "HGETALL h"), "%0\r\n");
    // HELLO without a version keeps the present one.
    assert!(raw(&mut three, "HELLO").starts_with("%7\r\n"));
    assert!(raw(&mut three, "HELLO 4").starts_with("-NOPROTO "));
    assert_eq!(raw(&mut three, "GET missing"), "_\r\n");
    // Back, in both ways.
    assert!(raw(&mut three, "HELLO 2").starts_with("*14\r\n"));
    assert_eq!(raw(&mut three, "GET missing"), "$-1\r\n");
    assert!(raw(&mut three, "HELLO 3").starts_with("%7\r\n"));
    assert_eq!(raw(&mut three, "RESET"), "+RESET\r\n");
    assert_eq!(raw(&mut three, "GET missing"), "$-1\r\n");
}

#[test]
fn split_commands_are_merged_in_resp3() {
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1], &servers[2]]);
    let mut client = resp3(&fixture);
    let keys: Vec<String> = (0..3).map(|n| key_on(n, 3, 0)).collect();
    let [a, b, c] = &keys[..] else { panic!() };
    assert_eq!(raw(&mut client, &format!("MSET {a} 1 {c} 3")), "+OK\r\n");
    assert_eq!(
        raw(&mut client, &format!("MGET {a} {b} {c}")),
        "*3\r\n$1\r\n1\r\n_\r\n$1\r\n3\r\n"
    );
    assert_eq!(raw(&mut client, &format!("DEL {a} {b} {c}")), ":2\r\n");
    assert_eq!(raw(&mut client, &format!("LPUSH {b} x")), ":1\r\n");
    servers[1].run(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = raw(&mut client, &format!("MSET {a} 1 {b} 2"));
    assert!(full.starts_with("-OOM "), "{full}");
}

#[test]
fn a_change_of_protocol_does_not_overtake_what_is_under_way() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    for n in 0..200 {
        let value = n.to_string();
        client.send(&["SET", "k", &value]);
        client.send(&["HELLO", if n % 2 == 0 { "3" } else { "2" }]);
        client.send(&["GET", "k"]);
    }
    for n in 0..200 {
        assert_eq!(client.read().text(), "OK");
        let hello = client.read().text();
        assert!(hello.contains(if n % 2 == 0 { " proto 3 " } else { " proto 2 " }));
        assert_eq!(client.read().text(), n.to_string());
    }
}

/// What a slot's way to another server does to a request keeps its protocol.
#[test]
fn requests_of_migrating_slots_keep_their_protocol() {
    for method in [0, 1] {
        let m = Migration::begin(method, settings());
        m.at_old(&["HSET", "{t}h", "a", "1"]);
        let (mut two, mut three) = (m.client(), resp3(&m.fixture));
        let map = "%1\r\n$1\r\na\r\n$1\r\n1\r\n";
        let array = "*2\r\n$1\r\na\r\n$1\r\n1\r\n";
        assert_eq!(raw(&mut three, "HGETALL {t}h"), map, "method {method}");
        assert_eq!(raw(&mut two, "HGETALL {t}h"), array, "method {method}");
        assert_eq!(raw(&mut three, "MGET {t}x {t}y"), "*2\r\n_\r\n_\r\n");
        assert_eq!(raw(&mut three, "GET {t}x"), "_\r\n", "method {method}");
    }
}

#[test]
fn a_link_that_was_lost_comes_back_in_its_protocol() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let (mut two, mut three) = (fixture.client(), resp3(&fixture));
    for _ in 0..3 {
        assert_eq!(raw(&mut three, "GET missing"), "_\r\n");
        assert_eq!(raw(&mut two, "GET missing"), "$-1\r\n");
        server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
}

/// Connections that a server has taken, that of the question included.
fn connections(server: &Server) -> u64 {
    let stats = server.run(&["INFO", "stats"]).text();
    let mut lines = stats.lines();
    let line = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().parse().unwrap()
}

fn assert_nobody_dials(server: &Server) {
    std::thread::sleep(Duration::from_millis(300));
    let before = connections(server);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(connections(server), before + 1, "that of INFO alone");
}

/// Servers of before Redis 6: the first client that asks waits for what they say.
#[test]
fn servers_that_do_not_know_resp3_are_asked_first() {
    let old = Server::start(&["--rename-command", "HELLO", ""]);
    let fixture = Fixture::online(settings(), &[&old]);
    for _ in 0..8 {
        let mut client = fixture.client();
        assert!(raw(&mut client, "HELLO 3").starts_with("-NOPROTO "));
        assert_eq!(raw(&mut client, "SET k v"), "+OK\r\n");
        assert_eq!(raw(&mut client, "GET k"), "$1\r\nv\r\n");
    }
    assert_nobody_dials(&old);
}

/// One old server among new ones: who meets it is told and loses the connection; everybody is
/// told at once from then on.
#[test]
fn one_server_that_does_not_know_resp3_ends_it() {
    let new = Server::start(&[]);
    let old = Server::start(&["--rename-command", "HELLO", ""]);
    let fixture = Fixture::online(settings(), &[&new, &old]);
    let mut plain = fixture.client();
    let mut clients: Vec<Client> = (0..4).map(|_| resp3(&fixture)).collect();
    let met = format!("GET {}", key_on(1, 2, 0));
    let told = raw(&mut clients[0], &met);
    assert!(
        told.starts_with("-ERR handle response, backend conn failure, dial ")
            && told.contains("does not know HELLO 3, the client must use RESP2"),
        "{told}"
    );
    for client in &mut clients {
        assert_eq!(client.try_read_raw(), None);
    }
    for _ in 0..8 {
        let mut again = fixture.client();
        assert!(raw(&mut again, "HELLO 3").starts_with("-NOPROTO "));
        assert_eq!(raw(&mut again, &met), "$-1\r\n");
    }
    assert_eq!(raw(&mut plain, &met), "$-1\r\n");
    assert_nobody_dials(&old);
}

/// A server that cannot be asked keeps nobody from RESP3.
#[test]
fn hello_is_answered_while_the_servers_are_down() {
    let mut server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    server.kill();
    let mut client = resp3(&fixture);
    let failed = raw(&mut client, "GET k");
    assert!(failed.contains("backend conn failure"), "{failed}");
    assert_eq!(raw(&mut client, "CLIENT GETNAME"), "_\r\n");
}

#[test]
fn resp3_can_be_turned_off() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_resp3 = false;
    let fixture = Fixture::online(with, &[&server]);
    let mut client = fixture.client();
    let declined = "-NOPROTO unsupported protocol version\r\n";
    assert_eq!(raw(&mut client, "HELLO 3"), declined);
    assert_eq!(raw(&mut client, "GET missing"), "$-1\r\n");
}
