//! Masters that die in the middle.

use super::{KEYS, SLOTS, Site, Stage, keys_of};
use crate::bed::until;
use crate::doubles::SentinelDouble;
use crate::plain::Text as _;

/// A group whose master dies while slots go from group 1 to group 2: the sentinels name a replica,
/// and the slots move on with it.
async fn killed(group: u32) {
    let settings = "migration_async_numkeys = 1\nmigration_timeout = \"1s\"\n";
    let mut stage = Stage::new(settings, 2).await;
    let at = group as usize - 1;
    let heir = Site::new();
    heir.data.follow(&stage.sites[at].data);
    // It follows the server behind the double of the master, whose address nobody knows.
    let path = format!("group/add/X/{group}/{}?force=1", heir.double.addr);
    stage.dashboard.put(&path).await;
    let sentinel = SentinelDouble::start().await;
    sentinel.say(group, 5, &stage.sites[at].double.addr);
    let path = format!("sentinels/add/X/{}", sentinel.addr);
    stage.dashboard.put(&path).await;
    let load = stage.load();
    load.warm_up();
    stage.dashboard.put("slots/action/interval/X/5000").await;
    let (first, last) = (SLOTS.start, SLOTS.end - 1);
    let path = format!("slots/action/create-range/X/{first}/{last}/2");
    stage.dashboard.put(&path).await;
    let keys = keys_of(SLOTS, KEYS);
    until("a part of the keys has moved", async || {
        stage.sites[1].has(0, &keys) >= keys.len() / 3
    })
    .await;
    // Nobody reaches the master any more, so the replica gets all that was ever answered.
    stage.sites[at].double.die();
    let offset = |site: &Site, name: &str| {
        let info = site.data.run(&["INFO", "replication"]).text();
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(field, _)| *field == name);
        found.map(|(_, value)| value.trim().to_owned())
    };
    until("the replica has caught up", async || {
        let sent = offset(&stage.sites[at], "master_repl_offset");
        sent == offset(&heir, "slave_repl_offset")
    })
    .await;
    heir.data.run(&["REPLICAOF", "NO", "ONE"]);
    sentinel.say(group, 6, &heir.double.addr);
    let addr = heir.double.addr.clone();
    stage.sites[at] = heir;
    stage.moved_to(2).await;
    load.go_on();
    assert_eq!(stage.dashboard.order(group).await[0], addr);
    stage.check(load, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_source_is_followed_by_its_replica() {
    killed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_target_is_followed_by_its_replica() {
    killed(2).await;
}
