//! The forms of all slots, shared by all proxies that see the servers alike.
//!
//! A migration of a thousand slots makes thousands of revisions, each of which changes one slot,
//! and a hundred proxies want each of them. So a form is computed once for all viewers that are
//! equal, and only for the slots that changed; the others keep their place in memory, which makes
//! comparing two revisions a comparison of pointers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use codis_core::api::Slot;
use codis_core::model::SlotMapping;

use crate::Cluster;
use crate::form::{self, Viewer};

/// The forms of all slots by id.
pub type Wanted = Arc<[Arc<Slot>]>;

/// Forms of one revision.
#[derive(Clone, Debug)]
struct Entry {
    revision: u64,
    cluster: Arc<Cluster>,
    slots: Wanted,
    digest: Option<String>,
}

/// The newest forms by viewer.
#[derive(Debug)]
pub struct Forms {
    method: u8,
    entries: BTreeMap<Viewer, Entry>,
}

impl Forms {
    /// No forms yet; slots migrate by `method`.
    pub const fn new(method: u8) -> Self {
        Self {
            method,
            entries: BTreeMap::new(),
        }
    }

    /// What `viewer` is sent at `revision`, at which the records are `cluster`.
    pub fn of(&mut self, revision: u64, cluster: &Arc<Cluster>, viewer: &Viewer) -> Wanted {
        let method = self.method;
        let mut digest = None;
        let one = |slot: &SlotMapping| Arc::new(form::one(cluster, slot, method, Some(viewer)));
        let slots: Wanted = match self.entries.get(viewer) {
            Some(entry) if entry.revision == revision => return entry.slots.clone(),
            None => cluster.slots().iter().map(one).collect(),
            Some(entry) => {
                let groups = changed_groups(&entry.cluster, cluster);
                let concerns = |slot: &SlotMapping| {
                    groups.contains(&slot.group_id) || groups.contains(&slot.action.target_id)
                };
                let before = entry.cluster.slots().iter().zip(entry.slots.iter());
                let after = cluster.slots().iter().zip(before);
                let held = |id: u16| (entry.cluster.is_held(id), cluster.is_held(id));
                let next = after.map(|(slot, (old, form))| {
                    let same_hold = matches!(held(slot.id), (true, true) | (false, false));
                    if slot == old && same_hold && !concerns(slot) {
                        return form.clone();
                    }
                    let new = one(slot);
                    if new == *form { form.clone() } else { new }
                });
                let next: Wanted = next.collect();
                let same = |(a, b): (&Arc<Slot>, &Arc<Slot>)| Arc::ptr_eq(a, b);
                if next.iter().zip(entry.slots.iter()).all(same) {
                    digest.clone_from(&entry.digest);
                    entry.slots.clone()
                } else {
                    next
                }
            }
        };
        self.forget_before(revision);
        let entry = Entry {
            revision,
            cluster: cluster.clone(),
            slots: slots.clone(),
            digest,
        };
        self.entries.insert(viewer.clone(), entry);
        slots
    }

    /// The digest that was kept for these forms.
    pub fn digest_of(&self, wanted: &Wanted) -> Option<String> {
        let mut entries = self.entries.values();
        let entry = entries.find(|entry| Arc::ptr_eq(&entry.slots, wanted))?;
        entry.digest.clone()
    }

    /// Keeps the digest of these forms for the other proxies that want them.
    pub fn keep_digest(&mut self, wanted: &Wanted, digest: &str) {
        for entry in self.entries.values_mut() {
            if Arc::ptr_eq(&entry.slots, wanted) {
                entry.digest = Some(digest.to_owned());
            }
        }
    }

    /// Forgets viewers that nobody was in the last revisions: proxies that are gone, addresses that
    /// resolve otherwise now.
    fn forget_before(&mut self, revision: u64) {
        /// Revisions that a slow row may lag behind without its forms being computed anew.
        const LAG_MAX: u64 = 64;
        self.entries
            .retain(|_, entry| entry.revision + LAG_MAX >= revision);
    }
}

/// The groups of which something differs that a form is made of.
fn changed_groups(old: &Cluster, new: &Cluster) -> BTreeSet<u32> {
    let ids = |cluster: &Cluster| -> Vec<u32> { cluster.groups().map(|group| group.id).collect() };
    // A lock may stand without its group, or be released after it.
    let locks = old.locked_groups().chain(new.locked_groups());
    let all: BTreeSet<u32> = ids(old).into_iter().chain(ids(new)).chain(locks).collect();
    let differs = |id: &u32| {
        old.group(*id).ok() != new.group(*id).ok()
            || old.topology(*id) != new.topology(*id)
            || old.is_locked(*id) != new.is_locked(*id)
    };
    all.into_iter().filter(differs).collect()
}
