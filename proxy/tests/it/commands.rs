//! The command table against a real server, and what becomes of commands of many keys.

use std::collections::BTreeMap;

use codis_core::command::{self, Access, Handling, Keys};
use codis_core::resp::Value;

use super::harness::{Client, Fixture, Server, Text, key_on, settings, wait_for};

/// What a server of version 7.0 says of a command.
struct Known {
    arity: i64,
    flags: Vec<String>,
    keys: [i64; 3],
}

impl Known {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

fn known(entry: &Value) -> Option<(String, Known)> {
    let members = entry.as_array()?;
    let number = |index: usize| members[index].as_int().unwrap();
    let flags = members[2].as_array()?.iter().map(Text::text).collect();
    let keys = [number(3), number(4), number(5)];
    let arity = number(1);
    let name = members[0].text().to_uppercase();
    Some((name, Known { arity, flags, keys }))
}

fn entries(client: &mut Client) -> BTreeMap<String, Known> {
    let Value::Array(Some(all)) = client.run(&["COMMAND"]) else {
        panic!("COMMAND gives a list");
    };
    all.iter().filter_map(known).collect()
}

/// Reads of the server that go to a master, and reads for the server that Codis takes for writes.
const ON_PURPOSE_NOT_READ: &[&str] = &["EVALSHA_RO", "EVAL_RO", "HSCAN", "SSCAN", "ZSCAN", "TOUCH"];
/// The original forwards it, and it is harmless.
const ON_PURPOSE_NOT_REFUSED: &[&str] = &["PFSELFTEST", "PFDEBUG"];
/// Their keys are known here, where the server cannot say them in three numbers.
const ON_PURPOSE_OTHER_KEYS: &[&str] = &["XGROUP", "XINFO"];

#[test]
fn the_table_agrees_with_a_real_server() {
    let server = Server::start(&[]);
    let real = entries(&mut server.client());
    assert!(real.len() >= 240, "{}", real.len());
    for (name, real) in &real {
        let command = command::lookup(name.as_bytes()).unwrap();
        assert!(command.index().is_some(), "{name} is not in the table");
        let handling = command.handling();
        let harmful = ["blocking", "admin", "pubsub", "noscript"]
            .into_iter()
            .find(|flag| real.has(flag));
        let script = matches!(
            command.keys(),
            Keys::Counted {
                store: 0,
                count: 2,
                ..
            }
        );
        if handling == Handling::Refuse {
            continue;
        }
        if let Some(flag) = harmful {
            let own = matches!(handling, Handling::Local(_) | Handling::Unblocked);
            let meant = ON_PURPOSE_NOT_REFUSED.contains(&name.as_str()) || script || name == "ROLE";
            assert!(own || meant, "{name} is {flag}");
        }
        if matches!(handling, Handling::Local(_) | Handling::Parts(_)) {
            continue;
        }
        if real.has("readonly") {
            let meant = ON_PURPOSE_NOT_READ.contains(&name.as_str());
            assert_eq!(command.access() != Access::Read, meant, "{name} only reads");
        }
        if real.has("write") {
            assert_eq!(command.access(), Access::Write, "{name} writes");
        }
        if !ON_PURPOSE_OTHER_KEYS.contains(&name.as_str()) {
            assert_eq!(plain(command.keys()), real.keys, "keys of {name}");
        }
        let movable = matches!(
            command.keys(),
            Keys::Counted { .. } | Keys::Streams | Keys::Stored { .. }
        );
        assert_eq!(movable, real.has("movablekeys"), "{name}");
    }
}

/// First key, last key and step.
fn plain(keys: Keys) -> [i64; 3] {
    match keys {
        Keys::One(key) => [key.into(), key.into(), 1],
        Keys::Range { first, last, step } => [first.into(), last.into(), step.into()],
        Keys::Stored { .. } | Keys::Counted { store: 1, .. } => [1, 1, 1],
        Keys::None | Keys::Streams | Keys::Counted { .. } => [0, 0, 0],
    }
}

#[test]
fn what_command_says_is_what_a_server_says() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let real = entries(&mut server.client());
    let mut client = fixture.client();
    let ours = entries(&mut client);
    assert_eq!(client.text(&["COMMAND", "COUNT"]), ours.len().to_string());
    for (name, ours) in &ours {
        let Some(real) = real.get(name) else {
            continue;
        };
        assert_eq!(ours.arity, real.arity, "{name}");
        if !ON_PURPOSE_OTHER_KEYS.contains(&name.as_str()) {
            assert_eq!(ours.keys, real.keys, "{name}");
        }
    }
    let shape = |client: &mut Client| match client.run(&["COMMAND", "INFO", "get", "nope", "mset"])
    {
        Value::Array(Some(all)) => all,
        other => panic!("{other:?}"),
    };
    let (ours, real) = (shape(&mut client), shape(&mut server.client()));
    assert_eq!(ours.len(), real.len());
    assert!(ours[1].is_null() && real[1].is_null());
    for (ours, real) in [(&ours[0], &real[0]), (&ours[2], &real[2])] {
        let kinds = |entry: &Value| -> Vec<std::mem::Discriminant<Value>> {
            let members = entry.as_array().unwrap();
            members.iter().map(std::mem::discriminant).collect()
        };
        assert_eq!(kinds(ours), kinds(real));
        let search = |entry: &Value| entry.as_array().unwrap()[8].as_array().unwrap().len();
        assert_eq!(search(ours), search(real));
    }
}

