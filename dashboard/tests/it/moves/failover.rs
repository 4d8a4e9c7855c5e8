//! A source whose master dies in the middle.

use super::{KEYS, SLOTS, Site, Stage, keys_of};
use crate::bed::until;
use crate::doubles::SentinelDouble;
use crate::plain::Text as _;

/// The sentinels name a replica; the slots move on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_source_is_followed_by_its_replica() {
    let stage = Stage::new(
        "migration_async_numkeys = 1\nmigration_timeout = \"1s\"\n",
        2,
    )
    .await;
    let heir = Site::new();
    heir.data.follow(&stage.sites[0].data);
    let path = format!("group/add/X/1/{}", heir.double.addr);
    stage.dashboard.put(&path).await;
    let sentinel = SentinelDouble::start().await;
    sentinel.say(1, 5, &stage.sites[0].double.addr);
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
    stage.sites[0].double.die();
    let offset = |site: &Site, name: &str| {
        let info = site.data.run(&["INFO", "replication"]).text();
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(field, _)| *field == name);
        found.map(|(_, value)| value.trim().to_owned())
    };
    until("the replica has caught up", async || {
        let sent = offset(&stage.sites[0], "master_repl_offset");
        sent == offset(&heir, "slave_repl_offset")
    })
    .await;
    heir.data.run(&["REPLICAOF", "NO", "ONE"]);
    sentinel.say(1, 6, &heir.double.addr);
    stage.moved_to(2).await;
    load.go_on();
    assert_eq!(stage.dashboard.order(1).await[0], heir.double.addr);
    for db in 0..super::DATABASES {
        assert_eq!(heir.has(db, &keys), 0);
    }
    stage.check(load, true).await;
}
