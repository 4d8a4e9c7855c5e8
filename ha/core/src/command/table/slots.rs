//! Slots of Codis. What belongs to their migration is refused.

use crate::command::row::{NONE, Row, TRIPLES, local, read, refuse, special, write};
use crate::command::{Access, Local, Special};

/// Slots.
pub(super) const SLOTS: &[Row] = &[
    refuse("SLOTSCHECK"),
    refuse("SLOTSDEL"),
    read("SLOTSHASHKEY", -1, NONE),
    special("SLOTSINFO", -1, Access::ReadMaster, Special::SlotsInfo),
    local("SLOTSMAPPING", -1, Local::SlotsMapping),
    refuse("SLOTSMGRT-ASYNC-CANCEL"),
    refuse("SLOTSMGRT-ASYNC-FENCE"),
    refuse("SLOTSMGRT-ASYNC-STATUS"),
    refuse("SLOTSMGRT-EXEC-WRAPPER"),
    refuse("SLOTSMGRTONE"),
    refuse("SLOTSMGRTONE-ASYNC"),
    refuse("SLOTSMGRTONE-ASYNC-DUMP"),
    refuse("SLOTSMGRTSLOT"),
    refuse("SLOTSMGRTSLOT-ASYNC"),
    refuse("SLOTSMGRTTAGONE"),
    refuse("SLOTSMGRTTAGONE-ASYNC"),
    refuse("SLOTSMGRTTAGONE-ASYNC-DUMP"),
    refuse("SLOTSMGRTTAGSLOT"),
    refuse("SLOTSMGRTTAGSLOT-ASYNC"),
    write("SLOTSRESTORE", -4, TRIPLES),
    refuse("SLOTSRESTORE-ASYNC"),
    refuse("SLOTSRESTORE-ASYNC-ACK"),
    refuse("SLOTSRESTORE-ASYNC-AUTH"),
    refuse("SLOTSRESTORE-ASYNC-SELECT"),
    special("SLOTSSCAN", -3, Access::ReadMaster, Special::SlotsScan),
];
