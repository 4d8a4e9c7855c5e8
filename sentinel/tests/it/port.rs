//! The command port under all that may come in.

use std::time::Duration;

use crate::support::{Client, Sentinel, Server, show, wait_for};

/// Bytes that look random, the same in each run.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Half of it from the alphabet of the protocol, so that it gets deeper.
        let byte = (state >> 24) as u8;
        if byte & 1 == 0 {
            b"*$:+-\r\n0123456789 SENTILsentil\""[(byte >> 1) as usize % 31]
        } else {
            byte
        }
    };
    (0..len).map(|_| next()).collect()
}

/// Garbage on many connections neither ends the process nor keeps others waiting.
#[test]
fn garbage_does_no_harm() {
    let mut sentinel = Sentinel::ours("sentinel monitor m 127.0.0.1 30 2\n");
    for seed in 0..300 {
        let mut client = sentinel.client();
        client.patience(Duration::from_millis(20));
        let prefix: &[u8] = match seed % 4 {
            0 => b"",
            1 => b"*3\r\n$8\r\nSENTINEL\r\n$3\r\nSET\r\n$1\r\n",
            2 => b"*2\r\n$9\r\nSUBSCRIBE\r\n$4096\r\n",
            _ => b"*3\r\n$7\r\nPUBLISH\r\n$18\r\n__sentinel__:hello\r\n$40\r\n",
        };
        client.write_raw(prefix);
        client.write_raw(&noise(seed, 600));
    }
    for line in [
        "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 99999999 -5 x",
        "SENTINEL MONITOR x 127.0.0.1 99999999999999999999 1",
        "SENTINEL SET m down-after-milliseconds 18446744073709551615",
        "PUBLISH __sentinel__:hello 1,2,3,4,5,6,7,8",
        "PUBLISH __sentinel__:hello 127.0.0.1,9,peer,18446744073709551615,m,127.0.0.1,30,0",
        "PUBLISH __sentinel__:hello 127.0.0.1,9,peer,0,m,127.0.0.1,31,18446744073709551615",
        "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 30 9223372036854775807 x",
        "SENTINEL SET m epoch-floor 18446744073709551615",
        "SENTINEL SET m down-after-milliseconds 1 failover-timeout 9223372036854775807",
        "SENTINEL SET m down-after-milliseconds 9223372036854775807",
        "SENTINEL SET m master-reboot-down-after-period 9223372036854775807",
        "PUBLISH __sentinel__:hello junk,1,\u{e9},4,m,127.0.0.1,30,8",
        "PUBLISH __sentinel__:hello ,0,,18446744073709551615,m,,0,18446744073709551615",
        "SENTINEL RESET [",
    ] {
        println!("{line}: {}", show(&sentinel.call(line)));
    }
    assert_eq!(sentinel.master(), "127.0.0.1 30", "junk moves no master");
    let text = sentinel.config();
    assert!(text.contains("sentinel current-epoch 0\n"), "{text}");
    assert_eq!(show(&sentinel.call("PING")), "+PONG");
    assert!(!sentinel.log().contains("panicked"), "{}", sentinel.log());
    sentinel.process.kill();
    sentinel.restart();
    assert_eq!(
        sentinel.master(),
        "127.0.0.1 30",
        "the state can be read back"
    );
}

/// Inline commands, pipelines, and commands in pieces get their replies in order.
#[test]
fn requests_are_answered_in_order() {
    let sentinel = Sentinel::ours("sentinel monitor m 127.0.0.1 30 2\n");
    let mut client = sentinel.client();
    client.write_raw(b"PING\r\n\r\nsentinel get-master-addr-by-name m\r\n*1\r\n$4\r\nPI");
    assert_eq!(show(&client.read().unwrap()), "+PONG");
    assert_eq!(show(&client.read().unwrap()), "[127.0.0.1, 30]");
    client.write_raw(b"NG\r\n*2\r\n$8\r\nSENTINEL\r\n$4\r\nMYID\r\nPING\r\n");
    assert_eq!(show(&client.read().unwrap()), "+PONG");
    assert_eq!(show(&client.read().unwrap()).len(), 40);
    assert_eq!(show(&client.read().unwrap()), "+PONG");
    // What a dashboard sends in one go.
    for line in [
        "SENTINEL get-master-addr-by-name d-1",
        "SENTINEL monitor d-1 127.0.0.1 31 2",
        "SENTINEL set d-1 parallel-syncs 1 down-after-milliseconds 2000 failover-timeout 60000",
        "SENTINEL get-master-addr-by-name d-1",
        "SENTINEL remove d-1",
    ] {
        client.write(line);
    }
    let replies: Vec<String> = (0..5).map(|_| show(&client.read().unwrap())).collect();
    assert_eq!(
        replies,
        ["(nil array)", "+OK", "+OK", "[127.0.0.1, 31]", "+OK"]
    );
}

