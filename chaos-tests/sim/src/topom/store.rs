//! The coordinator: records that change one commit at a time, and a lock with a lease that ends by
//! the store's own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::ha::Term;
use codis_core::model::{Group, SlotMapping};
use codis_core::time::Time;
use codis_topom::{Change, Records};

use super::wire::{Node, Section, StoreAnswer, StoreCall, TermRecord, Write};
use crate::moment::{Clock, Moment};

/// Where a record is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Slot(u16),
    Group(u32),
    Proxy(String),
    Sentinel,
    Leaving,
    LeavingProxies,
    Topology(u32),
    Actions,
}

/// What a call changed, for the checker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changed {
    /// The term.
    Term {
        /// From.
        from: Option<TermRecord>,
        /// To.
        to: TermRecord,
    },
    /// Records, under a guard.
    Records {
        /// Who wrote.
        guard: TermRecord,
        /// Who led.
        leads: Option<TermRecord>,
        /// Slots before and after.
        slots: Vec<(SlotMapping, SlotMapping)>,
    },
}

/// The store.
#[derive(Debug)]
pub struct Store {
    clock: Clock,
    records: BTreeMap<Key, Change>,
    edit: Option<Vec<Change>>,
    term: Option<TermRecord>,
    lock: Option<(u64, Duration, Time)>,
    /// Guards are not looked at: the store is broken on purpose.
    unguarded: bool,
}

impl Store {
    /// A store with these records.
    pub fn new(clock: Clock, records: Vec<Change>, unguarded: bool) -> Self {
        let mut store = Self {
            clock,
            records: BTreeMap::new(),
            edit: None,
            term: None,
            lock: None,
            unguarded,
        };
        records.into_iter().for_each(|change| store.write(change));
        store
    }

    /// The term on record.
    pub fn term(&self) -> Option<Term> {
        self.term.map(|record| record.term)
    }

    /// The record of a slot.
    pub fn slot(&self, id: u16) -> SlotMapping {
        match self.records.get(&Key::Slot(id)) {
            Some(Change::PutSlot(slot)) => slot.clone(),
            Some(_) | None => SlotMapping {
                id,
                ..SlotMapping::default()
            },
        }
    }

    /// The record of a group.
    pub fn group(&self, id: u32) -> Option<&Group> {
        match self.records.get(&Key::Group(id))? {
            Change::PutGroup(group) => Some(group),
            _ => None,
        }
    }

    /// The master of a group, as the records have it.
    pub fn master(&self, group: u32) -> Option<Node> {
        let record = self.group(group)?;
        Node::of(&record.servers.first()?.addr)
    }

    /// All records, as a dashboard would read them.
    pub fn records(&self) -> Records {
        let mut records = Records::default();
        self.records
            .values()
            .for_each(|change| take(&mut records, change.clone()));
        records
    }

    /// Whether an edit waits to be carried out.
    pub const fn has_edit(&self) -> bool {
        self.edit.is_some()
    }

    /// Does what it is asked.
    pub fn handle(&mut self, now: Moment, call: StoreCall) -> (StoreAnswer, Option<Changed>) {
        let at = self.clock.local(now);
        if self.lock.is_some_and(|(_, _, until)| until <= at) {
            self.lock = None;
        }
        let answer = match call {
            StoreCall::Lock { session, span } => match self.lock {
                Some(_) => StoreAnswer::Held,
                None => {
                    self.lock = Some((session, span, at + span));
                    StoreAnswer::Done
                }
            },
            StoreCall::Renew { session } => match &mut self.lock {
                Some((held, span, until)) if *held == session => {
                    *until = at + *span;
                    StoreAnswer::Done
                }
                Some(_) | None => StoreAnswer::Gone,
            },
            StoreCall::Unlock { session } => {
                self.lock.take_if(|(held, ..)| *held == session);
                StoreAnswer::Done
            }
            StoreCall::ReadTerm => StoreAnswer::Term(self.term),
            StoreCall::WriteTerm { expected, to } => {
                if expected != self.term {
                    return (StoreAnswer::Changed, None);
                }
                let from = self.term.replace(to);
                return (StoreAnswer::Done, Some(Changed::Term { from, to }));
            }
            StoreCall::ReadEdit => StoreAnswer::Edit(self.edit.clone()),
            StoreCall::Read(section) => StoreAnswer::Records(self.read(section)),
            StoreCall::Commit { guard, writes } => return self.commit(guard, writes),
        };
        (answer, None)
    }

