//! Which of the slots that a proxy lacks travel together.

use std::sync::Arc;

use codis_core::api::Slot;

use super::place::Place;

/// Whose requests in flight end before a proxy takes a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves<'a> {
    /// Nobody's: the slot is offline there, stays where it is, or lost its master.
    Nothing,
    /// Those to the master so far, and to the one that keys come from.
    Masters(&'a str, &'a str),
}

/// The slots of the next body out of those that are due: all that need not be waited for, else all
/// that leave the same masters as the first one.
pub fn next(due: &[u16], places: &[Place], wanted: &[Arc<Slot>]) -> Vec<u16> {
    let leaves = |id: &u16| leaves(&places[usize::from(*id)], &wanted[usize::from(*id)]);
    let all_that_leave = |what: Leaves<'_>| -> Vec<u16> {
        let due = due.iter().copied();
        due.filter(|id| leaves(id) == what).collect()
    };
    let free = all_that_leave(Leaves::Nothing);
    match due.first() {
        Some(first) if free.is_empty() => all_that_leave(leaves(first)),
        Some(_) | None => free,
    }
}

/// By the rule by which proxies decide whom they wait for.
fn leaves<'a>(place: &'a Place, wanted: &Slot) -> Leaves<'a> {
    let Some(last) = place.last() else {
        return Leaves::Nothing;
    };
    let by_election = |from: &str, to: &str, is_newer: bool| from == to || is_newer;
    let stays = last.backend_addr_group_id == wanted.backend_addr_group_id
        && last.migrate_from_group_id == wanted.migrate_from_group_id
        && by_election(
            &last.backend_addr,
            &wanted.backend_addr,
            last.backend_addr_epoch < wanted.backend_addr_epoch,
        )
        && by_election(
            &last.migrate_from,
            &wanted.migrate_from,
            last.migrate_from_epoch < wanted.migrate_from_epoch,
        );
    if last.backend_addr.is_empty() || (stays && (last.locked || !wanted.locked)) {
        Leaves::Nothing
    } else {
        Leaves::Masters(&last.backend_addr, &last.migrate_from)
    }
}
