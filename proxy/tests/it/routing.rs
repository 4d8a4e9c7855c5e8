//! Which server a command reaches, and what comes back.

use codis_core::slot::SlotId;

use super::harness::{Fixture, Server, Text, key_on, settings, slot, spread};

#[test]
fn keys_go_to_the_server_of_their_slot() {
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let all: Vec<&Server> = servers.iter().collect();
    let fixture = Fixture::online(settings(), &all);
    let mut client = fixture.client();
    for i in 0..300 {
        assert_eq!(
            client.text(&["SET", &format!("key:{i}"), &format!("v{i}")]),
            "OK"
        );
    }
    for i in 0..300 {
        let key = format!("key:{i}");
        let index = usize::from(SlotId::of_key(key.as_bytes()).get()) % 3;
        assert_eq!(servers[index].run(&["GET", &key]).text(), format!("v{i}"));
        assert_eq!(client.text(&["GET", &key]), format!("v{i}"));
    }
    let sizes: Vec<usize> = servers
        .iter()
        .map(|s| s.run(&["DBSIZE"]).text().parse().unwrap())
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 300);
    assert!(sizes.iter().all(|size| *size > 50), "{sizes:?}");
}

#[test]
fn commands_of_many_keys_are_split_and_merged_in_key_order() {
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let all: Vec<&Server> = servers.iter().collect();
    let fixture = Fixture::online(settings(), &all);
    let mut client = fixture.client();
    let keys: Vec<String> = (0..60).map(|i| format!("m:{i}")).collect();
    let mut mset = vec!["MSET"];
    for key in &keys {
        mset.extend([key.as_str(), &key[2..]]);
    }
    assert_eq!(client.text(&mset), "OK");
    let mut mget = vec!["MGET", "missing"];
    mget.extend(keys.iter().map(String::as_str));
    let expected: Vec<&str> = keys.iter().map(|key| &key[2..]).collect();
    assert_eq!(client.text(&mget), format!("(nil) {}", expected.join(" ")));
    assert_eq!(
        client.text(&["EXISTS", "m:1", "m:2", "m:1", "missing"]),
        "3"
    );
    assert_eq!(client.text(&["TOUCH", "m:1", "m:2", "m:3"]), "3");
    assert_eq!(client.text(&["UNLINK", "m:1", "m:2"]), "2");
    let mut del = vec!["DEL"];
    del.extend(keys.iter().map(String::as_str));
    assert_eq!(client.text(&del), "58");
    // Three servers, so three commands and not sixty.
    let calls: usize = servers
        .iter()
        .map(|s| {
            let info = s.run(&["INFO", "commandstats"]).text();
            let line = info
                .lines()
                .find(|l| l.starts_with("cmdstat_mget:"))
                .unwrap()
                .to_owned();
            line.split(['=', ','])
                .nth(1)
                .unwrap()
                .parse::<usize>()
                .unwrap()
        })
        .sum();
    assert_eq!(calls, 3);

    client.send_raw(b"MGET m:5 missing\r\nMSET m:5 x m:6 y\r\nMGET m:5 m:6\r\n");
    assert_eq!(client.read().text(), "(nil) (nil)");
    assert_eq!(client.read().text(), "OK");
    assert_eq!(client.read().text(), "x y");
}

