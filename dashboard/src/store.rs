//! The records of one product in the coordinator, typed.
//!
//! A leader writes behind a fence: each commit requires that the record of the leader is still its
//! own. Edits of any size happen whole or not at all: one that is larger than a commit is stored as
//! a record of its own first, and carried out by whoever reads the records next, if its author does
//! not get that far (`batch`).

mod batch;
mod products;

use codis_core::ha::GroupTopology;
use codis_core::json;
use codis_core::paths;
use codis_runtime::coordinator::{self, Guard};
use codis_topom::{Change, Records};
use serde::de::DeserializeOwned;

use batch::Batch;

/// Reads and writes the records of a product.
#[derive(Clone, Debug)]
pub struct Store {
    coordinator: coordinator::Shared,
    product: String,
    fence: Option<Fence>,
}

/// What must hold for a write to count.
#[derive(Clone, Debug)]
pub struct Fence {
    /// The record of the leader.
    pub path: String,
    /// What it holds as long as this dashboard leads.
    pub value: Vec<u8>,
}

/// Why a record was not read or written. The text is the one that clients of Codis know; the cause
/// is for the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: String,
    /// What the store or the decoder said.
    pub cause: String,
    fenced: bool,
}

impl Error {
    /// Whether the write was refused because another dashboard leads.
    pub const fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// The same with the text for `change`, whose record was not `known` before.
    #[must_use]
    pub fn about(self, change: &Change, known: bool) -> Self {
        let text = failed(change, known);
        Self { text, ..self }
    }
}

impl Store {
    /// The records of `product`, to be read, and written behind a fence by a leader.
    pub fn new(coordinator: coordinator::Shared, product: &str, fence: Option<Fence>) -> Self {
        Self {
            coordinator,
            product: product.to_owned(),
            fence,
        }
    }

    /// Reads everything. A leader first finishes what another one left half done.
    ///
    /// # Errors
    /// A record cannot be read or decoded, or a leader is none any more.
    pub async fn load(&self) -> Result<Records, Error> {
        if self.fence.is_some() {
            self.refuse_what_is_half_restored().await?;
            self.check_fence().await?;
            self.finish_edit().await?;
        }
        let product = &self.product;
        let any = |_: &str| true;
        let ha = paths::ha_groups(product);
        Ok(Records {
            slots: self.read_all(&paths::slots(product), "slots", any).await?,
            groups: self.read_all(&paths::groups(product), "group", any).await?,
            proxies: self
                .read_all(&paths::proxies(product), "proxy", any)
                .await?,
            sentinel: self
                .read(&paths::sentinel(product), "sentinel")
                .await?
                .unwrap_or_default(),
            leaving: self
                .read(&paths::ha_sentinel_leaving(product), "ha sentinel-leaving")
                .await?
                .unwrap_or_default(),
            leaving_proxies: self
                .read(&paths::ha_proxy_leaving(product), "ha proxy-leaving")
                .await?
                .unwrap_or_default(),
            topologies: self
                .read_all::<GroupTopology>(&ha, "ha", paths::is_ha_group)
                .await?,
            slot_actions: self
                .read(&paths::ha_slot_action(product), "ha slot-action")
                .await?
                .unwrap_or_default(),
        })
    }

