//! Clients whose answer waits for something.

use std::collections::BTreeMap;

use codis_core::resp::Value;
use codis_sentinel_proto::Opinion;
use codis_sentinel_proto::ids::{PersistId, RequestId, SentinelId};
use tokio::sync::oneshot;

use crate::port::{Answer, Request};

const NOT_SAVED: &str = "ERR Failed to save config file. Check server logs.";

type Waiter = oneshot::Sender<Answer>;

/// The clients that wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    durable: BTreeMap<PersistId, Vec<(Value, Waiter)>>,
    asked: BTreeMap<RequestId, Waiter>,
    /// Requests with a name in them that is being looked up, by that name in lower case.
    named: BTreeMap<String, Vec<Request>>,
    last_request: u64,
    /// The last snapshot that is on disk.
    saved: PersistId,
    /// The last snapshot that was written or failed to be.
    tried: PersistId,
}

/// Gives an answer. A client that went away needs none.
pub(super) fn give(waiter: Waiter, answer: Answer) {
    let _ = waiter.send(answer);
}

impl Waits {
    /// Answers as soon as a snapshot is on disk, or with an error when it cannot be put there.
    pub(super) fn until_persisted(&mut self, id: PersistId, value: Value, waiter: Waiter) {
        if id <= self.saved {
            give(waiter, value.into());
        } else if id <= self.tried {
            give(waiter, Value::error(NOT_SAVED).into());
        } else {
            self.durable.entry(id).or_default().push((value, waiter));
        }
    }

    /// A snapshot is on disk, and with it all earlier ones; or it is not, and neither are they.
    pub(super) fn persisted(&mut self, id: PersistId, ok: bool) {
        self.tried = self.tried.max(id);
        if ok {
            self.saved = self.saved.max(id);
        }
        let later = self.durable.split_off(&PersistId(id.0 + 1));
        let reached = std::mem::replace(&mut self.durable, later);
        for (value, waiter) in reached.into_values().flatten() {
            let value = if ok { value } else { Value::error(NOT_SAVED) };
            give(waiter, value.into());
        }
    }

    /// Whether a snapshot was written or failed to be.
    pub(super) fn is_settled(&self, id: PersistId) -> bool {
        id <= self.tried
    }

    /// Keeps a request until a name is looked up.
    pub(super) fn until_resolved(&mut self, host: &str, request: Request) {
        let waiting = self.named.entry(host.to_ascii_lowercase()).or_default();
        waiting.push(request);
    }

    /// The requests that waited for a name.
    pub(super) fn resolved(&mut self, host: &str) -> Vec<Request> {
        let waiting = self.named.remove(&host.to_ascii_lowercase());
        waiting.unwrap_or_default()
    }

    /// Keeps a peer's question until the machine has answered it.
    pub(super) fn until_answered(&mut self, waiter: Waiter) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.asked.insert(id, waiter);
        id
    }

    /// The machine's answer to a peer.
    pub(super) fn answered(&mut self, id: RequestId, opinion: Option<Opinion>) {
        let Some(waiter) = self.asked.remove(&id) else {
            return;
        };
        let value = opinion.map_or_else(
            || Value::error(NOT_SAVED),
            |opinion| {
                let leader = opinion.leader.as_ref().map_or("*", SentinelId::as_str);
                let epoch = i64::try_from(opinion.leader_epoch.0).unwrap_or(i64::MAX);
                Value::array([
                    Value::Integer(i64::from(opinion.down)),
                    Value::bulk(leader.to_owned().into_bytes()),
                    Value::Integer(epoch),
                ])
            },
        );
        give(waiter, value.into());
    }
}
