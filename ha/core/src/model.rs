//! The stored records of Codis 3.2, member for member.
//!
//! The original drops members that it does not know when it rewrites a record, so nothing of ours
//! is added here; what Codis HA stores beside them is in [`crate::ha`].

use serde::{Deserialize, Serialize};

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `topom`: who serves a product. Also the body of `GET /topom/model`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Topom {
    /// 32 hex characters that identify this dashboard.
    pub token: String,
    /// Free text, never parsed.
    pub start_time: String,
    /// Where the other components dial the dashboard.
    pub admin_addr: String,
    /// The product it serves.
    pub product_name: String,
    /// Operating system process id.
    pub pid: u32,
    /// Working directory.
    pub pwd: String,
    /// `uname -a`.
    pub sys: String,
}

/// `slots/slot-%04d`: which group owns a slot, and the migration under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotMapping {
    /// 0..=1023.
    pub id: u16,
    /// 0 means offline.
    pub group_id: u32,
    /// Empty when nothing is being done.
    pub action: SlotAction,
}

/// The migration of one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotAction {
    /// Order in the queue; 0 when there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub index: u64,
    /// Where the slot is between its two groups.
    #[serde(skip_serializing_if = "is_zero")]
    pub state: ActionState,
    /// The group that takes the slot over.
    #[serde(skip_serializing_if = "is_zero")]
    pub target_id: u32,
}

/// States of slot actions, promotions and server sync actions, as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// Nothing is being done.
    #[default]
    #[serde(rename = "")]
    Nothing,
    /// Queued.
    Pending,
    /// Proxies are about to be told.
    Preparing,
    /// Proxies hold requests.
    Prepared,
    /// Keys are moving.
    Migrating,
    /// Done, to be cleared.
    Finished,
    /// A server is being told whom to follow.
    Syncing,
    /// A server took the order.
    Synced,
    /// A server refused the order.
    SyncedFailed,
}

/// `group/group-%04d`: a master (always element 0) and its replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// 1..=9999.
    pub id: u32,
    /// Element 0 is the master.
    pub servers: Vec<GroupServer>,
    /// A promotion under way.
    pub promoting: Promoting,
    /// The proxies may hold an older form of this group.
    pub out_of_sync: bool,
}

/// One server of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupServer {
    /// `host:port`, compared as text.
    #[serde(rename = "server")]
    pub addr: String,
    /// Free text; replicas of a proxy's own data centre are read first.
    pub datacenter: String,
    /// The order to follow a master.
    pub action: ServerAction,
    /// Whether proxies may read from it.
    pub replica_group: bool,
}

/// The order that a server follow its group's master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerAction {
    /// Order in the queue; 0 when there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub index: u64,
    /// `pending`, `syncing`, `synced`, `synced_failed` or nothing.
    #[serde(skip_serializing_if = "is_zero")]
    pub state: ActionState,
}

/// A promotion under way in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Promoting {
    /// Index of the candidate among the servers.
    #[serde(skip_serializing_if = "is_zero")]
    pub index: usize,
    /// `preparing`, `prepared`, `finished` or nothing.
    #[serde(skip_serializing_if = "is_zero")]
    pub state: ActionState,
}

/// `proxy/proxy-{token}`. Also the body of `GET /proxy/model`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Proxy {
    /// Given by the dashboard; absent while 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub id: u32,
    /// 32 hex characters; the key of the record.
    pub token: String,
    /// Free text, never parsed.
    pub start_time: String,
    /// The admin API.
    pub admin_addr: String,
    /// `tcp4`, `tcp6`, `unix`, ...
    pub proto_type: String,
    /// Where clients connect.
    pub proxy_addr: String,
    /// Absent without jodis.
    #[serde(skip_serializing_if = "is_zero")]
    pub jodis_path: String,
    /// The product it serves.
    pub product_name: String,
    /// Operating system process id.
    pub pid: u32,
    /// Working directory.
    pub pwd: String,
    /// `uname -a`.
    pub sys: String,
    /// Host name.
    pub hostname: String,
    /// Free text.
    pub datacenter: String,
}

/// `/jodis/{product}/proxy-{token}`: a proxy that serves clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Jodis {
    /// Where clients connect.
    pub addr: String,
    /// The admin API.
    pub admin: String,
    /// Free text, never parsed.
    pub start: String,
    /// [`Jodis::ONLINE`].
    pub state: String,
    /// The token of the proxy.
    pub token: String,
}

impl Jodis {
    /// The only state that is ever registered.
    pub const ONLINE: &str = "online";
}

/// `sentinel`: the sentinels of a product. Also the body of `PUT /api/proxy/sentinels`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sentinel {
    /// `host:port` each; absent when empty.
    #[serde(skip_serializing_if = "is_zero")]
    pub servers: Vec<String>,
    /// Sentinels or proxies may hold an older list.
    pub out_of_sync: bool,
}
