//! `SENTINEL FAILOVER name COORDINATED`, with real servers and clients that write all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{Client, Kind, Quorum, Sentinel, Server, show, wait_for};
use codis_bed::process::Signal;

/// What a client did.
#[derive(Default)]
struct Written {
    /// Writes that were acknowledged, and by whom.
    acknowledged: Vec<(u32, String)>,
    /// The longest time between two acknowledged writes.
    gap: Duration,
}

/// Writes one number after the other to whoever is master, until it is told to stop. Each write
/// that is not acknowledged is given up.
fn write_all_the_time(quorum: &Quorum, stop: &Arc<AtomicBool>) -> JoinHandle<Written> {
    let servers = quorum.servers.iter().map(|it| (it.host.clone(), it.port));
    let servers: Vec<(String, u16)> = servers.collect();
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let (mut written, mut at, mut last) = (Written::default(), 0, Instant::now());
        let mut client: Option<Client> = None;
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let (host, port) = &servers[at % servers.len()];
            if client.is_none() {
                client = Client::try_connect(host, *port);
            }
            let reply = client.as_mut().and_then(|client| {
                client.patience(Duration::from_secs(5));
                client.try_write(&format!("SADD written {number}"))?;
                client.read()
            });
            if reply.is_some_and(|it| show(&it) == ":1") {
                written.gap = written.gap.max(last.elapsed());
                last = Instant::now();
                written.acknowledged.push((number, host.clone()));
            } else {
                // Refused or cut off: the next one may be the master.
                (client, at) = (None, at + 1);
            }
        }
        written
    })
}

fn assert_nothing_lost(quorum: &Quorum, written: &Written) {
    let new = quorum.sentinels[0].master();
    let server = quorum.servers.iter().find(|it| it.words() == new).unwrap();
    let held = server.call("SMEMBERS written");
    let held: std::collections::BTreeSet<u32> = held
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap().parse().unwrap())
        .collect();
    for (number, by) in &written.acknowledged {
        assert!(
            held.contains(number),
            "{number}, acknowledged by {by}, is lost"
        );
    }
}

/// Three orders at three sentinels, in turn, under writes: each changes the master, and not one
/// acknowledged write is lost. On a busy machine one of some tries shows that the pauses are short.
#[test]
fn no_acknowledged_write_is_lost() {
    let mut gaps = Vec::new();
    for _ in 0..4 {
        let gap = longest_gap();
        if gap < Duration::from_secs(4) {
            return;
        }
        gaps.push(gap);
    }
    panic!("{gaps:?}");
}

/// The longest time without an acknowledged write.
fn longest_gap() -> Duration {
    let lines = "sentinel down-after-milliseconds m 5000\n";
    let quorum = Quorum::start(&[Kind::Ours; 3], 2, lines);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..1).map(|_| write_all_the_time(&quorum, &stop)).collect();
    let mut events = quorum.sentinels[0].client();
    events.subscribe("+switch-master +convert-to-slave +topology");
    for sentinel in &quorum.sentinels {
        std::thread::sleep(Duration::from_millis(300));
        let old = quorum.sentinels[0].master();
        assert_eq!(
            show(&sentinel.call("SENTINEL FAILOVER m COORDINATED")),
            "+OK"
        );
        for sentinel in &quorum.sentinels {
            wait_for("a sentinel has switched", || sentinel.master() != old);
        }
        let ended = || sentinel.master_field("flags") == "master";
        wait_for("the failover has ended", ended);
        let former = quorum.servers.iter().find(|it| it.words() == old).unwrap();
        wait_for("the old master follows", || former.role() == "slave");
        // The next candidate must have said lately that it is in step.
        wait_for("replicas are in sync", || {
            let servers = quorum.servers.iter().filter(|it| it.role() == "slave");
            servers
                .filter(|it| show(&it.call("ROLE")).contains("connected"))
                .count()
                == 2
        });
    }
    stop.store(true, Ordering::Relaxed);
    let mut gap = Duration::ZERO;
    for client in clients {
        let written = client.join().unwrap();
        assert!(written.acknowledged.len() > 100);
        gap = written.gap.max(gap);
        assert_nothing_lost(&quorum, &written);
    }
    events.patience(Duration::from_millis(100));
    while let Some((channel, payload)) = events.message() {
        assert_ne!(channel, "+convert-to-slave", "{payload}");
    }
    gap
}

