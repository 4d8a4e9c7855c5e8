//! Slot actions of a dashboard process: servers that speak SLOTS*, real proxies, and clients that
//! never stop.

mod cancel;
mod crash;
mod dark;
mod failover;
mod hung;
mod leaders;
mod load;
mod promoted;
mod routes;

use std::net::TcpStream;
use std::sync::atomic::Ordering;

use codis_core::api::{SlotActionSection, Stats};
use codis_core::model::{ActionState, SlotMapping};

use crate::bed::{Bed, Dashboard, Process, call, until};
use crate::double::Double;
use crate::plain::Server;
use load::{Load, keys_of};

/// Slots that move in a test, and the keys of each.
const SLOTS: std::ops::Range<u16> = 0..12;
const KEYS: usize = 6;
const DATABASES: u32 = 2;

/// A group of one server that knows its slots.
struct Site {
    data: Server,
    double: Double,
}

impl Site {
    fn new() -> Self {
        let data = Server::start(&[]);
        let double = Double::before(&data);
        // A batch takes a while, so that clients meet it.
        double.knobs().batch_millis.store(2, Ordering::Relaxed);
        Self { data, double }
    }

    /// Those of `keys` that are here.
    fn has(&self, db: u32, keys: &[String]) -> usize {
        let mut client = self.data.client();
        client.text(&["SELECT", &db.to_string()]);
        let is_here = |key: &&String| client.text(&["EXISTS", key.as_str()]) == "1";
        keys.iter().filter(is_here).count()
    }
}

/// A dashboard, groups of one server each, and two proxies; group 1 has all slots.
struct Stage {
    bed: Bed,
    dashboard: Dashboard,
    sites: Vec<Site>,
    proxies: Vec<(Process, String, String)>,
}

impl Stage {
    async fn new(settings: &str, groups: u32) -> Self {
        let bed = Bed::with_settings(settings);
        let dashboard = bed.dashboard().await;
        Self::around(bed, dashboard, groups).await
    }

    /// The same with a dashboard that is there already.
    async fn around(bed: Bed, dashboard: Dashboard, groups: u32) -> Self {
        let sites: Vec<Site> = (0..groups).map(|_| Site::new()).collect();
        for (group, site) in (1..).zip(&sites) {
            dashboard.put(&format!("group/create/X/{group}")).await;
            let addr = &site.double.addr;
            dashboard.put(&format!("group/add/X/{group}/{addr}")).await;
        }
        dashboard.give(0..=1023, 1).await;
        let mut proxies = Vec::new();
        for _ in 0..2 {
            let proxy = bed.proxy().await;
            dashboard.put(&format!("proxy/create/X/{}", proxy.1)).await;
            proxies.push(proxy);
        }
        Self {
            bed,
            dashboard,
            sites,
            proxies,
        }
    }

    /// Clients of both proxies.
    fn load(&self) -> Load {
        let addrs = self.proxies.iter().map(|(_, _, data)| data.clone());
        Load::start(addrs.collect(), keys_of(SLOTS, KEYS), DATABASES)
    }

    async fn slots(&self) -> Vec<SlotMapping> {
        self.dashboard.stats().await.slots
    }

    async fn slot_action(&self) -> SlotActionSection {
        self.dashboard.stats().await.slot_action
    }

    /// Waits until the slots of the test belong to `group` and have no action.
    async fn moved_to(&self, group: u32) {
        until("all slots have moved", async || {
            let slots = self.slots().await;
            SLOTS.map(usize::from).all(|id| {
                slots[id].group_id == group && slots[id].action.state == ActionState::Nothing
            })
        })
        .await;
    }

    /// Each answered increment is there once, on the group that the record names and on no other.
    async fn check(&self, load: Load, may_fail: bool) {
        let ledger = load.stop(may_fail);
        let slots = self.slots().await;
        for ((db, key), counted) in ledger {
            let slot = codis_core::slot::SlotId::of_key(key.as_bytes()).get();
            let owner = slots[usize::from(slot)].group_id;
            for (group, site) in (1..).zip(&self.sites) {
                let mut client = site.data.client();
                client.text(&["SELECT", &db.to_string()]);
                let value = client.text(&["GET", &key]);
                if group == owner {
                    let value: u64 = value.parse().unwrap_or(0);
                    assert!(
                        counted.contains(value),
                        "{key} in db {db} of group {group} is {value}: {counted:?}"
                    );
                } else if TcpStream::connect(&site.double.addr).is_ok() {
                    assert_eq!(
                        value, "(nil)",
                        "{key} in db {db} is on group {group} as well"
                    );
                }
            }
        }
        self.proxies_are_told().await;
    }

    /// Both proxies hold what the dashboard wants.
    async fn proxies_are_told(&self) {
        let wanted = self.dashboard.get("/topom/slots").await;
        for (_, admin, _) in &self.proxies {
            until("the proxy holds what is wanted", async || {
                let held = call(admin, "GET", "/proxy/slots", "").await.unwrap();
                let held: serde_json::Value = serde_json::from_str(&held.body).unwrap();
                SLOTS.map(usize::from).all(|id| {
                    ["backend_addr", "migrate_from", "locked"]
                        .iter()
                        .all(|name| held[id][name] == wanted[id][name])
                })
            })
            .await;
        }
    }
}

/// The states of the slots of a test.
fn states(stats: &Stats) -> Vec<ActionState> {
    let slots = stats.slots[usize::from(SLOTS.start)..usize::from(SLOTS.end)].iter();
    slots.map(|slot| slot.action.state).collect()
}

/// Every slot moves while clients write to it through two proxies.
async fn slots_move_under_load(settings: &str) {
    let stage = Stage::new(settings, 3).await;
    // A replica of the group that the slots go to, which proxies may read from.
    let replica = stage.bed.redis().await;
    let (host, port) = stage.sites[1].double.addr.split_once(':').unwrap();
    replica.call(&["REPLICAOF", host, port]).await.unwrap();
    let path = format!("group/add/X/2/{}", replica.addr);
    stage.dashboard.put(&path).await;
    let path = format!("group/replica-groups/X/2/{}/1", replica.addr);
    stage.dashboard.put(&path).await;
    let load = stage.load();
    load.warm_up();
    let (first, last) = (SLOTS.start, SLOTS.end - 1);
    let path = format!("slots/action/create-range/X/{first}/{last}/2");
    stage.dashboard.put("slots/action/disabled/X/1").await;
    stage.dashboard.put(&path).await;
    let refused = stage.dashboard.assign(first..=last, 3).await;
    assert_eq!(
        (refused.status, refused.cause().as_str()),
        (800, "slot-[0] action already exists")
    );
    stage.dashboard.put("slots/action/disabled/X/0").await;
    stage.moved_to(2).await;
    load.go_on();
    stage.check(load, false).await;
    until("the replica may be read from again", async || {
        let held = call(&stage.proxies[0].1, "GET", "/proxy/slots", "")
            .await
            .unwrap();
        let held: serde_json::Value = serde_json::from_str(&held.body).unwrap();
        held[0]["replica_groups"][0][0] == replica.addr.as_str()
    })
    .await;
    until("nothing is shown as under way", async || {
        let shown = stage.slot_action().await;
        shown.progress.status.is_empty() && shown.executor == 0 && shown.slots.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_semi_asynchronously_under_load() {
    slots_move_under_load("migration_async_numkeys = 2\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_synchronously_under_load() {
    slots_move_under_load("migration_method = \"sync\"\n").await;
}
