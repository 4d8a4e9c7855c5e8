//! The records of one product in the coordinator, typed.

mod products;

use codis_core::ha::GroupTopology;
use codis_core::json;
use codis_core::paths;
use codis_runtime::coordinator;
use codis_topom::{Change, Records};
use serde::de::DeserializeOwned;

/// Reads and writes the records of a product.
#[derive(Clone, Debug)]
pub struct Store {
    coordinator: coordinator::Shared,
    product: String,
}

/// Why a record was not read or written. The text is the one that clients of Codis know; the cause
/// is for the log.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: String,
    /// What the store or the decoder said.
    pub cause: String,
}

impl Store {
    /// The records of `product`.
    pub fn new(coordinator: coordinator::Shared, product: &str) -> Self {
        Self {
            coordinator,
            product: product.to_owned(),
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// A record cannot be read or decoded.
    pub async fn load(&self) -> Result<Records, Error> {
        let product = &self.product;
        Ok(Records {
            slots: self.read_all(&paths::slots(product), "slots").await?,
            groups: self.read_all(&paths::groups(product), "group").await?,
            proxies: self.read_all(&paths::proxies(product), "proxy").await?,
            sentinel: self
                .read(&paths::sentinel(product), "sentinel")
                .await?
                .unwrap_or_default(),
            topologies: self.topologies().await?,
            slot_actions: self
                .read(&paths::ha_slot_action(product), "ha slot-action")
                .await?
                .unwrap_or_default(),
        })
    }

    /// The adopted topologies; other records stand beside them.
    async fn topologies(&self) -> Result<Vec<GroupTopology>, Error> {
        let dir = paths::ha_groups(&self.product);
        let children = self.coordinator.list(&dir).await;
        let mut topologies = Vec::new();
        for path in children.map_err(|cause| load_failed("ha", cause))? {
            if path
                .rsplit('/')
                .next()
                .is_some_and(|name| name.starts_with("group-"))
            {
                topologies.extend(self.read(&path, "ha").await?);
            }
        }
        Ok(topologies)
    }

    /// Stores one change; `Change::Lock` and `Change::Hold` are not records.
    ///
    /// # Errors
    /// The store refused.
    pub async fn write(&self, change: &Change, known: bool) -> Result<(), Error> {
        let Some(path) = self.path(change) else {
            return Ok(());
        };
        let outcome = match value(change) {
            Some(value) => self.coordinator.update(&path, &value).await,
            None => self.coordinator.delete(&path).await,
        };
        outcome.map_err(|cause| Error {
            text: failed(change, known),
            cause: cause.to_string(),
        })
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
            Change::PutTopology(topology) => paths::ha_group(product, topology.group_id),
            Change::PutSlotActions(_) => paths::ha_slot_action(product),
            Change::Lock { .. } | Change::Hold { .. } => return None,
        })
    }

    async fn read_all<T: DeserializeOwned>(&self, dir: &str, kind: &str) -> Result<Vec<T>, Error> {
        let children = self.coordinator.list(dir).await;
        let children = children.map_err(|cause| load_failed(kind, cause))?;
        let mut records = Vec::with_capacity(children.len());
        for path in children {
            records.extend(self.read(&path, kind).await?);
        }
        Ok(records)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, kind: &str) -> Result<Option<T>, Error> {
        let value = self
            .coordinator
            .read(path)
            .await
            .map_err(|cause| load_failed(kind, cause))?;
        let decode = |text: Vec<u8>| {
            json::decode(&text).map_err(|cause| load_failed(kind, format!("{path}: {cause}")))
        };
        value.map(decode).transpose()
    }
}

/// A reading of records that failed.
pub fn load_failed(kind: &str, cause: impl ToString) -> Error {
    Error {
        text: format!("store: load {kind} failed"),
        cause: cause.to_string(),
    }
}

/// A write that the store did not answer in time.
pub fn timed_out(change: &Change, known: bool) -> Error {
    Error {
        text: failed(change, known),
        cause: "no answer in time".to_owned(),
    }
}

/// The record of a change in its stored form.
pub fn value(change: &Change) -> Option<Vec<u8>> {
    match change {
        Change::PutSlot(slot) => Some(json::encode(slot)),
        Change::PutGroup(group) => Some(json::encode(group)),
        Change::PutProxy(proxy) => Some(json::encode(proxy)),
        Change::PutSentinel(sentinel) => Some(json::encode(sentinel)),
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
        Change::PutTopology(topology) => {
            format!("store: update ha group-[{}] failed", topology.group_id)
        }
        Change::PutSlotActions(_) => "store: update ha slot-action failed".to_owned(),
        Change::Hold { slot, .. } => format!("store: hold slot-[{slot}] failed"),
        Change::Lock { group, .. } => format!("store: lock group-[{group}] failed"),
    }
}
