//! What holds whatever happened.

use std::collections::BTreeMap;

use codis_core::api::{Slot, Stats};
use codis_core::ha::{GroupTopology, LeaderRecord};
use codis_core::model::{ActionState, Group, Sentinel};
use codis_core::slot::SlotId;
use codis_core::{json, paths};
use serde::de::DeserializeOwned;

use super::stage::Stage;
use crate::bed::{Redis, call, redis_call};

/// Slots below this one always belong to somebody.
pub const SERVED: u16 = 70;

/// The highest of each number that must not fall, by what it is of.
#[derive(Default)]
pub struct Heights(BTreeMap<String, u64>);

impl Heights {
    fn see(&mut self, of: String, height: u64, at: &str) {
        let highest = self.0.entry(of.clone()).or_default();
        assert!(
            height >= *highest,
            "{at}: {of} fell from {highest} to {height}"
        );
        *highest = height;
    }
}

impl Stage {
    /// Checks everything, when nothing is under way.
    pub async fn check(&mut self) {
        let stats = self.now().await;
        self.one_owner_a_slot(&stats);
        self.nothing_is_left(&stats).await;
        self.each_group_has_one_master().await;
        self.proxy_holds_what_is_wanted().await;
        self.sentinels_agree().await;
        self.keys_are_where_their_slot_is(&stats).await;
        self.nothing_falls(&stats).await;
        // What a client writes arrives, through whichever route.
        let served = |key: &String| SlotId::of_key(key.as_bytes()).get() < SERVED;
        let key = (0..).map(|number| format!("probe-{number}")).find(served);
        let key = key.unwrap();
        self.until("the proxy writes", async || {
            let written = redis_call(&self.proxy.2, &["SET", &key, "value"]).await;
            written.is_ok()
        })
        .await;
    }

    fn one_owner_a_slot(&self, stats: &Stats) {
        let at = &self.at;
        assert_eq!(stats.slots.len(), 1024);
        for slot in &stats.slots {
            let (id, group) = (slot.id, slot.group_id);
            assert_eq!(slot.action.state, ActionState::Nothing, "{at}: slot {id}");
            let owner = self.group(stats, group);
            let serves = owner.is_some_and(|group| !group.servers.is_empty());
            assert!(serves || group == 0, "{at}: slot {id} of group {group}");
        }
        let groups = stats.group.models.iter();
        let servers = groups.flat_map(|group| group.servers.iter());
        let mut addrs: Vec<&str> = servers.map(|server| server.addr.as_str()).collect();
        let all = addrs.len();
        addrs.sort_unstable();
        addrs.dedup();
        assert_eq!(addrs.len(), all, "{at}: a server is in two groups");
    }

    /// No half of a step is on record, and none in the dashboard's memory.
    async fn nothing_is_left(&self, stats: &Stats) {
        let product = &self.bed.product;
        let mark = self
            .records
            .read(&paths::ha_restore(product))
            .await
            .unwrap();
        assert_eq!(mark, None, "{}: the mark of a restore is left", self.at);
        let cancelled = "no wish to cancel is left";
        let actions = paths::ha_slot_action(product);
        if let Some(text) = self.records.read(&actions).await.unwrap() {
            let actions: codis_core::ha::SlotActions = json::decode(&text).unwrap();
            assert!(actions.cancelled.is_empty(), "{}: {cancelled}", self.at);
        }
        assert_eq!(stats.slot_action.executor, 0, "{}", self.at);
        self.until("no slot action has any progress", async || {
            let stats = self.stats().await;
            stats.is_some_and(|stats| stats.slot_action.slots.is_empty())
        })
        .await;
    }

    async fn all<T: DeserializeOwned>(&self, dir: &str) -> Vec<T> {
        let read = self.records.read_dir(dir).await.unwrap();
        let records = read.iter().map(|(_, text)| json::decode(text).unwrap());
        records.collect()
    }

