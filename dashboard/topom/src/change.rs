//! What an edit does to the records, one record at a time.

use codis_core::ha::{GroupTopology, LeavingProxies, LeavingSentinels, SlotActions};
use codis_core::model::{Group, Proxy, Sentinel, SlotMapping};

/// One record written or removed. A list of changes is stored in order, then applied in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes a slot.
    PutSlot(SlotMapping),
    /// Writes a group.
    PutGroup(Group),
    /// Removes a group.
    DeleteGroup(u32),
    /// Writes a proxy.
    PutProxy(Proxy),
    /// Removes a proxy, by token.
    DeleteProxy(String),
    /// Writes the list of sentinels.
    PutSentinel(Sentinel),
    /// Writes which sentinels are still to forget the product.
    PutLeaving(LeavingSentinels),
    /// Writes which proxies are being removed.
    PutLeavingProxies(LeavingProxies),
    /// Writes the adopted topology of a group. There is no removal: the epoch of a removed group is
    /// the floor for the next group of that id.
    PutTopology(GroupTopology),
    /// Writes how slot actions are carried out.
    PutSlotActions(SlotActions),
    /// Holds or releases a slot at the proxies while its action moves on. Not stored, and it ends
    /// with the next write of the slot.
    Hold {
        /// The slot.
        slot: u16,
        /// Whether requests wait.
        held: bool,
    },
    /// Holds or releases the slots of a group at the proxies. Not stored: a promotion locks before
    /// it records that it did, and a dashboard that starts anew finds the group unlocked.
    Lock {
        /// The group.
        group: u32,
        /// Whether requests wait.
        locked: bool,
    },
}