/// With a password nothing is answered before AUTH, and peers use it to reach each other.
#[test]
fn a_password_is_asked_for() {
    let master = Server::start();
    let lines = format!(
        "requirepass s3cret\nsentinel monitor m {} 2\n",
        master.words()
    );
    let (one, other) = (Sentinel::ours(&lines), Sentinel::stock(&lines));
    let mut client = one.client();
    assert_eq!(
        show(&client.call("SENTINEL MASTERS")),
        "-NOAUTH Authentication required."
    );
    assert!(show(&client.call("AUTH wrong")).starts_with("-WRONGPASS"));
    assert_eq!(show(&client.call("AUTH default s3cret")), "+OK");
    for sentinel in [&one, &other] {
        let mut client = sentinel.client();
        assert_eq!(show(&client.call("AUTH s3cret")), "+OK");
        wait_for("the peer is known and usable", || {
            let reply = show(&client.call("SENTINEL CKQUORUM m"));
            reply.starts_with("+OK 2 usable")
        });
    }
}

/// Clients over the limit are told so.
#[test]
fn the_number_of_clients_is_limited() {
    let sentinel = Sentinel::ours("maxclients 3\n");
    let mut held = Vec::new();
    let mut refused = None;
    wait_for("a client is refused", || {
        let mut client = sentinel.client();
        let reply = client.call("PING");
        match reply.as_error() {
            Some(error) => refused = Some(error.into_owned()),
            None => held.push(client),
        }
        refused.is_some()
    });
    assert_eq!(held.len(), 3);
    assert_eq!(refused.unwrap(), "ERR max number of clients reached");
    held.clear();
    wait_for("there is room again", || {
        Client::try_connect(&sentinel.host, sentinel.port)
            .is_some_and(|mut client| show(&client.call("PING")) == "+PONG")
    });
}

/// A simulated failure ends the process with the status of the original.
#[test]
fn a_failure_is_simulated() {
    let master = Server::start();
    let replica = Server::replica_of(&master);
    let lines = format!("sentinel monitor m {} 1\n", master.words());
    let mut sentinel = Sentinel::ours(&lines);
    wait_for("the replica is known", || {
        show(&sentinel.call("SENTINEL REPLICAS m")).contains("master-link-status, ok")
    });
    let order = "SENTINEL SIMULATE-FAILURE crash-after-promotion";
    assert_eq!(show(&sentinel.call(order)), "+OK");
    assert_eq!(show(&sentinel.call("SENTINEL FAILOVER m")), "+OK");
    assert_eq!(sentinel.process.wait().code(), Some(99));
    assert_eq!(replica.role(), "master");
    sentinel.restart();
    wait_for("the restarted sentinel finds one master", || {
        let roles = [master.role(), replica.role()];
        roles.iter().filter(|role| *role == "master").count() == 1
    });
}

/// INFO has its sections, and SHUTDOWN ends the process in order.
#[test]
fn shutdown_and_info_work() {
    let mut sentinel = Sentinel::ours("sentinel monitor m 127.0.0.1 30 2\n");
    let info = show(&sentinel.call("INFO"));
    for part in [
        "redis_mode:sentinel\r\n",
        "# Clients\r\n",
        "used_cpu_sys:",
        "sentinel_masters:1\r\n",
        "master0:name=m,status=",
        "address=127.0.0.1:30,slaves=0,sentinels=1\r\n",
    ] {
        assert!(info.contains(part), "{part} in {info}");
    }
    assert!(show(&sentinel.call("INFO sentinel")).starts_with("# Sentinel\r\n"));
    let mut client = sentinel.client();
    client.write("SHUTDOWN");
    assert!(sentinel.process.wait().success());
}

/// Names are looked up where that is allowed, and what hellos announce can be changed at run time.
#[test]
fn names_and_announced_addresses() {
    let master = Server::start();
    let monitor = format!("sentinel monitor m {} 2\n", master.words());
    let one = Sentinel::ours(&format!("sentinel resolve-hostnames yes\n{monitor}"));
    let other = Sentinel::ours(&monitor);
    assert_eq!(
        show(&one.call("SENTINEL MONITOR named localhost 30 1")),
        "+OK"
    );
    let found = show(&one.call("SENTINEL GET-MASTER-ADDR-BY-NAME named"));
    assert!(
        ["[127.0.0.1, 30]", "[::1, 30]"].contains(&found.as_str()),
        "{found}"
    );
    let unknown = show(&one.call("SENTINEL MONITOR nowhere no-such-host.invalid 30 1"));
    assert_eq!(unknown, "-ERR Invalid IP address or hostname specified");

    let peers = || show(&other.call("SENTINEL SENTINELS m"));
    let shows = |port: u16| peers().contains(&format!("port, {port},"));
    wait_for("the peer is known", || shows(one.port));
    assert_eq!(
        show(&one.call("SENTINEL CONFIG SET announce-port 7777")),
        "+OK"
    );
    wait_for("the peer announces another port", || {
        shows(7777) && !shows(one.port)
    });
    // A stock sentinel would say hello from nowhere from now on.
    assert_eq!(
        show(&one.call("SENTINEL CONFIG SET announce-ip 127.9.9.9")),
        "+OK"
    );
    wait_for("the peer announces another ip", || {
        peers().contains("ip, 127.9.9.9,")
    });
    one.client().write("SENTINEL CONFIG SET announce-ip ");
    wait_for("the peer announces where it is", || {
        peers().contains(&format!("ip, {},", one.host))
    });
}