/// Commands of several keys, `A` and `B` being two of them, with the reply when both are on one
/// server. The state before each: sets, lists or sorted sets as the name asks.
const SEVERAL: &[&str] = &[
    "SUNION A B",
    "SDIFFSTORE A B",
    "PFCOUNT A B",
    "SMOVE A B x",
    "RPOPLPUSH A B",
    "LMOVE A B LEFT RIGHT",
    "COPY A B",
    "ZUNIONSTORE A 1 B",
    "ZUNION 2 A B",
    "ZRANGESTORE A B 0 1",
    "LMPOP 2 A B LEFT",
    "SINTERCARD 2 A B",
    "EVAL return#1 2 A B",
    "SORT A STORE B",
    "XREAD COUNT 1 STREAMS A B 0 0",
    "LCS A B",
    "GEOSEARCHSTORE A B FROMLONLAT 1 1 BYRADIUS 1 km ASC",
];

fn line(template: &str, a: &str, b: &str) -> Vec<String> {
    let word = |word: &str| match word {
        "A" => a.to_owned(),
        "B" => b.to_owned(),
        other => other.replace('#', " "),
    };
    template.split(' ').map(word).collect()
}

#[test]
fn keys_in_several_slots_are_refused_and_never_half_served() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let mut client = fixture.client();
    let (a, b) = (key_on(0, 2, 0), key_on(1, 2, 0));
    // Of the same server, but slots move one by one.
    let near = key_on(0, 2, 1);
    for template in SEVERAL {
        for other in [&b, &near] {
            let request = line(template, &a, other);
            let words: Vec<&str> = request.iter().map(String::as_str).collect();
            assert_eq!(
                client.text(&words),
                "-CROSSSLOT Keys in request don't hash to the same slot",
                "{template}"
            );
        }
        client.text(&["DEL", "{t}a", "{t}b"]);
        let request = line(template, "{t}a", "{t}b");
        let words: Vec<&str> = request.iter().map(String::as_str).collect();
        let told = client.text(&words);
        let missing = template.starts_with("LCS") || !told.starts_with('-');
        assert!(missing && !told.contains("CROSSSLOT"), "{template}: {told}");
    }
    client.text(&["RPUSH", &a, "1", "2"]);
    let told = client.text(&["SORT", &a, "BY", "weight_*"]);
    assert!(told.starts_with("-CROSSSLOT"), "{told}");
    assert_eq!(
        client.text(&["SORT", &a, "BY", "nosort", "GET", "#"]),
        "1 2"
    );
    let told = client.text(&["ZUNIONSTORE", &a, "x", &b]);
    assert_eq!(told, "-ERR value is not an integer or out of range");
    let told = client.text(&["EVAL", "return 1", "9", &b]);
    assert!(told.starts_with("-ERR Number of keys"), "{told}");
    let told = client.text(&["XREAD", "STREAMS", &a, &b, "0"]);
    assert!(told.starts_with("-ERR Unbalanced"), "{told}");
}

#[test]
fn the_behaviour_of_the_original_can_be_kept() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let mut with = settings();
    with.proxy_cross_slot = codis_proxy::settings::CrossSlots::First;
    let fixture = Fixture::online(with, &[&servers[0], &servers[1]]);
    let mut client = fixture.client();
    let (a, b) = (key_on(0, 2, 0), key_on(1, 2, 0));
    client.text(&["SADD", &a, "x"]);
    client.text(&["SADD", &b, "y"]);
    assert_eq!(client.text(&["SUNION", &a, &b]), "x");
    assert_eq!(client.text(&["SUNION", &b, &a]), "y");
    client.text(&["ZADD", &b, "1", "m"]);
    assert_eq!(client.text(&["ZUNIONSTORE", &a, "1", "none"]), "0");
}

