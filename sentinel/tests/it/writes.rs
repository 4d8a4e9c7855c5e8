//! `master-write-check`: a master that answers but takes no writes.

use std::time::Duration;

use crate::support::{Kind, Quorum, Server, show, wait_for};

/// A busy machine stands still for less than this, so nobody is down who is not said to be.
const DOWN_AFTER: &str = "sentinel down-after-milliseconds m 2500\n";
/// And a little: whoever is down is called so by then.
const LONGER: Duration = Duration::from_secs(4);

fn all_say(quorum: &Quorum, text: &str) -> bool {
    quorum.sentinels.iter().all(|it| it.log().contains(text))
}

/// Too few replicas are reported and nothing else; a master out of memory is replaced.
#[test]
fn a_master_out_of_memory_is_replaced() {
    let lines = format!("{DOWN_AFTER}sentinel master-write-check m yes\n");
    let quorum = Quorum::start(&[Kind::Ours; 3], 1, &lines);
    let master = &quorum.servers[0];
    master.call("CONFIG SET min-replicas-to-write 5");
    wait_for("too few replicas are reported", || {
        all_say(&quorum, "+master-write-refused master m")
    });
    assert!(all_say(&quorum, "#NOREPLICAS"));
    std::thread::sleep(LONGER);
    for sentinel in &quorum.sentinels {
        assert!(!sentinel.log().contains("+sdown master"));
    }
    master.call("CONFIG SET min-replicas-to-write 0");
    wait_for("the end of it is reported", || {
        all_say(&quorum, "-master-write-refused master m")
    });
    let changes = show(&master.call("INFO persistence"));
    assert!(
        changes.contains("rdb_changes_since_last_save:0"),
        "{changes}"
    );
    assert_eq!(
        show(&master.call("DBSIZE")),
        ":0",
        "the probe creates nothing"
    );

    master.call("CONFIG SET maxmemory 1");
    let (new, took) = quorum.wait_for_switch(0);
    println!("all sentinels switched {took:?} after memory ran out (down-after 2.5 s)");
    let oom = quorum
        .sentinels
        .iter()
        .filter(|it| it.log().contains("#OOM"));
    assert!(oom.count() >= 2);
    assert_eq!(show(&quorum.servers[new].call("SET key value")), "+OK");
    wait_for("the full one follows", || {
        quorum.servers[0].role() == "slave"
    });
}

/// With `report` the same is told, and nobody moves.
#[test]
fn with_report_it_is_only_told() {
    let lines = format!("{DOWN_AFTER}sentinel master-write-check m report\n");
    let quorum = Quorum::start(&[Kind::Ours; 3], 1, &lines);
    let master = &quorum.servers[0];
    master.call("CONFIG SET maxmemory 1");
    wait_for("it is reported", || all_say(&quorum, "#OOM"));
    std::thread::sleep(LONGER);
    let topology = show(&quorum.sentinels[0].call("SENTINEL TOPOLOGY m"));
    assert!(topology.contains("write_refused"), "{topology}");
    master.call("CONFIG SET maxmemory 0");
    wait_for("the end of it is reported", || {
        all_say(&quorum, "-master-write-refused master m")
    });
    for sentinel in &quorum.sentinels {
        assert!(!sentinel.log().contains("+sdown master"));
        assert_eq!(sentinel.master(), master.words());
    }
}

/// A disk that refuses snapshots stops writes, and PING says so.
#[test]
fn a_master_whose_disk_refuses_is_replaced() {
    let disk = tempfile::tempdir().unwrap();
    let lines = format!("save 3600 1\ndir {}\n", disk.path().display());
    let yes = "sentinel master-write-check m yes\n";
    let quorum = Quorum::with(Server::with(&lines), &[Kind::Ours; 3], 1, yes);
    disk.close().unwrap();
    // The one for the replica may still be under way.
    wait_for("a snapshot is begun", || {
        !show(&quorum.servers[0].call("BGSAVE")).contains("already in progress")
    });
    let (new, took) = quorum.wait_for_switch(0);
    println!("all sentinels switched {took:?} after the disk refused (down-after 1 s)");
    let told = |it: &&crate::support::Sentinel| it.log().contains("#MISCONF");
    assert!(quorum.sentinels.iter().filter(told).count() >= 2);
    assert_eq!(show(&quorum.servers[new].call("SET key value")), "+OK");
}