    /// Stores changes: all of them, or none. [`Change::Lock`] and [`Change::Hold`] are not records.
    ///
    /// # Errors
    /// The store refused. Then a large edit may still happen, with the next [`Store::load`].
    pub async fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        let mut batch = Batch::default();
        for change in changes {
            if let Some(path) = self.path(change) {
                batch.put(path, value(change));
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let text = changes
            .first()
            .map_or_else(String::new, |first| failed(first, true));
        let outcome = batch
            .store(
                &self.coordinator,
                &paths::ha_edit(&self.product),
                &self.guards(),
            )
            .await;
        outcome.map_err(|cause| self.failure(text, &cause))
    }

    /// Nobody leads on half of a dump: slots may name groups that are still to come.
    async fn refuse_what_is_half_restored(&self) -> Result<(), Error> {
        let path = paths::ha_restore(&self.product);
        match self.read_bytes(&path, "restore").await? {
            None => Ok(()),
            Some(_) => Err(load_failed(
                "restore",
                format!(
                    "{path}: a restore is under way, or was cut; `codis-admin --config-restore` \
                     with the same file and --confirm finishes it"
                ),
            )),
        }
    }

    /// Nobody begins to lead under a term that another record has replaced: a restore writes one of
    /// its own. Nothing would tell until the first write is refused.
    async fn check_fence(&self) -> Result<(), Error> {
        let Some(Fence { path, value }) = &self.fence else {
            return Ok(());
        };
        if self.read_bytes(path, "leader").await?.as_ref() == Some(value) {
            return Ok(());
        }
        let cause = format!("{path}: it was replaced since this dashboard wrote it");
        Err(Error {
            fenced: true,
            ..load_failed("leader", cause)
        })
    }

    /// Carries out an edit that was stored and not finished.
    async fn finish_edit(&self) -> Result<(), Error> {
        let path = paths::ha_edit(&self.product);
        let Some(text) = self.read_bytes(&path, "edit").await? else {
            return Ok(());
        };
        let batch = Batch::decode(&text)
            .map_err(|cause| load_failed("edit", format!("{path}: {cause}")))?;
        tracing::warn!(path, records = batch.len(), "an edit is finished");
        let done = batch
            .carry_out(&self.coordinator, &path, &self.guards())
            .await;
        done.map_err(|cause| self.failure("store: finish edit failed".to_owned(), &cause))
    }

    fn guards(&self) -> Vec<Guard<'_>> {
        let fences = self.fence.iter();
        fences
            .map(|Fence { path, value }| Guard { path, value })
            .collect()
    }

    fn failure(&self, text: String, cause: &coordinator::Error) -> Error {
        let fenced = match (&self.fence, cause) {
            (Some(fence), coordinator::Error::Changed { path }) => *path == fence.path,
            _ => false,
        };
        Error {
            text,
            cause: cause.to_string(),
            fenced,
        }
    }

    fn path(&self, change: &Change) -> Option<String> {
        let product = &self.product;
        Some(match change {
            Change::PutSlot(slot) => paths::slot(product, slot.id),
            Change::PutGroup(group) => paths::group(product, group.id),
            Change::DeleteGroup(id) => paths::group(product, *id),
            Change::PutProxy(proxy) => paths::proxy(product, &proxy.token),
            Change::DeleteProxy(token) => paths::proxy(product, token),
            Change::PutSentinel(_) => paths::sentinel(product),
            Change::PutLeaving(_) => paths::ha_sentinel_leaving(product),
            Change::PutLeavingProxies(_) => paths::ha_proxy_leaving(product),
            Change::PutTopology(topology) => paths::ha_group(product, topology.group_id),
            Change::PutSlotActions(_) => paths::ha_slot_action(product),
            Change::Lock { .. } | Change::Hold { .. } => return None,
        })
    }