#[test]
fn keys_behind_options_and_sub_commands_are_found() {
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let all: Vec<&Server> = servers.iter().collect();
    let fixture = Fixture::online(settings(), &all);
    let mut client = fixture.client();
    for n in 0..6 {
        let key = &key_on(n % 3, 3, n);
        let id = client.text(&["XADD", key, "*", "f", "v"]);
        assert_eq!(client.text(&["XGROUP", "CREATE", key, "g", "0"]), "OK");
        let read = [
            "XREADGROUP",
            "GROUP",
            "g",
            "c",
            "COUNT",
            "1",
            "STREAMS",
            key,
            ">",
        ];
        assert_eq!(client.text(&read), format!("{key} {id} f v"));
        assert_eq!(
            client.text(&["XREAD", "STREAMS", key, "0"]),
            format!("{key} {id} f v")
        );
        assert!(
            client
                .text(&["XINFO", "STREAM", key])
                .starts_with("length 1")
        );
        assert_eq!(client.text(&["XACK", key, "g", &id]), "1");
        assert_eq!(client.text(&["OBJECT", "ENCODING", key]), "stream");
        let bytes: u64 = client.text(&["MEMORY", "USAGE", key]).parse().unwrap();
        assert!(bytes > 0);
        client.text(&["DEL", key]);
        client.text(&["ZADD", key, "1", "m"]);
        assert_eq!(client.text(&["ZUNION", "1", key]), "m");
        assert_eq!(
            client.text(&["ZMPOP", "1", key, "MIN"]),
            format!("{key} m 1")
        );
        let script = ["EVAL_RO", "return redis.call('EXISTS', KEYS[1])", "1", key];
        assert_eq!(client.text(&script), "0");
        assert_eq!(client.text(&["SET", key, "v", "EX", "100"]), "OK");
        assert_eq!(client.text(&["GETEX", key, "PERSIST"]), "v");
        assert_eq!(client.text(&["GETDEL", key]), "v");
    }
}

/// What must never reach a connection that sessions share.
const REFUSED: &[&str] = &[
    "BLPOP k 0",
    "BLMOVE k k LEFT LEFT 0",
    "BZPOPMIN k 0",
    "BLMPOP 0 1 k LEFT",
    "BZMPOP 0 1 k MIN",
    "XREAD BLOCK 0 STREAMS k $",
    "XREADGROUP GROUP g c BLOCK 0 STREAMS k >",
    "WAIT 1 0",
    "WAITAOF 1 0 0",
    "SUBSCRIBE c",
    "PSUBSCRIBE c",
    "SSUBSCRIBE c",
    "UNSUBSCRIBE",
    "MONITOR",
    "MULTI",
    "EXEC",
    "WATCH k",
    "CLIENT REPLY OFF",
    "CLIENT REPLY SKIP",
    "CLIENT TRACKING ON",
    "CLIENT PAUSE 1000",
    "CLIENT UNBLOCK 1",
    "CLIENT NO-TOUCH ON",
    "CLIENT CACHING YES",
    "READONLY",
    "READWRITE",
    "ASKING",
    "SYNC",
    "PSYNC x 0",
    "REPLCONF listening-port 1",
    "REPLICAOF NO ONE",
    "SLAVEOF NO ONE",
    "FAILOVER",
    "CLUSTER INFO",
    "SHUTDOWN",
    "DEBUG SLEEP 1",
    "HIMPORT PREPARE f a",
    "SLOTSMGRT-EXEC-WRAPPER k CONFIG GET x",
    "slotsmgrt-exec-wrapper k FLUSHALL",
    "SLOTSRESTORE-ASYNC-SELECT 1",
    "SLOTSMGRTTAGONE-ASYNC-DUMP 1 1 k",
    "RESTORE-ASKING k 0 x",
    "POST / HTTP/1.1",
    "Host: x",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "ACL WHOAMI",
    "MODULE LIST",
    "CONFIG GET save",
    "MSETNX a 1",
    "BITOP NOT a b",
    "RENAME a b",
    "FT.SEARCH i q",
];

