//! Why an edit is refused, in the words that clients of Codis know.

use codis_core::model::ActionState;

/// A rule that an edit would break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the text of each variant says what it means")]
pub enum Refusal {
    #[error("invalid group id = {0}, out of range")]
    GroupIdOutOfRange(i64),
    #[error("group-[{0}] already exists")]
    GroupExists(u32),
    #[error("group-[{0}] doesn't exist")]
    GroupMissing(i64),
    #[error("group-[{0}] isn't empty")]
    GroupNotEmpty(u32),
    #[error("group-[{0}] is empty")]
    GroupEmpty(u32),
    #[error("group-[{0}] is promoting")]
    GroupPromoting(u32),
    #[error("group-[{group}] is promoting index = {index}")]
    GroupPromotingOther { group: u32, index: usize },
    #[error("group-[{0}] isn't promoting")]
    GroupNotPromoting(u32),
    #[error("group-[{group}] doesn't have server-[{server}]")]
    NotInGroup { group: u32, server: String },
    #[error("group-[{0}] can't promote master")]
    AlreadyMaster(u32),
    #[error("group-[{0}] can't remove master, still in use")]
    MasterInUse(u32),
    #[error("slots-migration is running = {0}")]
    MigrationRunning(usize),
    #[error("invalid server address")]
    BadServerAddress,
    #[error("server-[{0}] already exists")]
    ServerExists(String),
    #[error("server-[{0}] doesn't exist")]
    ServerMissing(String),
    #[error("server-[{0}] action already exist")]
    SyncExists(String),
    #[error("server-[{0}] action doesn't exist")]
    SyncMissing(String),
    #[error("server-[{0}] action state is invalid")]
    SyncState(String),
    #[error("slot-[{0}] doesn't exist")]
    SlotMissing(i64),
    #[error("slot-[{0}] action already exists")]
    SlotBusy(u16),
    #[error("invalid slot-[{slot}] action = {}", state_name(*.state))]
    SlotWithAction { slot: u16, state: ActionState },
    #[error("slot-[{slot}] already in group-[{group}]")]
    SlotInGroup { slot: u16, group: u32 },
    #[error("invalid slot range [{0},{1}]")]
    SlotRange(i64, i64),
    #[error("slot-[{0}] action doesn't exist")]
    ActionMissing(u16),
    #[error("slot-[{0}] action isn't pending")]
    ActionStarted(u16),
    #[error("slot-[{0}] action state is invalid")]
    ActionState(u16),
    #[error(
        "slot-[{0}] came from no group: wait for its action to end, then use slots-assign to take \
         it offline"
    )]
    NoWayBack(u16),
    #[error("not all slots are online")]
    NotAllOnline,
    #[error("server-[{0}] has no maxmemory: set it, or rebalance by slots")]
    NoMaxmemory(String),
    #[error("server-[{0}] isn't polled yet: try again in a few seconds")]
    NotPolled(String),
    #[error("group of slot-[{0}] should be 0")]
    SlotNotOffline(u16),
    #[error("invalid sentinel address")]
    BadSentinelAddress,
    #[error("sentinel-[{0}] already exists")]
    SentinelExists(String),
    #[error("sentinel-[{0}] not found")]
    SentinelMissing(String),
    #[error("proxy-[{0}] already exists")]
    ProxyExists(String),
    #[error("proxy-[{0}] doesn't exist")]
    ProxyMissing(String),
    #[error("no valid group could be found")]
    NoGroup,
}

/// The stored name of a state.
pub(crate) const fn state_name(state: ActionState) -> &'static str {
    match state {
        ActionState::Nothing => "",
        ActionState::Pending => "pending",
        ActionState::Preparing => "preparing",
        ActionState::Prepared => "prepared",
        ActionState::Migrating => "migrating",
        ActionState::Finished => "finished",
        ActionState::Syncing => "syncing",
        ActionState::Synced => "synced",
        ActionState::SyncedFailed => "synced_failed",
    }
}
