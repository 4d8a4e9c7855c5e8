//! A master that is back before down-after: replaced when its data is gone, followed when not.

use std::time::{Duration, Instant};

use crate::support::{Kind, Quorum, Server, show, wait_for};
use codis_bed::process::Signal;

/// The default of Redis: replicas keep their data for that long after they found the master again.
const REDIS: &str = "repl-diskless-sync-delay 5\n";
const LINES: &str = "sentinel down-after-milliseconds m 30000\n";

fn fill(quorum: &Quorum) {
    for n in 0..100 {
        quorum.servers[0].call(&format!("SET key:{n} value"));
    }
    for server in &quorum.servers {
        wait_for("all servers have the keys", || {
            show(&server.call("DBSIZE")) == ":100"
        });
    }
}

fn logs_with(quorum: &Quorum, text: &str) -> usize {
    let logs = quorum.sentinels.iter().filter(|it| it.log().contains(text));
    logs.count()
}

/// kill -9 of a master without persistence that is started again at once: it comes back empty, and
/// a replica with the data takes its place long before down-after.
#[test]
fn an_empty_master_is_replaced_and_nothing_is_lost() {
    let mut quorum = Quorum::with(Server::with(REDIS), &[Kind::Ours; 3], 2, LINES);
    fill(&quorum);
    quorum.servers[0].process.kill();
    quorum.servers[0].restart();
    let back = Instant::now();
    let (new, _) = quorum.wait_for_switch(0);
    let took = back.elapsed();
    println!("all sentinels switched {took:?} after the empty master was back (down-after 30 s)");
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert_eq!(show(&quorum.servers[new].call("DBSIZE")), ":100");
    wait_for("the empty one follows and has the data again", || {
        quorum.servers[0].role() == "slave" && show(&quorum.servers[0].call("DBSIZE")) == ":100"
    });
    assert!(logs_with(&quorum, "+master-lost-data master m") >= 2);
    let log = quorum.sentinels[0].log();
    assert!(log.contains("has 100 keys, the master 0"), "{log}");
}

/// From an append-only file after kill -9, and from a snapshot after SHUTDOWN: all data is back.
#[test]
fn a_master_with_its_data_is_followed() {
    for (lines, order) in [
        ("appendonly yes\nappendfsync always\n", None),
        ("save 3600 1\n", Some("SHUTDOWN SAVE")),
    ] {
        let redis = format!("{REDIS}{lines}");
        let mut quorum = Quorum::with(Server::with(&redis), &[Kind::Ours; 3], 1, LINES);
        fill(&quorum);
        match order {
            Some(order) => {
                quorum.servers[0].client().write(order);
                quorum.servers[0].process.wait();
            }
            None => quorum.servers[0].process.kill(),
        }
        quorum.servers[0].restart();
        wait_for("the restart is seen", || {
            logs_with(&quorum, "+reboot master m") == 3
        });
        wait_for("the replica follows", || {
            show(&quorum.servers[1].call("ROLE")).contains("connected")
        });
        std::thread::sleep(Duration::from_secs(1));
        for sentinel in &quorum.sentinels {
            assert_eq!(sentinel.master(), quorum.servers[0].words(), "{lines}");
            let log = sentinel.log();
            assert!(
                !log.contains("lost-data") && !log.contains("+sdown master"),
                "{log}"
            );
        }
    }
}

/// The only replica has copied the empty master before anybody could look. Nothing better exists:
/// the master is followed, and it is told.
#[test]
fn a_master_that_was_copied_is_followed() {
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 1, LINES);
    fill(&quorum);
    for sentinel in &quorum.sentinels {
        wait_for("a sentinel knows of the keys", || {
            let told = show(&sentinel.call("SENTINEL INFO-CACHE m"));
            told.matches("keys=100").count() == 2
        });
    }
    for sentinel in &quorum.sentinels {
        sentinel.process.signal(Signal::STOP);
    }
    quorum.servers[0].process.kill();
    quorum.servers[0].restart();
    wait_for("the replica has copied it", || {
        show(&quorum.servers[1].call("DBSIZE")) == ":0"
    });
    for sentinel in &quorum.sentinels {
        sentinel.process.signal(Signal::CONT);
    }
    wait_for("it is told", || {
        logs_with(&quorum, "had 100 keys, the master 0, and took its place") == 3
            && logs_with(&quorum, "-master-lost-data master m") == 3
    });
    for sentinel in &quorum.sentinels {
        assert_eq!(sentinel.master(), quorum.servers[0].words());
        assert!(!sentinel.log().contains("+sdown master"));
    }
}
