//! Clients whose answer waits for something.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use codis_core::resp::Value;
use codis_sentinel_proto::Opinion;
use codis_sentinel_proto::ids::{PersistId, RequestId, SentinelId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::conf::hosts;
use crate::port::{Answer, Call, Request};

/// How long a name lookup for a client may take.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(5);

const NOT_SAVED: &str = "ERR Failed to save config file. Check server logs.";

type Waiter = oneshot::Sender<Answer>;

/// The clients that wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    durable: BTreeMap<PersistId, Vec<(Value, Waiter)>>,
    asked: BTreeMap<RequestId, Waiter>,
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

/// Looks up a name in a request and sends the request again with the address.
pub(super) async fn look_up(
    mut request: Request,
    index: usize,
    host: String,
    calls: mpsc::Sender<Call>,
) {
    let found = timeout(LOOK_UP_TIMEOUT, hosts::look_up(&host)).await;
    let slot = request.args.get_mut(index);
    let (Ok(Some(ip)), Some(slot)) = (found, slot) else {
        let error = Value::error("ERR Can't resolve instance hostname.");
        return give(request.answer, error.into());
    };
    *slot = Bytes::from(ip.to_string());
    // Without the loop there is nobody to answer to.
    let _ = calls.send(Call::Request(request)).await;
}
