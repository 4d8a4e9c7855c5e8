//! Disks that are full, read-only, damaged, or gone: no promise that is not kept, and no sentinel
//! that stops because of it.

use std::fs;
use std::path::PathBuf;

use crate::support::{Disk, Quorum, Sentinel, Server, show, wait_for};

const REFUSED: &str = "-ERR Failed to save config file. Check server logs.";

fn vote(sentinel: &Sentinel, epoch: u64, id: &str) -> String {
    let id = id.repeat(40);
    let order = format!("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 30 {epoch} {id}");
    show(&sentinel.call(&order))
}

fn flag(sentinel: &Sentinel, name: &str) -> bool {
    let info = show(&sentinel.call("INFO sentinel"));
    info.contains(&format!("{name}:1\r\n"))
}

fn count(text: &str, what: &str) -> usize {
    text.lines().filter(|line| line.contains(what)).count()
}

/// While `refuse` holds, orders are refused and no vote is given; afterwards all is well again.
fn works_again(sentinel: &mut Sentinel, refuse: impl FnOnce(), repair: impl FnOnce()) {
    // It may not have written what it knows from the start.
    assert_eq!(show(&sentinel.call("SENTINEL FLUSHCONFIG")), "+OK");
    let before = sentinel.config();
    let mut events = sentinel.client();
    events.subscribe("+disk-refused -disk-refused");
    refuse();
    for order in [
        "SENTINEL FLUSHCONFIG",
        "SENTINEL MONITOR other 127.0.0.1 31 2",
        "SENTINEL SET m quorum 3",
        "SENTINEL CONFIG SET announce-port 7777",
        "SENTINEL REMOVE other",
    ] {
        assert_eq!(show(&sentinel.call(order)), REFUSED, "{order}");
    }
    assert_eq!(events.message().unwrap().0, "+disk-refused");
    assert!(flag(sentinel, "sentinel_disk_refuses"));
    let refused = vote(sentinel, 5, "1");
    assert!(refused == REFUSED || !refused.contains("111"), "{refused}");
    // Some tries later there is still one line in the log.
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(
        count(&sentinel.log(), "was not able to save"),
        1,
        "{}",
        sentinel.log()
    );
    assert_eq!(sentinel.config(), before);
    repair();
    assert_eq!(events.message().unwrap().0, "-disk-refused");
    assert!(!flag(sentinel, "sentinel_disk_refuses"));
    assert!(vote(sentinel, 6, "2").ends_with("2222, :6]"));
    assert!(sentinel.process.stop().success());
    sentinel.restart();
    assert!(!vote(sentinel, 6, "3").contains("333"));
    assert!(show(&sentinel.call("SENTINEL MASTER m")).contains("quorum, 3"));
}

fn on(disk: &Disk) -> Sentinel {
    Sentinel::ours_in(disk.path(), "sentinel monitor m 127.0.0.1 30 2\n")
}

/// ENOSPC.
#[test]
fn a_full_disk_stops_votes_and_orders_until_there_is_room() {
    let disk = Disk::mount();
    let mut sentinel = on(&disk);
    works_again(&mut sentinel, || disk.fill(), || disk.empty());
}

/// EROFS, as after an error of the device.
#[test]
fn a_read_only_disk_stops_votes_and_orders_until_it_can_be_written() {
    let disk = Disk::mount();
    let mut sentinel = on(&disk);
    works_again(&mut sentinel, || disk.remount("ro"), || disk.remount("rw"));
}

/// A config file that somebody deletes is written again, with all that the sentinel knows.
#[test]
fn a_deleted_file_is_written_again() {
    let mut sentinel = Sentinel::ours("sentinel monitor m 127.0.0.1 30 2\nmaxclients 77\n");
    assert!(vote(&sentinel, 5, "1").ends_with("1111, :5]"));
    fs::remove_file(sentinel.dir.path().join("sentinel.conf")).unwrap();
    assert!(vote(&sentinel, 6, "2").ends_with("2222, :6]"));
    let text = sentinel.config();
    assert!(text.contains("maxclients 77\n"), "{text}");
    sentinel.process.kill();
    sentinel.restart();
    assert!(!vote(&sentinel, 6, "3").contains("333"));
}

/// A state directory that somebody removes stops all votes until it is there again.
#[test]
fn a_removed_state_directory_stops_votes() {
    let sentinel = Sentinel::ours_with_state_dir("sentinel monitor m 127.0.0.1 30 1\n");
    let dir = sentinel.dir.path().join("state");
    fs::rename(&dir, dir.with_extension("gone")).unwrap();
    assert_eq!(show(&sentinel.call("SENTINEL FLUSHCONFIG")), REFUSED);
    assert!(!vote(&sentinel, 5, "1").contains("111"));
    fs::create_dir(&dir).unwrap();
    wait_for("the state is saved", || {
        !flag(&sentinel, "sentinel_disk_refuses")
    });
    assert!(dir.join("sentinel-state.conf").exists());
}

fn state_of(sentinel: &Sentinel) -> PathBuf {
    sentinel.dir.path().join("state/sentinel-state.conf")
}

