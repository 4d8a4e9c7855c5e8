//! `refused-after-milliseconds`: a dead process is replaced long before down-after.

use std::time::{Duration, Instant};

use crate::support::{Front, Kind, Quorum, Sentinel, Server, show, wait_for};
use codis_bed::process::Signal;

const LINES: &str = "sentinel down-after-milliseconds m 30000\n\
                     sentinel refused-after-milliseconds m 300\n";

/// kill -9 with a down-after of 30 s is over within seconds.
#[test]
fn a_killed_master_is_replaced_before_down_after() {
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 1, LINES);
    let begin = Instant::now();
    quorum.servers[0].process.kill();
    quorum.wait_for_switch(0);
    let took = begin.elapsed();
    println!(
        "all sentinels switched {took:?} after the kill (down-after 30 s, refused-after 300 ms)"
    );
    assert!(
        took >= Duration::from_millis(300),
        "not before refused-after: {took:?}"
    );
    assert!(
        took < Duration::from_secs(25),
        "long before down-after: {took:?}"
    );
}

/// A stopped process refuses nothing: down-after stands. And the option can be changed at run time.
#[test]
fn a_frozen_master_is_given_down_after() {
    let quorum = Quorum::start(&[Kind::Ours; 3], 1, LINES);
    let old = quorum.servers[0].words();
    quorum.servers[0].process.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(3));
    for sentinel in &quorum.sentinels {
        assert_eq!(sentinel.master(), old);
        assert!(!sentinel.log().contains("+sdown master"));
    }
    quorum.servers[0].process.signal(Signal::CONT);
    let sentinel = &quorum.sentinels[0];
    let set = "SENTINEL SET m refused-after-milliseconds 250";
    assert_eq!(show(&sentinel.call(set)), "+OK");
    let config = sentinel.config();
    assert!(
        config.contains("# codis-ha refused-after-milliseconds m 250"),
        "{config}"
    );
}

/// Something between one sentinel and a healthy master resets its connections: it alone calls the
/// master down, and the others see no reason to agree, even with a quorum of one.
#[test]
fn one_sentinel_that_is_refused_moves_nothing() {
    let master = Server::start();
    let _replica = Server::replica_of(&master);
    let front = Front::before(&master);
    let lines = format!("sentinel monitor m {} 1\n{LINES}", front.words());
    let sentinels = [(); 3].map(|()| Sentinel::ours(&lines));
    for sentinel in &sentinels {
        wait_for("a sentinel knows everybody", || {
            sentinel.master_field("num-other-sentinels") == "2"
                && sentinel.master_field("num-slaves") == "1"
        });
    }
    front.refuse(&sentinels[0].host);
    wait_for("it calls the master down", || {
        sentinels[0].log().contains("+sdown master")
    });
    let topology = show(&sentinels[0].call("SENTINEL TOPOLOGY m"));
    assert!(topology.contains("refused"), "{topology}");
    std::thread::sleep(Duration::from_secs(3));
    for sentinel in &sentinels {
        let log = sentinel.log();
        assert!(!log.contains("+odown"), "{log}");
        assert!(!log.contains("+try-failover"), "{log}");
        assert_eq!(sentinel.master(), front.words());
    }
}
