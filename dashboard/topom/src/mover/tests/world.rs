//! Records that survive a crash, proxies that hold forms, servers that hold keys, and clients.
//!
//! After every event the world asks: is each key on one group; does each proxy that serves a slot
//! see all of its keys; is each key on the group that all proxies agree to write to, or will it be
//! fetched from where it is.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::api::Slot;
use codis_core::ha::SlotActions;
use codis_core::model::{Group, GroupServer, SlotAction};

use super::super::*;
use crate::edit::Edit;
use crate::{Change, Cluster, Records, edit, form};

/// The slot of tests that need one only.
pub const SLOT: u16 = 7;
/// Keys of each slot at first.
const KEYS: u32 = 5;
const PROXIES: usize = 2;
const GROUPS: u32 = 4;

/// A key: its slot, and its number there.
type Key = (u16, u32);

pub struct World {
    pub cluster: Cluster,
    pub cancelled: bool,
    /// What each proxy holds.
    proxies: Vec<BTreeMap<u16, Slot>>,
    /// Which group has a key; a set, for a fault would make it two.
    keys: BTreeMap<Key, BTreeSet<u32>>,
    /// Commands that were given up, but may still be carried out: slot, source, target.
    late: Vec<(u16, u32, u32)>,
    mover: Option<Mover>,
    next_key: u32,
}

impl World {
    pub fn new() -> Self {
        let group = |id: u32| Group {
            id,
            servers: vec![GroupServer {
                addr: format!("g{id}:1"),
                ..GroupServer::default()
            }],
            ..Group::default()
        };
        let slots = [SLOT].into_iter().chain(20..32).map(|id| SlotMapping {
            id,
            group_id: 1,
            ..SlotMapping::default()
        });
        let slots: Vec<SlotMapping> = slots.collect();
        let key = |slot: &SlotMapping| {
            let id = slot.id;
            (0..KEYS).map(move |n| ((id, n), BTreeSet::from([1])))
        };
        let keys = slots.iter().flat_map(key).collect();
        let cluster = Cluster::load(Records {
            slots,
            groups: (1..=GROUPS).map(group).collect(),
            ..Records::default()
        });
        let mut world = Self {
            cluster,
            cancelled: false,
            proxies: vec![BTreeMap::new(); PROXIES],
            keys,
            late: Vec::new(),
            mover: None,
            next_key: KEYS,
        };
        (0..PROXIES).for_each(|proxy| world.fill(proxy));
        world
    }

    pub fn mover(&self) -> Mover {
        Mover::new(Limits {
            slots: 4,
            slots_of_pair: 2,
        })
    }

    pub fn record(&self, slot: u16) -> &SlotMapping {
        self.cluster.slot(slot).unwrap()
    }

    pub fn keys_of(&self, slot: u16, group: u32) -> usize {
        let of = |(key, groups): &(&Key, &BTreeSet<u32>)| key.0 == slot && groups.contains(&group);
        self.keys.iter().filter(of).count()
    }

    pub fn apply(&mut self, edit: Edit) {
        let changes = edit.unwrap();
        changes.iter().for_each(|change| self.cluster.apply(change));
    }

    pub fn queue(&mut self, slot: u16, group: u32) {
        let edit = edit::create_action(&self.cluster, i64::from(slot), i64::from(group));
        self.apply(edit);
    }

    /// Puts a slot in the middle of a migration.
    pub fn migrating(&mut self, id: u16, group_id: u32, target_id: u32) {
        let action = SlotAction {
            index: u64::from(id),
            state: ActionState::Migrating,
            target_id,
        };
        let slot = SlotMapping {
            id,
            group_id,
            action,
        };
        self.cluster.apply(&Change::PutSlot(slot));
    }

    pub fn fail_over(&mut self, group: u32, master: &str) {
        let mut group = self.cluster.group(group).unwrap().clone();
        master.clone_into(&mut group.servers[0].addr);
        self.cluster.apply(&Change::PutGroup(group));
    }

    pub fn cancel_once(&mut self, slot: u16) {
        if !self.cancelled {
            let edit = edit::cancel_action(&self.cluster, i64::from(slot));
            self.apply(edit);
            self.cancelled = true;
        }
    }

    /// The dashboard ends and another one starts: nothing is left but the records. A command that
    /// was out may be carried out yet.
    pub fn crash(&mut self, lost: bool) {
        let records = Records {
            slots: self.cluster.slots().to_vec(),
            groups: self.cluster.groups().cloned().collect(),
            slot_actions: self.cluster.slot_actions().clone(),
            ..Records::default()
        };
        self.cluster = Cluster::load(records);
        if lost {
            let mover = self.mover.take();
            for one in mover.iter().flat_map(|mover| &mover.effects) {
                if let Effect::Migrate(command) = one {
                    self.given_up(command.slot);
                }
            }
        }
        self.mover = None;
    }

    pub fn given_up(&mut self, slot: u16) {
        let record = self.record(slot);
        let late = (slot, record.group_id, record.action.target_id);
        self.late.push(late);
    }

    /// Carries out a command that was given up.
    pub fn carry_out_late(&mut self, nth: usize) {
        if !self.late.is_empty() {
            let (slot, source, target) = self.late.remove(nth % self.late.len());
            self.send_keys(slot, source, target, 1);
        }
    }

    /// A proxy takes the newest forms.
    pub fn fill(&mut self, proxy: usize) {
        let slots = self.cluster.slots().iter().take(32);
        let form = |slot: &SlotMapping| (slot.id, form::one(&self.cluster, slot, 1, None));
        self.proxies[proxy] = slots.map(form).collect();
        self.check();
    }

