//! What an entry of the audit log says. Its JSON form is an interface: see `docs/audit.md`.

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The address of the peer, or `dashboard` for a part of the dashboard itself.
    #[serde(rename = "from")]
    pub peer: String,
    /// For whom the peer says that it asks.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<String>,
}

impl Origin {
    /// The origin in the words of [`crate::state::Audit::who`].
    pub fn of(who: &str) -> Self {
        let (peer, forwarded) = match who.split_once(" for ") {
            Some((peer, origin)) => (peer, Some(origin.to_owned())),
            None => (who, None),
        };
        Self {
            peer: peer.to_owned(),
            forwarded,
        }
    }
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
    /// A rule stood against it, and nothing was changed.
    Refused(String),
    /// It was begun and not finished.
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
