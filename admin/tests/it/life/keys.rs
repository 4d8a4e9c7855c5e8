//! Slots with keys move between servers that know their slots.

use std::sync::atomic::Ordering;

use codis_core::paths;
use codis_core::slot::SlotId;

use super::bed::{Life, PRODUCT, call, parsed, until};
use super::birth::addr;
use crate::double::Double;
use crate::plain::Server;
use crate::tool::stdout;

/// All keys of the test are in one slot.
const KEYS: i64 = 50;
const TAG: &str = "{moving}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_move_with_their_slot_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store").display().to_string();
    let mut life = Life::begin("filesystem", root).await;
    let sites = [Server::start(&[]), Server::start(&[])];
    let doubles = [Double::before(&sites[0]), Double::before(&sites[1])];
    for (gid, double) in ["--gid=1", "--gid=2"].iter().zip(&doubles) {
        life.done(&["--create-group", gid]);
        life.done(&["--group-add", gid, &addr(&double.addr)]);
    }
    let all = ["--slots-assign", "--beg=0", "--end=1023", "--gid=1"];
    life.done(&[&all[..], &["--confirm"]].concat());
    life.proxy().await;
    life.done(&["--create-proxy", &addr(&life.proxies[0].admin)]);
    life.proxies_in_step().await;
    let keys = async |site: usize| -> i64 {
        let size = call(&sites[site].addr(), &["DBSIZE"]).await.unwrap();
        redis::from_redis_value(size).unwrap()
    };
    for n in 0..KEYS {
        let key = format!("{TAG}:{n}");
        call(&life.proxies[0].data, &["SET", &key, "v"])
            .await
            .unwrap();
    }
    assert_eq!((keys(0).await, keys(1).await), (KEYS, 0));

    let slot = SlotId::of_key(TAG.as_bytes()).get();
    let sid = format!("--sid={slot}");
    life.done(&["--slot-action", "--create", &sid, "--gid=2", "--wait"]);
    assert_eq!((keys(0).await, keys(1).await), (0, KEYS));
    assert_eq!(life.owner(slot).await, 2);
    life.proxies_in_step().await;

    // A batch that takes its time is cancelled on the way.
    doubles[1]
        .knobs()
        .batch_millis
        .store(6000, Ordering::Relaxed);
    let state = async || {
        let record = life.record(&paths::slot(PRODUCT, slot)).await.unwrap();
        let state = record["action"]["state"].as_str();
        state.unwrap_or_default().to_owned()
    };
    life.done(&["--slot-action", "--create", &sid, "--gid=1"]);
    until("keys are on their way", async || {
        state().await == "migrating"
    })
    .await;
    life.done(&["--slot-action", "--cancel", &sid]);
    doubles[1].knobs().batch_millis.store(0, Ordering::Relaxed);
    until("the migration is rolled back", async || {
        state().await.is_empty()
    })
    .await;
    assert_eq!(life.owner(slot).await, 2);
    assert_eq!((keys(0).await, keys(1).await), (0, KEYS));
    life.proxies_in_step().await;
    for n in 0..KEYS {
        let key = format!("{TAG}:{n}");
        let value = call(&life.proxies[0].data, &["GET", &key]).await.unwrap();
        let value: String = redis::from_redis_value(value).unwrap();
        assert_eq!(value, "v");
    }
    plans(&life, &sites).await;
}

/// Plans by other weights than the number of slots are shown.
async fn plans(life: &Life, sites: &[Server]) {
    for (site, bytes) in sites.iter().zip(["100mb", "300mb"]) {
        call(&site.addr(), &["CONFIG", "SET", "maxmemory", bytes])
            .await
            .unwrap();
    }
    // Group 2 may have three quarters of the 1024 slots, and has one.
    until("the plan follows the memory", async || {
        let output = life.on_board(&["--rebalance", "--by=memory", "--output=json"]);
        output.status.success() && {
            let plan = parsed(&output);
            let plan = plan.as_object().unwrap();
            plan.len() == 767 && plan.values().all(|group| group.as_u64() == Some(2))
        }
    })
    .await;
    let by_keys = stdout(&life.on_board(&["--rebalance", "--by=keys"]));
    assert!(
        by_keys.ends_with("done\n") || by_keys == "nothing changes\n",
        "{by_keys}"
    );
}