    /// A client writes a key through a proxy; what is on its way is fetched first.
    pub fn write(&mut self, proxy: usize, slot: u16, fresh: bool, nth: u32) {
        let held = self.proxies[proxy][&slot].clone();
        if held.locked || held.backend_addr.is_empty() {
            return;
        }
        let number = if fresh { self.next_key } else { nth % KEYS };
        self.next_key += u32::from(fresh);
        let on = self.keys.entry((slot, number)).or_default();
        on.remove(&held.migrate_from_group_id);
        on.insert(held.backend_addr_group_id);
        self.check();
    }

    /// Gives effects their results until there are none; `each` sees the world after each.
    pub fn run(&mut self, mut each: impl FnMut(&mut Self)) {
        let mut clock = Time::ZERO;
        each(self);
        for _ in 0..10_000 {
            let mut mover = self.mover.take().unwrap_or_else(|| self.mover());
            mover.handle_cluster(clock, &self.cluster);
            let Some(effect) = mover.poll_effect() else {
                let Some(next) = mover.poll_timeout() else {
                    return;
                };
                clock = next;
                self.mover = Some(mover);
                continue;
            };
            let slot = slot_of(&effect);
            let outcome = self.carry_out(&effect);
            mover.handle_done(clock, &self.cluster, slot, outcome);
            self.mover = Some(mover);
            each(self);
            self.check();
        }
        panic!("it never ends");
    }

    /// Stores the next effect, which must be a step; gives what it did.
    pub fn store_next(&mut self, mover: &mut Mover, now: Time) -> Option<Act> {
        let effect = mover.poll_effect()?;
        let Effect::Store(step) = &effect else {
            panic!("{effect:?}");
        };
        let outcome = self.carry_out(&effect);
        assert_eq!(outcome, Outcome::Done);
        mover.handle_done(now, &self.cluster, step.slot(), outcome);
        Some(step.act)
    }

    /// Does what an effect says.
    pub fn carry_out(&mut self, effect: &Effect) -> Outcome {
        match effect {
            Effect::Store(step) => match step.edit(&self.cluster) {
                Ok(changes) => {
                    changes.iter().for_each(|change| self.cluster.apply(change));
                    self.check();
                    Outcome::Done
                }
                Err(refusal) => Outcome::Failed(refusal.to_string()),
            },
            Effect::Push { .. } => {
                (0..PROXIES).for_each(|proxy| self.fill(proxy));
                Outcome::Done
            }
            Effect::Migrate(command) => {
                let record = self.record(command.slot).clone();
                assert_eq!(command.source, self.cluster.master(record.group_id));
                let (source, target) = (record.group_id, record.action.target_id);
                // A server reads what was given up before it reads this.
                let earlier = |(_, from, _): &mut (u16, u32, u32)| *from == source;
                for (slot, source, target) in self.late.extract_if(.., earlier).collect::<Vec<_>>()
                {
                    self.send_keys(slot, source, target, 1);
                }
                self.send_keys(command.slot, source, target, 2);
                let left = self.keys_of(command.slot, source) as u64;
                Outcome::Moved {
                    left,
                    next_db: None,
                }
            }
            Effect::Quiesce { source, .. } => {
                let cluster = &self.cluster;
                self.late
                    .retain(|(_, from, _)| cluster.master(*from) != source);
                Outcome::Done
            }
        }
    }

    fn send_keys(&mut self, slot: u16, source: u32, target: u32, count: usize) {
        let of_slot =
            |(key, on): &(&Key, &mut BTreeSet<u32>)| key.0 == slot && on.contains(&source);
        for (_, on) in self.keys.iter_mut().filter(of_slot).take(count) {
            on.remove(&source);
            on.insert(target);
        }
        self.check();
    }

    /// The settings and wishes that are on record.
    pub fn actions(&self) -> &SlotActions {
        self.cluster.slot_actions()
    }

    /// Whether all is over: no action, no hold, and every proxy told.
    pub fn settle(&mut self) {
        (0..PROXIES).for_each(|proxy| self.fill(proxy));
        for slot in self.cluster.slots() {
            assert_eq!(slot.action, SlotAction::default(), "slot {}", slot.id);
            assert!(!self.cluster.is_held(slot.id), "slot {}", slot.id);
        }
        assert!(self.actions().cancelled.is_empty());
        for ((slot, number), on) in &self.keys {
            let owner = self.record(*slot).group_id;
            assert_eq!(*on, BTreeSet::from([owner]), "key {slot}/{number}");
        }
    }

    pub fn check(&self) {
        for ((slot, number), on) in &self.keys {
            assert_eq!(on.len(), 1, "key {slot}/{number} is on {on:?}");
            for held in self.proxies.iter().filter_map(|proxy| proxy.get(slot)) {
                let sees = on.contains(&held.backend_addr_group_id)
                    || on.contains(&held.migrate_from_group_id);
                assert!(
                    held.locked || sees,
                    "key {slot}/{number} on {on:?} is not seen by {held:?}; {:?}",
                    self.record(*slot)
                );
            }
        }
    }
}

pub fn slot_of(effect: &Effect) -> u16 {
    match effect {
        Effect::Store(step) => step.slot(),
        Effect::Push { slot } | Effect::Quiesce { slot, .. } => *slot,
        Effect::Migrate(command) => command.slot,
    }
}