#[test]
fn an_error_of_a_backend_comes_back_in_its_own_words() {
    let servers = [Server::start(&[]), Server::start(&["--maxmemory", "1"])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let mut client = fixture.client();
    let (a, b) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let refused = client.text(&["MSET", &a, "1", &b, "2"]);
    assert!(refused.starts_with("-OOM command not allowed"), "{refused}");
    let list = key_on(0, 2, 1);
    client.text(&["LPUSH", &list, "x"]);
    assert!(client.text(&["INCR", &list]).starts_with("-WRONGTYPE"));
    let unknown = client.text(&["NOSUCHCOMMAND", &a]);
    assert!(unknown.starts_with("-ERR unknown command"), "{unknown}");
}

/// Requests and what the proxy itself says to them.
const TEXTS: &[(&[&str], &str)] = &[
    (
        &["GET", "a"],
        "-ERR handle request, slot is not ready, may be offline",
    ),
    (
        &["KEYS", "*"],
        "-ERR handle request, command 'KEYS' is not allowed",
    ),
    (
        &["CLIENT", "KILL", "x"],
        "-ERR handle request, command 'CLIENT' is not allowed",
    ),
    (
        &["CONFIG", "GET", "save"],
        "-ERR handle request, command 'CONFIG' is not allowed",
    ),
    (
        &["slotsrestore-async", "x"],
        "-ERR handle request, command 'SLOTSRESTORE-ASYNC' is not allowed",
    ),
    (
        &["MGET"],
        "-ERR wrong number of arguments for 'MGET' command",
    ),
    (
        &["MSET", "b"],
        "-ERR wrong number of arguments for 'MSET' command",
    ),
    (
        &["SELECT", "16"],
        "-ERR invalid DB index, only accept DB [0,16)",
    ),
    (&["SELECT", "x"], "-ERR invalid DB index"),
    (
        &["SELECT"],
        "-ERR wrong number of arguments for 'SELECT' command",
    ),
    (
        &["AUTH", "x"],
        "-ERR Client sent AUTH, but no password is set",
    ),
    (&["PING", "hello"], "hello"),
    (
        &["PING", "hello", "you"],
        "-ERR backend server 'hello' not found",
    ),
    (
        &["INFO", "keyspace"],
        "-ERR backend server 'keyspace' not found",
    ),
    (
        &["SLOTSMAPPING", "1024"],
        "-ERR parse slotnum '1024' failed, out of range",
    ),
    (
        &["SLOTSINFO"],
        "-ERR wrong number of arguments for 'SLOTSINFO' command",
    ),
    (&["PING"], "PONG"),
    (&["ECHO", "hi"], "hi"),
    (&["HELLO", "4"], "-NOPROTO unsupported protocol version"),
    (&["CLIENT", "SETINFO", "LIB-NAME", "x"], "OK"),
    (&["CLIENT", "GETNAME"], "(nil)"),
    (&["CLIENT", "SETNAME", "me"], "OK"),
    (&["CLIENT", "GETNAME"], "me"),
];

#[test]
fn texts_of_the_proxy_are_those_of_codis() {
    let server = Server::start(&[]);
    let fixture = Fixture::start(settings());
    let mut early = fixture.client();
    assert_eq!(early.read().text(), "-ERR router is not online");
    assert!(early.try_read().is_none());

    let mut slots = spread(&[&server], 0);
    slots[usize::from(SlotId::of_key(b"a").get())] = slot(579, 0, "", 0);
    fixture.fill(&slots).unwrap();
    fixture.put("start").unwrap();
    let mut client = fixture.client();
    for (args, expected) in TEXTS {
        assert_eq!(client.text(args), *expected, "{args:?}");
    }
    assert_eq!(client.text(&["PING", &server.addr()]), "PONG");
    let long = "x".repeat(65);
    assert_eq!(
        client.text(&[&long]),
        "-ERR handle request, bad command length, too short or too long"
    );
    assert!(
        client
            .text(&["HELLO", "2"])
            .starts_with("server redis version")
    );
    assert_eq!(
        client.text(&["SLOTSMAPPING", "7"]),
        format!("7 {}  (nil array)", server.addr())
    );
    assert!(
        client
            .text(&["INFO", &server.addr(), "server"])
            .contains("redis_version")
    );
    assert!(client.text(&["INFO"]).contains("redis_version"));
    assert_eq!(
        fixture.stats().ops.fails,
        2,
        "one session too early, one slot without a server"
    );
}

#[test]
fn databases_are_kept_apart() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    client.text(&["SET", "k", "zero"]);
    assert_eq!(client.text(&["SELECT", "5"]), "OK");
    assert_eq!(client.text(&["GET", "k"]), "(nil)");
    client.text(&["SET", "k", "five"]);
    assert_eq!(fixture.client().text(&["GET", "k"]), "zero");
    let mut direct = server.client();
    direct.text(&["SELECT", "5"]);
    assert_eq!(direct.text(&["GET", "k"]), "five");
}

#[test]
fn passwords_of_clients_and_of_backends_are_two_things() {
    let server = Server::start(&["--requirepass", "inside"]);
    let mut with = settings();
    with.session_auth = "outside".to_owned();
    with.product_auth = "inside".to_owned();
    let fixture = Fixture::online(with, &[&server]);
    let mut client = fixture.client();
    for (args, expected) in [
        (&["GET", "k"][..], "-NOAUTH Authentication required"),
        (&["PING"], "-NOAUTH Authentication required"),
        (&["SELECT", "1"], "-NOAUTH Authentication required"),
        (
            &["KEYS", "*"],
            "-ERR handle request, command 'KEYS' is not allowed",
        ),
        (
            &["AUTH"],
            "-ERR wrong number of arguments for 'AUTH' command",
        ),
        (&["AUTH", "inside"], "-ERR invalid password"),
        (&["AUTH", "outside"], "OK"),
        (&["SET", "k", "v"], "OK"),
        (&["AUTH", "wrong"], "-ERR invalid password"),
        (&["GET", "k"], "-NOAUTH Authentication required"),
        (&["QUIT"], "OK"),
    ] {
        assert_eq!(client.text(args), expected, "{args:?}");
    }
    assert!(client.try_read().is_none(), "QUIT closes");
}

#[test]
fn reads_go_to_replicas_and_back_to_the_master_when_they_are_gone() {
    let (master, mut replica) = (Server::start(&[]), Server::start(&[]));
    replica.follow(&master);
    let fixture = Fixture::start(settings());
    let mut slots = spread(&[&master], 0);
    for slot in &mut slots {
        slot.replica_groups = vec![vec![replica.addr()]];
    }
    fixture.fill(&slots).unwrap();
    fixture.put("start").unwrap();
    let mut client = fixture.client();
    client.text(&["SET", "k", "v"]);
    let reads = |server: &Server| {
        let info = server.run(&["INFO", "commandstats"]).text();
        info.lines().any(|line| line.starts_with("cmdstat_get:"))
    };
    super::harness::wait_for("a read reaches the replica", || {
        client.text(&["GET", "k"]) == "v" && reads(&replica)
    });
    replica.kill();
    for _ in 0..100 {
        assert_eq!(client.text(&["GET", "k"]), "v");
    }
}