    fn commit(&mut self, guard: TermRecord, writes: Vec<Write>) -> (StoreAnswer, Option<Changed>) {
        if self.term != Some(guard) && !self.unguarded {
            return (StoreAnswer::Changed, None);
        }
        if self.edit.is_some() && writes.iter().any(|it| matches!(it, Write::Edit(_))) {
            return (StoreAnswer::Changed, None);
        }
        let mut slots = Vec::new();
        for write in writes {
            match write {
                Write::Record(change) => {
                    if let Change::PutSlot(slot) = &*change {
                        slots.push((self.slot(slot.id), slot.clone()));
                    }
                    self.write(*change);
                }
                Write::Edit(changes) => self.edit = Some(changes),
                Write::ForgetEdit => self.edit = None,
            }
        }
        let changed = Changed::Records {
            guard,
            leads: self.term,
            slots,
        };
        (StoreAnswer::Done, Some(changed))
    }

    fn read(&self, section: Section) -> Vec<Change> {
        let wanted = |key: &Key| match key {
            Key::Slot(_) => section == Section::Slots,
            Key::Group(_) => section == Section::Groups,
            Key::Proxy(_) => section == Section::Proxies,
            Key::Sentinel
            | Key::Leaving
            | Key::LeavingProxies
            | Key::Topology(_)
            | Key::Actions => section == Section::Ha,
        };
        let found = self.records.iter().filter(|(key, _)| wanted(key));
        found.map(|(_, change)| change.clone()).collect()
    }

    fn write(&mut self, change: Change) {
        let key = match &change {
            Change::PutSlot(slot) => Key::Slot(slot.id),
            Change::PutGroup(group) => Key::Group(group.id),
            Change::PutProxy(proxy) => Key::Proxy(proxy.token.clone()),
            Change::PutSentinel(_) => Key::Sentinel,
            Change::PutLeaving(_) => Key::Leaving,
            Change::PutLeavingProxies(_) => Key::LeavingProxies,
            Change::PutTopology(topology) => Key::Topology(topology.group_id),
            Change::PutSlotActions(_) => Key::Actions,
            Change::DeleteGroup(id) => {
                self.records.remove(&Key::Group(*id));
                return;
            }
            Change::DeleteProxy(token) => {
                self.records.remove(&Key::Proxy(token.clone()));
                return;
            }
            Change::Hold { .. } | Change::Lock { .. } => return,
        };
        self.records.insert(key, change);
    }
}

/// Adds a record to those of its kind.
pub fn take(records: &mut Records, change: Change) {
    match change {
        Change::PutSlot(slot) => records.slots.push(slot),
        Change::PutGroup(group) => records.groups.push(group),
        Change::PutProxy(proxy) => records.proxies.push(proxy),
        Change::PutSentinel(sentinel) => records.sentinel = sentinel,
        Change::PutLeaving(leaving) => records.leaving = leaving,
        Change::PutLeavingProxies(leaving) => records.leaving_proxies = leaving,
        Change::PutTopology(topology) => records.topologies.push(topology),
        Change::PutSlotActions(actions) => records.slot_actions = actions,
        Change::DeleteGroup(_)
        | Change::DeleteProxy(_)
        | Change::Hold { .. }
        | Change::Lock { .. } => {}
    }
}