    /// Whether the leader has in memory what is in the store, and no edit waits there to be carried
    /// out. One whose answer was lost does not know for a moment.
    pub async fn tells_what_is_stored(&self, stats: &Stats) -> bool {
        let product = &self.bed.product;
        let groups: Vec<Group> = self.all(&paths::groups(product)).await;
        let proxies: Vec<codis_core::model::Proxy> = self.all(&paths::proxies(product)).await;
        let mut slots: Vec<codis_core::model::SlotMapping> = self.all(&paths::slots(product)).await;
        // A slot without a record is nobody's.
        slots.retain(|slot| slot.group_id != 0);
        let told = stats.slots.iter().filter(|slot| slot.group_id != 0);
        let sentinel = self.records.read(&paths::sentinel(product)).await.unwrap();
        let sentinel = sentinel.map(|text| json::decode::<Sentinel>(&text).unwrap());
        let edit = self.records.read(&paths::ha_edit(product)).await.unwrap();
        edit.is_none()
            && groups == stats.group.models
            && told.eq(&slots)
            && proxies.len() == stats.proxy.models.len()
            && sentinel.unwrap_or_default() == stats.sentinels.model
    }

    /// The first server of each group is its only master, and the others follow it, by what they
    /// say themselves.
    async fn each_group_has_one_master(&self) {
        self.until("each server is what its group says", async || {
            let groups = self.stats().await.map(|stats| stats.group.models);
            for group in groups.iter().flatten() {
                for (index, member) in group.servers.iter().enumerate() {
                    let master = (index > 0).then(|| group.servers[0].addr.as_str());
                    if !follows(&member.addr, master).await {
                        return false;
                    }
                }
            }
            groups.is_some()
        })
        .await;
    }

    /// None from a dashboard that does not lead for a moment.
    async fn slots_at(&self, addr: &str, path: &str) -> Vec<Slot> {
        let answer = call(addr, "GET", path, "").await.unwrap();
        match answer.status {
            200 => json::decode(answer.body.as_bytes()).unwrap(),
            _ => Vec::new(),
        }
    }

    async fn proxy_holds_what_is_wanted(&self) {
        self.until("the proxy holds what is wanted", async || {
            let wanted = self.slots_at(&self.leader.addr, "/topom/slots").await;
            let held = self.slots_at(&self.proxy.1, "/proxy/slots").await;
            wanted.len() == 1024
                && wanted
                    .iter()
                    .zip(&held)
                    .all(|(one, other)| is_same(one, other))
        })
        .await;
        for slot in self.slots_at(&self.proxy.1, "/proxy/slots").await {
            let open = !slot.locked && slot.migrate_from.is_empty();
            assert!(open, "{}: slot {} is held or moves", self.at, slot.id);
        }
    }

    /// Sentinels on record watch each group at its master; others watch nothing of the product.
    async fn sentinels_agree(&self) {
        for sentinel in &self.sentinels {
            let what = format!("sentinel {} watches what it should", sentinel.addr);
            self.until(&what, async || {
                let Some(stats) = self.stats().await else {
                    return false;
                };
                let told = sentinel.call(&["SENTINEL", "MASTERS"]).await;
                told.is_ok_and(|told| masters(told) == self.watched(&stats, sentinel))
            })
            .await;
        }
    }

    /// Where a sentinel should see the master of each group.
    pub fn watched(&self, stats: &Stats, sentinel: &Redis) -> Fields {
        let on_record = stats.sentinels.model.servers.contains(&sentinel.addr);
        let groups = stats.group.models.iter();
        let groups = groups.filter(|group| on_record && !group.servers.is_empty());
        let place = |group: &Group| {
            let name = paths::monitor_name(&self.bed.product, group.id);
            (name, group.servers[0].addr.clone())
        };
        groups.map(place).collect()
    }

