//! What the control side knows of slots and groups, and the rules by which it changes.
//!
//! Epochs order the masters of a group. A fill or a topology with a lower epoch never moves a
//! master; an equal one does not either; a higher one moves it in every slot of the group at once.
//! A body without epochs comes from an original dashboard: its address is taken, unless sentinels
//! monitor the group now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use codis_core::addr::unix_path;
use codis_core::api;
use codis_core::epoch::Epoch;
use codis_core::slot::{SLOTS, SlotId};

use super::table::{BackendId, Hold, Method, Migration, Route, Table};

/// The master of a group and the epoch that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The config epoch.
    pub epoch: Epoch,
    /// `host:port`.
    pub master: String,
}

/// Why a fill is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not 0..=1023.
    #[error("use of invalid slot id")]
    SlotId,
    /// Neither sync nor semi-async.
    #[error("use of invalid forwarder method")]
    ForwardMethod,
    /// An address without host or port.
    #[error("slot {slot}: {error}")]
    Address {
        /// The slot.
        slot: u16,
        /// What is wrong with it.
        error: codis_core::addr::ParseError,
    },
}

/// Slots, groups, and who told of them last.
#[derive(Debug)]
pub struct Book {
    version: u64,
    slots: Vec<api::Slot>,
    holds: BTreeMap<u16, Hold>,
    groups: BTreeMap<u32, Pair>,
    monitored: BTreeSet<u32>,
    switched: BTreeSet<u16>,
    addresses: Arc<[Arc<str>]>,
    ids: BTreeMap<Arc<str>, BackendId>,
    replicas: bool,
}

impl Book {
    /// A book without a single route. `replicas` says whether replicas may be read.
    pub fn new(replicas: bool) -> Self {
        let slots = SlotId::all().map(|s| api::Slot {
            id: s.get(),
            ..api::Slot::default()
        });
        Self {
            version: 0,
            slots: slots.collect(),
            holds: BTreeMap::new(),
            groups: BTreeMap::new(),
            monitored: BTreeSet::new(),
            switched: BTreeSet::new(),
            addresses: Arc::from([]),
            ids: BTreeMap::new(),
            replicas,
        }
    }

