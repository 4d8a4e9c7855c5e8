//! What the mover stores, checked against the records each time.

use codis_core::model::{ActionState, SlotAction, SlotMapping};

use crate::edit::{Edit, without_cancel};
use crate::{Change, Cluster, Refusal};

/// One store of a slot's action. It is made from a record that was seen, and refused when the
/// record is another one by then: somebody cancelled the action, or another dashboard moved it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The record that the step starts from.
    pub seen: SlotMapping,
    /// What becomes of it.
    pub act: Act,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `pending` to `preparing`.
    Prepare,
    /// Holds the slot at the proxies; not on record.
    Hold,
    /// Ends the hold; the slot serves as its record says.
    Release,
    /// `preparing` to `prepared`: all proxies that can serve are locked.
    Prepared,
    /// `prepared` to `migrating`.
    Migrate,
    /// Back to where it came from, as `prepared`: all proxies that can serve are locked, and no
    /// migrate command is alive.
    TurnRound,
    /// `migrating` to `finished`: the source has no key left.
    Finish,
    /// The slot belongs to its target and has no action.
    Clear,
}

impl Step {
    /// The slot.
    pub const fn slot(&self) -> u16 {
        self.seen.id
    }

    /// The record changes of the step.
    pub fn edit(&self, cluster: &Cluster) -> Edit {
        let slot = self.seen.id;
        let held = cluster.is_held(slot);
        if *cluster.slot(slot)? != self.seen {
            // With the record that was seen the hold has ended as well.
            return match self.act {
                Act::Release => Ok(Vec::new()),
                Act::Prepare
                | Act::Hold
                | Act::Prepared
                | Act::Migrate
                | Act::TurnRound
                | Act::Finish
                | Act::Clear => Err(Refusal::ActionState(slot)),
            };
        }
        let wished = cluster.is_cancelled(&self.seen);
        match (self.act, self.seen.action.state) {
            (Act::Prepare, ActionState::Pending) => {
                self.quiet(cluster)?;
                Ok(vec![self.to(ActionState::Preparing)])
            }
            (Act::Hold, _) => Ok(vec![Change::Hold { slot, held: true }]),
            (Act::Release, _) if !held => Ok(Vec::new()),
            (Act::Release, _) => Ok(vec![Change::Hold { slot, held: false }]),
            (Act::Prepared, ActionState::Preparing) if held => {
                Ok(vec![self.to(ActionState::Prepared)])
            }
            (Act::Migrate, ActionState::Prepared) if !wished => {
                Ok(vec![self.to(ActionState::Migrating)])
            }
            (Act::TurnRound, ActionState::Prepared) if wished => Ok(self.turned(cluster)),
            (Act::TurnRound, ActionState::Migrating | ActionState::Finished) if wished && held => {
                Ok(self.turned(cluster))
            }
            (Act::Finish, ActionState::Migrating) if !wished => {
                Ok(vec![self.to(ActionState::Finished)])
            }
            (Act::Clear, ActionState::Finished) if !wished => Ok(self.cleared(cluster)),
            (
                Act::Prepare
                | Act::Prepared
                | Act::Migrate
                | Act::TurnRound
                | Act::Finish
                | Act::Clear,
                _,
            ) => Err(Refusal::ActionState(slot)),
        }
    }

    /// A slot does not set out while a promotion owns one of its groups.
    fn quiet(&self, cluster: &Cluster) -> Result<(), Refusal> {
        let groups = [self.seen.group_id, self.seen.action.target_id];
        match groups.into_iter().find(|id| cluster.is_promoting(*id)) {
            Some(group) => Err(Refusal::GroupPromoting(group)),
            None => Ok(()),
        }
    }

    fn to(&self, state: ActionState) -> Change {
        let mut slot = self.seen.clone();
        slot.action.state = state;
        Change::PutSlot(slot)
    }

    /// The two groups change places. The wish goes last, and means nothing for the new target.
    fn turned(&self, cluster: &Cluster) -> Vec<Change> {
        let seen = &self.seen;
        let back = Change::PutSlot(SlotMapping {
            id: seen.id,
            group_id: seen.action.target_id,
            action: SlotAction {
                index: seen.action.index,
                state: ActionState::Prepared,
                target_id: seen.group_id,
            },
        });
        std::iter::once(back)
            .chain(without_cancel(cluster, seen.id))
            .collect()
    }

    /// A wish that a crash left goes first: it must not meet the slot's next action.
    fn cleared(&self, cluster: &Cluster) -> Vec<Change> {
        let cleared = Change::PutSlot(SlotMapping {
            id: self.seen.id,
            group_id: self.seen.action.target_id,
            action: SlotAction::default(),
        });
        let wish = without_cancel(cluster, self.seen.id);
        wish.into_iter().chain([cleared]).collect()
    }
}