#[test]
fn what_would_disturb_a_shared_connection_never_reaches_it() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    client.text(&["SET", "k", "v"]);
    server.run(&["CONFIG", "RESETSTAT"]);
    for inline in [false, true] {
        for line in REFUSED {
            let words: Vec<&str> = line.split(' ').collect();
            let told = if inline {
                client.send_raw(format!("{line}\r\n").as_bytes());
                client.read().text()
            } else {
                client.text(&words)
            };
            let name = words[0].to_uppercase();
            let start = format!("-ERR handle request, command '{name}");
            assert!(told.starts_with(&start), "{line}: {told}");
            assert!(told.ends_with("' is not allowed"), "{line}: {told}");
        }
    }
    assert_eq!(client.text(&["GET", "k"]), "v");
    let seen = server.run(&["INFO", "commandstats"]).text();
    let calls: Vec<&str> = seen
        .lines()
        .filter(|line| line.starts_with("cmdstat_"))
        .filter(|line| {
            !["get:", "info:", "config|resetstat:", "ping:"]
                .iter()
                .any(|c| line.contains(c))
        })
        .collect();
    assert!(calls.is_empty(), "{calls:?}");
}

#[test]
fn parts_of_split_commands_report_the_first_failing_key() {
    let servers = [
        Server::start(&["--maxmemory", "1"]),
        Server::start(&[
            "--rename-command",
            "MSET",
            "",
            "--rename-command",
            "MGET",
            "",
        ]),
    ];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let mut client = fixture.client();
    let (a, b) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let oom = client.text(&["MSET", &a, "1", &b, "2"]);
    assert!(oom.starts_with("-OOM command not allowed"), "{oom}");
    let gone = client.text(&["MSET", &b, "1", &a, "2"]);
    assert!(gone.starts_with("-ERR unknown command"), "{gone}");
    let gone = client.text(&["MGET", &a, &b]);
    assert!(gone.starts_with("-ERR unknown command"), "{gone}");
    assert_eq!(
        client.text(&["MSETNX", &a, "1"]),
        "-ERR handle request, command 'MSETNX' is not allowed"
    );
}

#[test]
fn split_commands_count_and_check_their_arguments() {
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let all: Vec<&Server> = servers.iter().collect();
    let fixture = Fixture::online(settings(), &all);
    let mut client = fixture.client();
    for name in ["MGET", "MSET", "DEL", "UNLINK", "EXISTS", "TOUCH"] {
        let expected = format!("-ERR wrong number of arguments for '{name}' command");
        assert_eq!(client.text(&[&name.to_lowercase()]), expected);
    }
    let keys: Vec<String> = (0..9).map(|n| key_on(n % 3, 3, n)).collect();
    let odd = client.text(&["MSET", &keys[0], "1", &keys[1]]);
    assert_eq!(odd, "-ERR wrong number of arguments for 'MSET' command");
    let with = |name: &'static str| {
        let mut request = vec![name];
        request.extend(keys.iter().map(String::as_str));
        request
    };
    let mut mset = vec!["MSET"];
    for (key, value) in keys
        .iter()
        .zip(["a", "", "c\r\nc", "d", "e", "f", "g", "h", "i"])
    {
        mset.extend([key.as_str(), value]);
    }
    // The last value of a key that is named twice stays.
    mset.extend([keys[0].as_str(), "last"]);
    assert_eq!(client.text(&mset), "OK");
    assert_eq!(client.text(&with("MGET")), "last  c\r\nc d e f g h i");
    assert_eq!(
        client.text(&["MGET", &keys[0], "none", &keys[0]]),
        "last (nil) last"
    );
    assert_eq!(client.text(&with("EXISTS")), "9");
    assert_eq!(client.text(&["EXISTS", &keys[0], &keys[1], &keys[0]]), "3");
    assert_eq!(client.text(&with("TOUCH")), "9");
    assert_eq!(client.text(&["DEL", &keys[0], &keys[1], &keys[0]]), "2");
    assert_eq!(client.text(&["UNLINK", &keys[2]]), "1");
    client.text(&["LPUSH", &keys[0], "x"]);
    assert_eq!(client.text(&["MGET", &keys[0], &keys[3]]), "(nil) d");
    assert_eq!(client.text(&with("DEL")), "7");
    wait_for("all is gone", || {
        servers.iter().all(|s| s.run(&["DBSIZE"]).text() == "0")
    });
}
