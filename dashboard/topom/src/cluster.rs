//! The cluster as one value: all records of a product.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::epoch::Epoch;
use codis_core::ha::{GroupTopology, LeavingProxies, LeavingSentinels, SlotActions};
use codis_core::model::{ActionState, Group, Proxy, Sentinel, SlotMapping};
use codis_core::slot::SLOTS;

use crate::{Change, Refusal};

/// Records as they were read from a store.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Those slots that were ever touched.
    pub slots: Vec<SlotMapping>,
    /// All groups.
    pub groups: Vec<Group>,
    /// All proxies.
    pub proxies: Vec<Proxy>,
    /// The sentinels.
    pub sentinel: Sentinel,
    /// Those that are still to forget the product.
    pub leaving: LeavingSentinels,
    /// Those that are being removed.
    pub leaving_proxies: LeavingProxies,
    /// The adopted topologies.
    pub topologies: Vec<GroupTopology>,
    /// How slot actions are carried out.
    pub slot_actions: SlotActions,
}

/// All records of a product, and the locks of promotions and slot actions under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    slots: Vec<SlotMapping>,
    groups: BTreeMap<u32, Group>,
    proxies: BTreeMap<String, Proxy>,
    sentinel: Sentinel,
    leaving: LeavingSentinels,
    leaving_proxies: LeavingProxies,
    topologies: BTreeMap<u32, GroupTopology>,
    slot_actions: SlotActions,
    locked: BTreeSet<u32>,
    held: BTreeSet<u16>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::load(Records::default())
    }
}

impl Cluster {
    /// The cluster that `records` describe. A slot without a record is offline; one with an id
    /// beyond the last slot is dropped.
    pub fn load(records: Records) -> Self {
        let mut slots: Vec<SlotMapping> = (0..SLOTS)
            .map(|id| SlotMapping {
                id: id as u16,
                ..SlotMapping::default()
            })
            .collect();
        for slot in records.slots {
            if let Some(place) = slots.get_mut(usize::from(slot.id)) {
                *place = slot;
            }
        }
        Self {
            slots,
            groups: records.groups.into_iter().map(|g| (g.id, g)).collect(),
            proxies: records
                .proxies
                .into_iter()
                .map(|p| (p.token.clone(), p))
                .collect(),
            sentinel: records.sentinel,
            leaving: records.leaving,
            leaving_proxies: records.leaving_proxies,
            topologies: records
                .topologies
                .into_iter()
                .map(|t| (t.group_id, t))
                .collect(),
            slot_actions: records.slot_actions,
            locked: BTreeSet::new(),
            held: BTreeSet::new(),
        }
    }

