//! What must hold after each step, and once the faults have stopped.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::ha::Term;
use codis_core::model::{ActionState, SlotMapping};

use super::proxy::Key;
use super::store::Changed;
use crate::moment::Moment;

/// What was broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// A board that does not lead changes nothing in the store.
    StaleWrite,
    /// Terms only grow, one board each.
    Term,
    /// A slot's record goes from state to state as it may, and changes its owner at the end only.
    Transition,
    /// No proxy serves a slot by routes that do not show all of its keys.
    Stranded,
    /// A key is on one group.
    TwoOwners,
    /// What was acknowledged is read.
    LostWrite,
    /// A machine panicked.
    Panic,
    /// Once the faults stop, all comes to rest.
    Liveness,
}

/// A broken rule.
pub type Violation = crate::family::Violation<Rule>;

/// What a client may read of a key.
#[derive(Clone, Debug, Default)]
struct Known {
    acked: Option<u64>,
    /// A write whose outcome nobody knows.
    perhaps: Option<u64>,
}

/// The checker of what happened.
#[derive(Debug, Default)]
pub struct Check {
    keys: BTreeMap<Key, Known>,
    /// Keys that were touched by routes for which nobody vouches.
    tainted: BTreeSet<Key>,
    term: Term,
    /// The first rule that was broken.
    pub violation: Option<Violation>,
}

impl Check {
    /// A rule is broken.
    pub fn breaks(&mut self, at: Moment, rule: Rule, text: String) {
        self.violation.get_or_insert(Violation { at, rule, text });
    }

    /// A key was touched by routes for which nobody vouches: it shows nothing any more.
    pub fn taint(&mut self, key: Key) {
        self.tainted.insert(key);
    }

    /// Whether a key shows something.
    pub fn counts(&self, key: Key) -> bool {
        !self.tainted.contains(&key)
    }

    /// How many keys show nothing.
    pub fn tainted(&self) -> usize {
        self.tainted.len()
    }

    /// A write was acknowledged.
    pub fn acked(&mut self, key: Key, value: u64) {
        self.keys.entry(key).or_default().acked = Some(value);
    }

    /// Nobody knows what became of a write.
    pub fn unknown(&mut self, key: Key, value: u64) {
        self.keys.entry(key).or_default().perhaps = Some(value);
    }

    /// A key holds this, as somebody read.
    pub fn read(&mut self, at: Moment, key: Key, value: Option<u64>) {
        let known = self.keys.get(&key).cloned().unwrap_or_default();
        let fits = value == known.acked || (value.is_some() && value == known.perhaps);
        if !fits && self.counts(key) {
            let text = format!("key {key:?} is {value:?}, not {known:?}");
            self.breaks(at, Rule::LostWrite, text);
        }
    }

    /// All keys that were written.
    pub fn keys(&self) -> Vec<Key> {
        self.keys.keys().copied().collect()
    }

    /// The store has changed.
    pub fn stored(&mut self, at: Moment, changed: &Changed) {
        match changed {
            Changed::Term { from, to } => {
                let before = from.map(|record| record.term).unwrap_or_default();
                if to.term <= before || to.term <= self.term {
                    let text = format!("{to:?} after {from:?}");
                    self.breaks(at, Rule::Term, text);
                }
                self.term = to.term;
            }
            Changed::Records {
                guard,
                leads,
                slots,
            } => {
                if *leads != Some(*guard) {
                    let text = format!("{guard:?} wrote while {leads:?} leads");
                    self.breaks(at, Rule::StaleWrite, text);
                }
                for (before, after) in slots {
                    if !may_follow(before, after) {
                        let text = format!("{before:?} became {after:?}");
                        self.breaks(at, Rule::Transition, text);
                    }
                }
            }
        }
    }
}

/// Whether a slot's record may change like this.
fn may_follow(before: &SlotMapping, after: &SlotMapping) -> bool {
    let (from, to) = (before.action.state, after.action.state);
    let same = before.group_id == after.group_id;
    let same_target = before.action.target_id == after.action.target_id;
    let turned = before.group_id == after.action.target_id
        && before.action.target_id == after.group_id
        && to == ActionState::Prepared;
    let ended = after.group_id == before.action.target_id && to == ActionState::Nothing;
    if before == after {
        return true;
    }
    match from {
        ActionState::Nothing => same && to == ActionState::Pending,
        ActionState::Pending => {
            same && (to == ActionState::Nothing || (same_target && to == ActionState::Preparing))
        }
        ActionState::Preparing => {
            same && (to == ActionState::Nothing || (same_target && to == ActionState::Prepared))
        }
        ActionState::Prepared => turned || (same && same_target && to == ActionState::Migrating),
        ActionState::Migrating => turned || (same && same_target && to == ActionState::Finished),
        ActionState::Finished => turned || ended,
        ActionState::Syncing | ActionState::Synced | ActionState::SyncedFailed => false,
    }
}