    /// Checks what a dashboard sent, before any of it is applied.
    ///
    /// # Errors
    /// The first slot that cannot be applied.
    pub fn check(slots: &[api::Slot]) -> Result<(), Problem> {
        for slot in slots {
            SlotId::new(slot.id).ok_or(Problem::SlotId)?;
            if slot.forward_method > 1 {
                return Err(Problem::ForwardMethod);
            }
            for address in addresses(slot) {
                if !address.is_empty() && unix_path(address).is_none() {
                    address.parse::<codis_core::addr::Addr>().map_err(|error| {
                        Problem::Address {
                            slot: slot.id,
                            error,
                        }
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The slots whose requests in flight must end before `slots` are filled: those that change
    /// their owner by plan, and those that become locked. A master that was replaced by election
    /// is not waited for.
    pub fn barrier(&self, slots: &[api::Slot]) -> Vec<u16> {
        let planned = |new: &&api::Slot| {
            let old = &self.slots[usize::from(new.id)];
            if old.backend_addr.is_empty() {
                return false;
            }
            let next = self.decide(new);
            let moves = master_of(&next).moves_by_plan(&master_of(old))
                || source_of(&next).moves_by_plan(&source_of(old));
            moves || (new.locked && !old.locked)
        };
        slots.iter().filter(planned).map(|slot| slot.id).collect()
    }

    /// Ends a barrier without a fill: these slots go on as they were.
    pub fn release(&mut self, slots: &[u16]) {
        for &slot in slots {
            self.holds.remove(&slot);
            if self.slots[usize::from(slot)].locked {
                self.holds.insert(slot, Hold::Held);
            }
        }
    }

    /// Parks the new requests of these slots.
    pub fn hold(&mut self, slots: &[u16], hold: Hold) {
        for &slot in slots {
            self.holds.insert(slot, hold);
        }
    }

    /// Applies slots that passed [`Book::check`], and ends their barrier.
    pub fn fill(&mut self, slots: &[api::Slot]) {
        for slot in slots {
            let next = self.decide(slot);
            for named in [source_of(&next), master_of(&next)] {
                if named.group != 0 && !named.address.is_empty() {
                    let pair = Pair {
                        epoch: named.epoch,
                        master: named.address.to_owned(),
                    };
                    self.enter(named.group, pair);
                }
            }
            self.holds.remove(&slot.id);
            self.switched.remove(&slot.id);
            let locked = next.locked;
            self.slots[usize::from(slot.id)] = next;
            if locked {
                self.holds.insert(slot.id, Hold::Held);
            }
        }
    }

    /// The slot as it is applied: the dashboard's, with the masters that the epochs allow.
    fn decide(&self, slot: &api::Slot) -> api::Slot {
        let mut next = slot.clone();
        if let Some(pair) = self.decide_master(&master_of(slot)) {
            (next.backend_addr_epoch, next.backend_addr) = (pair.epoch, pair.master);
        }
        if let Some(pair) = self.decide_master(&source_of(slot)) {
            (next.migrate_from_epoch, next.migrate_from) = (pair.epoch, pair.master);
        }
        next
    }

    /// What becomes of a master that a dashboard names; `None` leaves it as it is.
    fn decide_master(&self, told: &Named<'_>) -> Option<Pair> {
        let held = self.groups.get(&told.group).filter(|_| told.group != 0)?;
        if told.address.is_empty() {
            return None;
        }
        let stands = if told.epoch == Epoch::ZERO {
            self.monitored.contains(&told.group)
        } else {
            told.epoch <= held.epoch
        };
        let master = if stands { &held.master } else { told.address };
        Some(Pair {
            epoch: held.epoch.max(told.epoch),
            master: master.to_owned(),
        })
    }

    /// Sets a group's pair and moves all slots of the group.
    fn enter(&mut self, group: u32, pair: Pair) {
        for slot in &mut self.slots {
            let mut moved = false;
            if slot.backend_addr_group_id == group && !slot.backend_addr.is_empty() {
                slot.backend_addr_epoch = pair.epoch;
                moved |= slot.backend_addr != pair.master;
                slot.backend_addr.clone_from(&pair.master);
            }
            if slot.migrate_from_group_id == group && !slot.migrate_from.is_empty() {
                slot.migrate_from_epoch = pair.epoch;
                moved |= slot.migrate_from != pair.master;
                slot.migrate_from.clone_from(&pair.master);
            }
            if moved {
                self.switched.insert(slot.id);
            }
        }
        self.groups.insert(group, pair);
    }

    /// Takes a pair that sentinels told of, when its epoch is higher than the one held. Gives
    /// whether it was taken.
    pub fn adopt(&mut self, group: u32, pair: Pair) -> bool {
        let higher = self
            .groups
            .get(&group)
            .is_none_or(|held| pair.epoch > held.epoch);
        if higher {
            self.enter(group, pair);
        }
        higher
    }

    /// Says which groups sentinels monitor now.
    pub fn set_monitored(&mut self, groups: BTreeSet<u32>) {
        self.monitored = groups;
    }

    /// The pair held for each group.
    pub fn groups(&self) -> &BTreeMap<u32, Pair> {
        &self.groups
    }

    /// Whether a slot was last filled by sentinels.
    pub fn is_switched(&self) -> bool {
        !self.switched.is_empty()
    }

    /// The next table.
    pub fn table(&mut self) -> Table {
        self.version += 1;
        self.learn_addresses();
        let mut referenced = vec![false; self.addresses.len()].into_boxed_slice();
        let mut refer = |address: &str| {
            let id = self.ids.get(address).copied();
            if let Some(id) = id {
                referenced[id.index()] = true;
            }
            id
        };
        let mut masters = vec![false; self.addresses.len()].into_boxed_slice();
        let mut routes = Vec::with_capacity(SLOTS);
        for slot in &self.slots {
            let master = refer(&slot.backend_addr);
            let source = refer(&slot.migrate_from).filter(|source| Some(*source) != master);
            let migration = source.map(|source| Migration {
                source,
                method: if slot.forward_method == 0 {
                    Method::Sync
                } else {
                    Method::SemiAsync
                },
            });
            for owner in [master, source].into_iter().flatten() {
                masters[owner.index()] = true;
            }
            let mut replicas: Vec<Vec<BackendId>> = Vec::new();
            if self.replicas && slot.migrate_from.is_empty() {
                let groups = slot.replica_groups.iter();
                replicas = groups
                    .map(|group| group.iter().filter_map(|a| refer(a)).collect())
                    .collect();
            }
            let open = migration.map_or(Hold::Open, |_| Hold::Moving);
            let hold = self.holds.get(&slot.id).copied().unwrap_or(open);
            routes.push(Route {
                wire: slot.clone(),
                master,
                migration,
                replicas,
                hold,
            });
        }
        let addresses = self.addresses.clone();
        Table::new(self.version, routes, addresses, referenced, masters)
    }

    fn learn_addresses(&mut self) {
        let mut fresh: Vec<Arc<str>> = Vec::new();
        for slot in &self.slots {
            for address in addresses(slot) {
                if !address.is_empty() && !self.ids.contains_key(address.as_str()) {
                    let id = BackendId((self.addresses.len() + fresh.len()) as u32);
                    let address: Arc<str> = Arc::from(address.as_str());
                    self.ids.insert(address.clone(), id);
                    fresh.push(address);
                }
            }
        }
        if !fresh.is_empty() {
            self.addresses = self.addresses.iter().cloned().chain(fresh).collect();
        }
    }
}

/// A master as a slot names it.
#[derive(Debug)]
struct Named<'a> {
    group: u32,
    epoch: Epoch,
    address: &'a str,
}

impl Named<'_> {
    /// Whether this takes the place of `old` without an election having said so.
    fn moves_by_plan(&self, old: &Named<'_>) -> bool {
        let elected = self.group == old.group && self.epoch > old.epoch;
        self.address != old.address && !elected
    }
}

fn master_of(slot: &api::Slot) -> Named<'_> {
    Named {
        group: slot.backend_addr_group_id,
        epoch: slot.backend_addr_epoch,
        address: &slot.backend_addr,
    }
}

fn source_of(slot: &api::Slot) -> Named<'_> {
    Named {
        group: slot.migrate_from_group_id,
        epoch: slot.migrate_from_epoch,
        address: &slot.migrate_from,
    }
}

/// Every address that a slot names.
fn addresses(slot: &api::Slot) -> impl Iterator<Item = &String> {
    let replicas = slot.replica_groups.iter().flatten();
    [&slot.backend_addr, &slot.migrate_from]
        .into_iter()
        .chain(replicas)
}

#[cfg(test)]
mod tests;