    /// Applies a change that is stored.
    ///
    /// # Panics
    /// When the epoch of a group would fall: a wrong master is worse than a restart.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::PutSlot(slot) => {
                if let Some(place) = self.slots.get_mut(usize::from(slot.id)) {
                    *place = slot.clone();
                }
                self.held.remove(&slot.id);
            }
            Change::PutSlotActions(actions) => self.slot_actions = actions.clone(),
            Change::Hold { slot, held: true } => {
                self.held.insert(*slot);
            }
            Change::Hold { slot, held: false } => {
                self.held.remove(slot);
            }
            Change::PutGroup(group) => {
                self.groups.insert(group.id, group.clone());
            }
            Change::DeleteGroup(id) => {
                self.groups.remove(id);
            }
            Change::PutProxy(proxy) => {
                self.proxies.insert(proxy.token.clone(), proxy.clone());
            }
            Change::DeleteProxy(token) => {
                self.proxies.remove(token);
            }
            Change::PutSentinel(sentinel) => self.sentinel = sentinel.clone(),
            Change::PutLeaving(leaving) => self.leaving = leaving.clone(),
            Change::PutLeavingProxies(leaving) => self.leaving_proxies = leaving.clone(),
            Change::PutTopology(topology) => {
                assert!(
                    topology.epoch >= self.epoch(topology.group_id),
                    "the epoch of group-[{}] never falls",
                    topology.group_id
                );
                self.topologies.insert(topology.group_id, topology.clone());
            }
            Change::Lock {
                group,
                locked: true,
            } => {
                self.locked.insert(*group);
            }
            Change::Lock {
                group,
                locked: false,
            } => {
                self.locked.remove(group);
            }
        }
    }

    /// Takes over, after the records were read anew, what the old value knows beyond them: the
    /// locks, and epochs that somebody set back in the store.
    pub fn keep_what_is_not_stored(&mut self, old: &Self) {
        // A promotion whose record says that it is over, or that it never began, holds nothing up;
        // the edit that was to say so may have been stored without an answer.
        let under_way = |group: &&u32| {
            let group = self.groups.get(*group);
            group.is_some_and(|group| {
                matches!(
                    group.promoting.state,
                    ActionState::Preparing | ActionState::Prepared
                )
            })
        };
        self.locked = old.locked.iter().filter(under_way).copied().collect();
        // A record that the store shows otherwise was written, which ends the hold.
        let unmoved = |slot: &&u16| old.slot(**slot).ok() == self.slot(**slot).ok();
        self.held = old.held.iter().filter(unmoved).copied().collect();
        for (group, held) in &old.topologies {
            if held.epoch > self.epoch(*group) {
                self.topologies.insert(*group, held.clone());
            }
        }
    }

    /// All 1024 slots by id.
    pub fn slots(&self) -> &[SlotMapping] {
        &self.slots
    }

    /// One slot.
    pub fn slot(&self, id: u16) -> Result<&SlotMapping, Refusal> {
        self.slots
            .get(usize::from(id))
            .ok_or(Refusal::SlotMissing(i64::from(id)))
    }

    /// How slot actions are carried out.
    pub const fn slot_actions(&self) -> &SlotActions {
        &self.slot_actions
    }

    /// Whether requests for a slot must wait, beyond what its record says.
    pub fn is_held(&self, slot: u16) -> bool {
        self.held.contains(&slot)
    }

    /// Whether the action of a slot is to be turned round.
    pub fn is_cancelled(&self, slot: &SlotMapping) -> bool {
        let started = !matches!(
            slot.action.state,
            ActionState::Nothing | ActionState::Pending
        );
        let wish = self.slot_actions.cancelled.get(&slot.id);
        started && wish == Some(&slot.action.target_id)
    }

    /// Whether a promotion owns the group.
    pub fn is_promoting(&self, group: u32) -> bool {
        self.groups
            .get(&group)
            .is_some_and(|group| group.promoting.state != ActionState::Nothing)
    }

    /// All groups by id.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// One group.
    pub fn group(&self, id: u32) -> Result<&Group, Refusal> {
        self.groups
            .get(&id)
            .ok_or(Refusal::GroupMissing(i64::from(id)))
    }

    /// All proxies by token.
    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.values()
    }

    /// One proxy.
    pub fn proxy(&self, token: &str) -> Result<&Proxy, Refusal> {
        self.proxies
            .get(token)
            .ok_or_else(|| Refusal::ProxyMissing(token.to_owned()))
    }

    /// The sentinels.
    pub const fn sentinel(&self) -> &Sentinel {
        &self.sentinel
    }

    /// The sentinels that are still to forget the product.
    pub const fn leaving(&self) -> &LeavingSentinels {
        &self.leaving
    }

    /// The proxies that are being removed.
    pub const fn leaving_proxies(&self) -> &LeavingProxies {
        &self.leaving_proxies
    }

    /// Whether sentinels decide who is master.
    pub fn has_sentinels(&self) -> bool {
        !self.sentinel.servers.is_empty()
    }

    /// The adopted topology of a group, when there is one.
    pub fn topology(&self, group: u32) -> Option<&GroupTopology> {
        self.topologies.get(&group)
    }

    /// The highest epoch ever held for a group.
    pub fn epoch(&self, group: u32) -> Epoch {
        self.topologies.get(&group).map_or(Epoch::ZERO, |t| t.epoch)
    }

    /// The address of a group's master; empty when the group is missing or empty.
    pub fn master(&self, group: u32) -> &str {
        self.groups
            .get(&group)
            .and_then(|g| g.servers.first())
            .map_or("", |server| server.addr.as_str())
    }

    /// Whether the record of a group names another master than its adopted topology: an original
    /// dashboard moved it, or a crash came between two writes.
    pub fn drifted(&self, group: u32) -> bool {
        let master = self.master(group);
        !master.is_empty()
            && self
                .topology(group)
                .is_some_and(|held| held.master != master)
    }

    /// Whether requests for the group's slots must wait.
    pub fn is_locked(&self, group: u32) -> bool {
        let prepared = |g: &Group| g.promoting.state == ActionState::Prepared;
        self.locked.contains(&group) || self.groups.get(&group).is_some_and(prepared)
    }

    /// The groups whose slots a promotion holds without a record.
    pub(crate) fn locked_groups(&self) -> impl Iterator<Item = u32> {
        self.locked.iter().copied()
    }

    /// Whether any slot belongs to the group or is on its way into it.
    pub fn is_in_use(&self, group: u32) -> bool {
        self.slots_of(group).next().is_some()
    }

    /// The slots that belong to the group or are on their way into it.
    pub fn slots_of(&self, group: u32) -> impl Iterator<Item = &SlotMapping> {
        self.slots.iter().filter(move |slot| {
            slot.group_id == group
                || (slot.action.state != ActionState::Nothing && slot.action.target_id == group)
        })
    }

    /// The ids of the same slots.
    pub fn slot_ids(&self, group: u32) -> Vec<u16> {
        self.slots_of(group).map(|slot| slot.id).collect()
    }

    /// The group and the place of a server.
    pub fn find_server(&self, addr: &str) -> Option<(&Group, usize)> {
        self.groups
            .values()
            .find_map(|group| place_of(group, addr).map(|at| (group, at)))
    }
}

/// The place of a server in a group.
pub(crate) fn place_of(group: &Group, addr: &str) -> Option<usize> {
    group.servers.iter().position(|server| server.addr == addr)
}