/// A replica that does not answer leaves the master as it was, and its writes are held back for
/// a short time.
#[test]
fn a_replica_that_hangs_costs_a_short_pause_and_nothing_else() {
    let lines = "sentinel down-after-milliseconds m 3000\n";
    let quorum = Quorum::start(&[Kind::Ours; 3], 1, lines);
    let mut events = quorum.sentinels[0].client();
    events.subscribe("-failover-abort-slave-timeout +sdown");
    quorum.servers[1].process.signal(Signal::STOP);
    let mut writer = quorum.servers[0].client();
    assert_eq!(show(&writer.call("SET key value")), "+OK");
    assert_eq!(
        show(&quorum.sentinels[0].call("SENTINEL FAILOVER m COORDINATED")),
        "+OK"
    );
    let state = || show(&quorum.servers[0].call("INFO replication"));
    wait_for("the master holds writes back", || {
        state().contains("waiting-for-sync")
    });
    let begin = Instant::now();
    // It waits for the end of the pause.
    assert_eq!(show(&writer.call("SET key other")), "+OK");
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    let (channel, payload) = events.message().unwrap();
    assert_eq!(channel, "-failover-abort-slave-timeout");
    assert_eq!(payload, format!("master m {}", quorum.servers[0].words()));
    quorum.servers[1].process.signal(Signal::CONT);
    assert_eq!(quorum.servers[0].role(), "master");
    wait_for("the failover is over", || state().contains("no-failover"));
    for sentinel in &quorum.sentinels {
        assert_eq!(sentinel.master(), quorum.servers[0].words());
    }
}

/// The operator may name the replica; a user without the right to FAILOVER makes the master refuse.
#[test]
fn the_replica_can_be_named_and_a_refusal_is_told() {
    let lines = "sentinel auth-user m watch\nsentinel auth-pass m secret\n";
    let user = "user watch on >secret allchannels +multi +slaveof +ping +exec +subscribe +publish \
                +info +config|rewrite +client|setname +client|kill +script|kill\n";
    let master = Server::with(user);
    let quorum = Quorum::with(master, &[Kind::Ours; 3], 2, lines);
    let sentinel = &quorum.sentinels[0];
    let mut events = sentinel.client();
    events.subscribe("-failover-abort-master-refused");
    let to = quorum.servers[2].words();
    let order = format!("SENTINEL FAILOVER m COORDINATED TO {to}");
    assert_eq!(show(&sentinel.call(&order)), "+OK");
    let (_, payload) = events.message().unwrap();
    let begin = format!("master m {} #NOPERM ", quorum.servers[0].words());
    assert!(payload.starts_with(&begin), "{payload}");
    for server in &quorum.servers {
        assert_eq!(show(&server.call("ACL SETUSER watch +failover")), "+OK");
    }
    assert_eq!(show(&sentinel.call(&order)), "+OK");
    for sentinel in &quorum.sentinels {
        wait_for("a sentinel has switched", || sentinel.master() == to);
    }
    wait_for("the replica is master", || {
        quorum.servers[2].role() == "master"
    });
    wait_for("the others follow", || {
        quorum.servers[..2].iter().all(|it| it.role() == "slave")
    });
}

/// Stock sentinels vote for it and follow it.
#[test]
fn a_mixed_quorum_hands_over() {
    let lines = "sentinel down-after-milliseconds m 5000\n";
    let quorum = Quorum::start(&[Kind::Ours, Kind::Stock, Kind::Stock], 1, lines);
    let to = quorum.servers[1].words();
    let order = "SENTINEL FAILOVER m COORDINATED";
    assert_eq!(show(&quorum.sentinels[0].call(order)), "+OK");
    for sentinel in &quorum.sentinels {
        wait_for("a sentinel has switched", || sentinel.master() == to);
    }
    assert_eq!(quorum.servers[0].role(), "slave");
    for sentinel in &quorum.sentinels {
        assert!(
            !sentinel.log().contains("+sdown master"),
            "{}",
            sentinel.log()
        );
    }
}

#[test]
fn wrong_words_are_told_as_valkey_does() {
    let server = Server::start();
    let lines = format!("sentinel monitor m {} 1\n", server.words());
    let sentinel = Sentinel::ours(&lines);
    for (words, reply) in [
        ("m foo", "-ERR Unknown failover option specified"),
        (
            "m COORDINATED foo",
            "-ERR Unknown failover option specified",
        ),
        (
            "m COORDINATED coordinated",
            "-ERR Unknown failover option specified",
        ),
        ("nope COORDINATED", "-ERR No such master with that name"),
        (
            "m TO 1",
            "-ERR wrong number of arguments for 'sentinel|failover' command",
        ),
    ] {
        assert_eq!(
            show(&sentinel.call(&format!("SENTINEL FAILOVER {words}"))),
            reply
        );
    }
    let no_replica = "-NOGOODSLAVE No suitable replica to promote";
    wait_for("the master is known to be able to", || {
        show(&sentinel.call("SENTINEL FAILOVER m COORDINATED")) == no_replica
    });
}