    async fn read_all<T: DeserializeOwned>(
        &self,
        dir: &str,
        kind: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<T>, Error> {
        let children = self.coordinator.read_dir(dir).await;
        let children = children.map_err(|cause| load_failed(kind, cause))?;
        children
            .iter()
            .filter(|(path, _)| wanted(path))
            .map(|(path, text)| decode(path, kind, text))
            .collect()
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, kind: &str) -> Result<Option<T>, Error> {
        let text = self.read_bytes(path, kind).await?;
        text.map(|text| decode(path, kind, &text)).transpose()
    }

    async fn read_bytes(&self, path: &str, kind: &str) -> Result<Option<Vec<u8>>, Error> {
        let value = self.coordinator.read(path).await;
        value.map_err(|cause| load_failed(kind, cause))
    }
}

fn decode<T: DeserializeOwned>(path: &str, kind: &str, text: &[u8]) -> Result<T, Error> {
    json::decode(text).map_err(|cause| load_failed(kind, format!("{path}: {cause}")))
}

/// A reading of records that failed.
pub fn load_failed(kind: &str, cause: impl ToString) -> Error {
    Error {
        text: format!("store: load {kind} failed"),
        cause: cause.to_string(),
        fenced: false,
    }
}

/// A commit that the store did not answer in time.
pub fn timed_out() -> Error {
    Error {
        text: "store: commit failed".to_owned(),
        cause: "no answer in time".to_owned(),
        fenced: false,
    }
}

/// The record of a change in its stored form.
pub fn value(change: &Change) -> Option<Vec<u8>> {
    match change {
        Change::PutSlot(slot) => Some(json::encode(slot)),
        Change::PutGroup(group) => Some(json::encode(group)),
        Change::PutProxy(proxy) => Some(json::encode(proxy)),
        Change::PutSentinel(sentinel) => Some(json::encode(sentinel)),
        Change::PutLeaving(leaving) => Some(json::encode(leaving)),
        Change::PutLeavingProxies(leaving) => Some(json::encode(leaving)),
        Change::PutTopology(topology) => Some(json::encode(topology)),
        Change::PutSlotActions(actions) => Some(json::encode(actions)),
        Change::DeleteGroup(_)
        | Change::DeleteProxy(_)
        | Change::Lock { .. }
        | Change::Hold { .. } => None,
    }
}

/// The text of a failed write; a record that is not `known` was to be created.
fn failed(change: &Change, known: bool) -> String {
    let put = if known { "update" } else { "create" };
    match change {
        Change::PutSlot(slot) => format!("store: update slot-[{}] failed", slot.id),
        Change::PutGroup(group) => format!("store: {put} group-[{}] failed", group.id),
        Change::DeleteGroup(id) => format!("store: remove group-[{id}] failed"),
        Change::PutProxy(proxy) => format!("store: {put} proxy-[{}] failed", proxy.token),
        Change::DeleteProxy(token) => format!("store: remove proxy-[{token}] failed"),
        Change::PutSentinel(_) => "store: update sentinel failed".to_owned(),
        Change::PutLeaving(_) => "store: update ha sentinel-leaving failed".to_owned(),
        Change::PutLeavingProxies(_) => "store: update ha proxy-leaving failed".to_owned(),
        Change::PutTopology(topology) => {
            format!("store: update ha group-[{}] failed", topology.group_id)
        }
        Change::PutSlotActions(_) => "store: update ha slot-action failed".to_owned(),
        Change::Hold { slot, .. } => format!("store: hold slot-[{slot}] failed"),
        Change::Lock { group, .. } => format!("store: lock group-[{group}] failed"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use codis_runtime::coordinator::{Coordinator as _, Memory};

    use super::*;

    /// A standby may read what is there; a leader waits until the restore is finished.
    #[tokio::test]
    async fn nobody_leads_on_half_of_a_dump() {
        let memory = Arc::new(Memory::default());
        let fence = Fence {
            path: paths::ha_leader("demo"),
            value: b"me".to_vec(),
        };
        memory.create(&fence.path, &fence.value).await.unwrap();
        let leader = Store::new(memory.clone(), "demo", Some(fence));
        leader.load().await.unwrap();
        let mark = paths::ha_restore("demo");
        memory.create(&mark, b"{}").await.unwrap();
        let refused = leader.load().await.unwrap_err();
        assert_eq!(refused.to_string(), "store: load restore failed");
        assert!(
            refused.cause.contains("codis-admin --config-restore"),
            "{}",
            refused.cause
        );
        Store::new(memory.clone(), "demo", None)
            .load()
            .await
            .unwrap();
        memory.delete(&mark).await.unwrap();
        leader.load().await.unwrap();
        // The restore has put a term of its own.
        memory
            .update(&paths::ha_leader("demo"), b"other")
            .await
            .unwrap();
        assert!(leader.load().await.unwrap_err().is_fenced());
    }
}
