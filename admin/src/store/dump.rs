//! `--config-dump`: all records of a product.
//!
//! The members `slots`, `group` and `proxy` are those of the original, which reads over the others.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use codis_core::model::{Group, Proxy, Sentinel, SlotMapping};
use codis_core::{paths, slot};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::records::Records;
use crate::output::Answer;

/// How often records are read until two readings in a row are alike.
const READINGS_MAX: usize = 10;
/// Between two readings that differ.
const PAUSE: Duration = Duration::from_millis(200);
/// The record below `ha/` of an edit that is larger than what a store changes in one step.
pub const EDIT: &str = "edit";

/// A dump.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dump {
    /// All 1024 in a dump of a product; a converted one has those that have a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<SlotMapping>,
    /// Sorted by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<Group>,
    /// Sorted by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proxy: Vec<Proxy>,
    /// The list of sentinels, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
    /// The records below `ha/` by their name, as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ha: BTreeMap<String, Value>,
}

/// Prints the records of a product.
pub async fn run(records: &Records, product: &str) -> anyhow::Result<Answer> {
    paths::check_product_name(product)?;
    let (mut dump, is_steady) = read_steadily(records, product).await?;
    if dump.ha.contains_key(EDIT) {
        bail!(
            "product {product} is in the middle of an edit whose dashboard is gone, or slow: start \
             codis-dashboard, which finishes it, then dump again"
        );
    }
    if dump.group.is_empty() && dump.proxy.is_empty() {
        bail!("cann't find product = {product} [v3]; --dashboard-list shows those that there are");
    }
    if !is_steady {
        eprintln!(
            "codis-admin: records changed while they were read, so that the dump may mix two \
             moments; take it again when nothing migrates"
        );
    }
    dump.slots = filled(dump.slots);
    Answer::json(&dump)
}

/// Reads until two readings in a row are alike and none is in the middle of an edit, but not for
/// ever; and whether that was so.
async fn read_steadily(records: &Records, product: &str) -> anyhow::Result<(Dump, bool)> {
    let mut dump = read(records, product).await?;
    for _ in 1..READINGS_MAX {
        let again = read(records, product).await?;
        let is_steady = again == dump && !again.ha.contains_key(EDIT);
        dump = again;
        if is_steady {
            return Ok((dump, true));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok((dump, false))
}

/// Reads everything once.
async fn read(records: &Records, product: &str) -> anyhow::Result<Dump> {
    let mut dump = Dump {
        slots: values(records.read_dir(&paths::slots(product)).await?),
        group: values(records.read_dir(&paths::groups(product)).await?),
        proxy: values(records.read_dir(&paths::proxies(product)).await?),
        sentinel: records.read(&paths::sentinel(product)).await?,
        ha: ha(records, product).await?,
    };
    dump.group.sort_by_key(|group| group.id);
    dump.proxy.sort_by_key(|proxy| proxy.id);
    Ok(dump)
}

/// The records below `ha/` by name, without the mark of a restore.
pub async fn ha(records: &Records, product: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let found: Vec<(String, Value)> = records.read_dir(&paths::ha_groups(product)).await?;
    let named = found.into_iter().map(|(path, value)| {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        (name, value)
    });
    Ok(named
        .filter(|(name, _)| name != super::restore::MARK)
        .collect())
}

fn values<T>(found: Vec<(String, T)>) -> Vec<T> {
    found.into_iter().map(|(_, record)| record).collect()
}

/// All slots in order; those without a record are offline.
fn filled(found: Vec<SlotMapping>) -> Vec<SlotMapping> {
    let mut found: BTreeMap<u16, SlotMapping> =
        found.into_iter().map(|slot| (slot.id, slot)).collect();
    slot::SlotId::all()
        .map(|id| {
            let absent = SlotMapping {
                id: id.get(),
                ..SlotMapping::default()
            };
            found.remove(&id.get()).unwrap_or(absent)
        })
        .collect()
}