/// A lone sentinel with a state directory, that has voted at epoch 5.
fn voted() -> Sentinel {
    let sentinel = Sentinel::ours_with_state_dir("sentinel monitor m 127.0.0.1 30 1\n");
    assert!(
        flag(&sentinel, "sentinel_rejoining"),
        "nobody knows that it is new"
    );
    wait_for("it may vote", || !flag(&sentinel, "sentinel_rejoining"));
    assert!(vote(&sentinel, 5, "1").ends_with("1111, :5]"));
    sentinel
}

/// However a state file is cut off, no second vote is given in an epoch.
#[test]
fn a_torn_state_file_costs_no_second_vote() {
    let mut sentinel = voted();
    sentinel.process.kill();
    let path = state_of(&sentinel);
    let whole = fs::read(&path).unwrap();
    for end in [0, 1, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        // A new file: a kill in the middle of a write may leave both versions on one.
        fs::remove_file(&path).unwrap();
        fs::write(&path, &whole[..end]).unwrap();
        sentinel.restart();
        assert!(flag(&sentinel, "sentinel_rejoining"));
        assert!(!vote(&sentinel, 5, "2").contains("222"), "{end}");
        assert!(!vote(&sentinel, 6, "2").contains("222"), "{end}");
        let log = sentinel.log();
        assert!(log.contains("The version before the last is used"), "{log}");
        sentinel.process.kill();
    }
    // The whole file is believed.
    fs::remove_file(&path).unwrap();
    fs::write(&path, &whole).unwrap();
    sentinel.restart();
    assert!(!flag(&sentinel, "sentinel_rejoining"));
    assert!(!vote(&sentinel, 5, "2").contains("222"));
    assert!(vote(&sentinel, 6, "2").ends_with("2222, :6]"));
}

/// Without any whole version the start is refused, with what to do.
#[test]
fn a_state_that_cannot_be_used_is_refused() {
    let mut sentinel = Sentinel::ours_with_state_dir("sentinel monitor m 127.0.0.1 30 1\n");
    assert!(sentinel.process.stop().success());
    let path = state_of(&sentinel);
    let previous = PathBuf::from(format!("{}.prev", path.display()));
    fs::write(&previous, "junk").unwrap();
    fs::write(&path, "junk").unwrap();
    let output = sentinel.refused();
    assert!(output.contains(path.to_str().unwrap()), "{output}");
    assert!(output.contains("Move the file away"), "{output}");
    fs::remove_file(&path).unwrap();
    fs::remove_file(&previous).unwrap();
    sentinel.restart();
    assert!(flag(&sentinel, "sentinel_rejoining"));
}

/// Two sentinels do not share a file or a directory.
#[test]
fn a_second_sentinel_is_kept_away() {
    for first in [
        Sentinel::ours("sentinel monitor m 127.0.0.1 30 1\n"),
        Sentinel::ours_with_state_dir("sentinel monitor m 127.0.0.1 30 1\n"),
    ] {
        // The file is another one after each write.
        assert_eq!(show(&first.call("SENTINEL FLUSHCONFIG")), "+OK");
        let info = show(&first.call("INFO server"));
        let pid = info
            .lines()
            .find_map(|line| line.strip_prefix("process_id:"));
        let output = first.refused();
        let holder = format!("process {} keeps its state there", pid.unwrap().trim());
        assert!(output.contains(&holder), "{output}");
        assert_eq!(show(&first.call("PING")), "+PONG");
    }
}

/// A quorum of three around `m`, whose sentinels have a disk each.
fn quorum(disks: &[Disk]) -> Quorum {
    let master = Server::start();
    let replica = Server::replica_of(&master);
    let lines = format!(
        "sentinel monitor m {} 2\nsentinel down-after-milliseconds m 1000\n",
        master.words()
    );
    let start = |disk: &Disk| Sentinel::ours_in(disk.path(), &lines);
    let quorum = Quorum {
        servers: vec![master, replica],
        sentinels: disks.iter().map(start).collect(),
    };
    quorum.wait_until_complete();
    quorum
}

/// One full disk of three does not prevent a failover, two do, until one has room again.
#[test]
fn one_full_disk_is_no_obstacle_and_two_are() {
    let disks = [Disk::mount(), Disk::mount(), Disk::mount()];
    let mut quorum = quorum(&disks);
    let old = quorum.servers[0].words();
    disks[0].fill();
    disks[1].fill();
    for sentinel in &quorum.sentinels[..2] {
        assert_eq!(show(&sentinel.call("SENTINEL FLUSHCONFIG")), REFUSED);
    }
    quorum.servers[0].process.kill();
    wait_for("the third stands and loses", || {
        quorum.sentinels[2]
            .log()
            .contains("-failover-abort-not-elected")
    });
    std::thread::sleep(std::time::Duration::from_secs(2));
    for sentinel in &quorum.sentinels {
        assert_eq!(sentinel.master(), old, "{}", sentinel.log());
    }
    for sentinel in &quorum.sentinels[..2] {
        assert!(
            !sentinel.log().contains("+try-failover"),
            "{}",
            sentinel.log()
        );
        assert!(
            !sentinel.log().contains("+vote-for-leader"),
            "{}",
            sentinel.log()
        );
    }
    disks[1].empty();
    let (new, _) = quorum.wait_for_switch(0);
    assert_eq!(new, 1);
    assert!(!quorum.sentinels[0].log().contains("+vote-for-leader"));
}