    /// Each key is at the group that has its slot and at no other.
    async fn keys_are_where_their_slot_is(&self, stats: &Stats) {
        for key in &self.keys {
            let slot = SlotId::of_key(key.as_bytes()).get();
            let owner = stats.slots[usize::from(slot)].group_id;
            for group in &stats.group.models {
                let Some(master) = group.servers.first() else {
                    continue;
                };
                let found = redis_call(&master.addr, &["EXISTS", key]).await.unwrap();
                let (found, id) = (found == redis::Value::Int(1), group.id);
                let right = found == (id == owner);
                let at = &self.at;
                assert!(right, "{at}: {key} of group {owner} at group {id}: {found}");
            }
        }
    }

    /// Terms and epochs only grow.
    async fn nothing_falls(&mut self, stats: &Stats) {
        let product = self.bed.product.clone();
        let text = self.records.read(&paths::ha_leader(&product)).await;
        let leader: LeaderRecord = json::decode(&text.unwrap().unwrap()).unwrap();
        assert_eq!(leader.admin_addr, self.leader.addr, "{}", self.at);
        let mut seen = vec![("the term".to_owned(), leader.term.0)];
        for group in &stats.group.models {
            let path = paths::ha_group(&product, group.id);
            let Some(text) = self.records.read(&path).await.unwrap() else {
                continue;
            };
            let held: GroupTopology = json::decode(&text).unwrap();
            let first = group.servers.first().map_or("", |server| &server.addr);
            assert_eq!(held.master, first, "{}: {path}", self.at);
            seen.push((path, held.epoch.0));
        }
        for slot in self.slots_at(&self.proxy.1, "/proxy/slots").await {
            let of = format!("group {} at the proxy", slot.backend_addr_group_id);
            seen.push((of, slot.backend_addr_epoch.0));
        }
        for sentinel in &self.sentinels {
            let told = sentinel.call(&["SENTINEL", "MASTERS"]).await.unwrap();
            for (name, epoch) in epochs(told) {
                seen.push((format!("{name} at sentinel {}", sentinel.addr), epoch));
            }
        }
        for (of, height) in seen {
            self.heights.see(of, height, &self.at);
        }
    }
}

/// Whether both lead to the same place; what may be read from depends on the proxy.
fn is_same(one: &Slot, other: &Slot) -> bool {
    let place = |slot: &Slot| {
        (
            slot.id,
            slot.locked,
            slot.backend_addr.clone(),
            slot.backend_addr_group_id,
            slot.backend_addr_epoch,
            slot.migrate_from.clone(),
            slot.migrate_from_group_id,
        )
    };
    place(one) == place(other)
}

/// Whether a server follows `master`, or nobody when there is none to follow.
async fn follows(addr: &str, master: Option<&str>) -> bool {
    let Ok(info) = redis_call(addr, &["INFO", "replication"]).await else {
        return false;
    };
    let info: String = redis::from_redis_value(info).unwrap();
    let says = |line: &str| info.lines().any(|said| said == line);
    match master.and_then(|master| master.split_once(':')) {
        None => says("role:master"),
        Some((_, port)) => says("role:slave") && says(&format!("master_port:{port}")),
    }
}

pub type Fields = BTreeMap<String, String>;

pub fn monitors(told: redis::Value) -> Vec<Fields> {
    redis::from_redis_value(told).unwrap()
}

/// Where each monitor has its master.
pub fn masters(told: redis::Value) -> Fields {
    let place = |fields: Fields| {
        let addr = format!("{}:{}", fields["ip"], fields["port"]);
        (fields["name"].clone(), addr)
    };
    monitors(told).into_iter().map(place).collect()
}

/// The config epoch of each monitor.
fn epochs(told: redis::Value) -> Vec<(String, u64)> {
    let epoch = |fields: Fields| {
        let epoch = fields["config-epoch"].parse().unwrap();
        (fields["name"].clone(), epoch)
    };
    monitors(told).into_iter().map(epoch).collect()
}
