//! What an entry of the audit log says. Its JSON form is an interface: see `docs/audit.md`.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When it ended, in UTC.
    pub at: String,
    /// A request, a change of records, or an order to a peer.
    pub kind: Kind,
    /// Who asked.
    #[serde(flatten)]
    pub from: Origin,
    /// The route and its parameters without the secret, or what a part of the dashboard does.
    pub what: String,
    /// Of an order: its words, and who got it.
    #[serde(flatten)]
    pub ordered: Option<Ordered>,
    /// The records that were changed, or would have been.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Changed>,
    /// How long it took.
    pub took_ms: u64,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A request that came over HTTP.
    Call,
    /// A change of records.
    Change,
    /// An order to a server, a sentinel or a proxy.
    Order,
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// The address of the peer, `dashboard` for a part of the dashboard itself, or `sentinel` with
    /// an address for what the sentinels decided.
    #[serde(rename = "from")]
    pub peer: String,
    /// For whom the peer says that it asks.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<String>,
    /// Which program the peer says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl Origin {
    /// A peer that speaks for itself and does not say which program it is.
    pub fn peer(peer: impl Into<String>) -> Self {
        Self {
            peer: peer.into(),
            forwarded: None,
            agent: None,
        }
    }

    /// A part of the dashboard.
    pub fn own() -> Self {
        Self::peer("dashboard")
    }

    /// The sentinel at `source`, or the `majority` of them.
    pub fn sentinels(source: &str) -> Self {
        Self::peer(format!("sentinel {source}"))
    }

    /// Whether nobody from outside asked.
    pub fn is_own(&self) -> bool {
        self.peer == "dashboard"
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer)?;
        match &self.forwarded {
            Some(origin) => write!(f, " for {origin}"),
            None => Ok(()),
        }
    }
}

/// An order to a peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ordered {
    /// The peer's address.
    pub to: String,
    /// The command without its secrets, or the call of a proxy's API.
    pub order: String,
}

/// One record before and after. Neighbouring slots that changed alike are one, without their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// `slot-[7]`, `slot-[0-511]`, `group-[1]`, `proxy-[TOKEN]`, `sentinel`, `ha group-[1]`.
    pub record: String,
    /// The epoch of the group that it belongs to, after the change; 0 where there is none.
    pub epoch: u64,
    /// Null when it did not exist.
    pub before: Value,
    /// Null when it does not exist any more.
    pub after: Value,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "cause", rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Done,
    /// A rule stood against it, and nothing was changed; or the peer answered that it takes no such
    /// order.
    Refused(String),
    /// It was begun and not finished; or the peer gave no answer, and may have taken the order.
    Failed(String),
}

impl Outcome {
    /// Its name in the JSON form.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}
