//! Everything that a proxy must know to serve: for the cache file, and for a successor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use codis_core::api::Slot;
use codis_core::epoch::Epoch;
use codis_core::slot::SlotId;
use serde::{Deserialize, Serialize};

use super::turns::Turn;
use super::{APPLY_MAX, Control, Error};
use crate::data::worker::Port;
use crate::route::{Book, Pair};

/// Routes, epochs, and whom to ask for newer ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The product that they belong to.
    pub product: String,
    /// Whether clients were served by them.
    pub online: bool,
    /// The sentinels of the product.
    pub sentinels: Vec<String>,
    /// The pair held for each group.
    pub groups: BTreeMap<u32, Master>,
    /// All slots.
    pub slots: Vec<Slot>,
}

/// The master of a group and its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// The config epoch.
    pub epoch: u64,
    /// `host:port`.
    pub addr: String,
}

impl Snapshot {
    /// Whether any slot has an owner.
    pub fn has_routes(&self) -> bool {
        self.slots.iter().any(|slot| !slot.backend_addr.is_empty())
    }

    /// The groups that own slots, or did until the slots migrate.
    pub fn owners(&self) -> BTreeSet<u32> {
        let owned = self.slots.iter().filter(|s| !s.backend_addr.is_empty());
        let from = self.slots.iter().filter(|s| !s.migrate_from.is_empty());
        owned
            .map(|slot| slot.backend_addr_group_id)
            .chain(from.map(|slot| slot.migrate_from_group_id))
            .collect()
    }
}

impl Control {
    /// Keeps fills from beginning, and waits for those that have.
    pub(crate) async fn turn_for_all(&self) -> Result<Turn<'_>, Error> {
        let all = SlotId::all().map(SlotId::get).collect();
        self.turns.take(all).await.ok_or(Error::Crowded)
    }

    /// What this proxy knows now.
    pub fn snapshot(&self) -> Snapshot {
        let sentinels = self.watching().servers().to_vec();
        let book = self.book();
        let master = |(group, pair): (&u32, &Pair)| {
            let (epoch, addr) = (pair.epoch.0, pair.master.clone());
            (*group, Master { epoch, addr })
        };
        Snapshot {
            product: self.settings().product_name.clone(),
            online: self.is_online(),
            sentinels,
            groups: book.groups().iter().map(master).collect(),
            slots: self.shared.table.load().wire(),
        }
    }

    /// Never goes below the epochs of a snapshot from now on.
    pub fn remember(&self, snapshot: &Snapshot) {
        let mut book = self.book();
        for (group, master) in &snapshot.groups {
            let pair = Pair {
                epoch: Epoch(master.epoch),
                master: master.addr.clone(),
            };
            book.adopt(*group, pair);
        }
    }

    /// Routes as a snapshot says, with what is known of newer masters, unless somebody has filled
    /// slots already. Gives whether it did.
    ///
    /// # Errors
    /// A slot of the snapshot cannot be applied, or the workers stand still.
    pub async fn restore(self: &Arc<Self>, snapshot: &Snapshot) -> Result<bool, Error> {
        self.check_open()?;
        Book::check(&snapshot.slots)?;
        self.remember(snapshot);
        let _turn = self.turn_for_all().await?;
        let version = {
            if self.is_filled() {
                return Ok(false);
            }
            let mut book = self.book();
            book.fill(&snapshot.slots);
            self.publish(&mut book)
        };
        let is_applied = |port: &Port| {
            let applied = &port.applied;
            applied.load(std::sync::atomic::Ordering::Acquire) >= version
        };
        if self.wait(is_applied, APPLY_MAX).await {
            Ok(true)
        } else {
            Err(Error::Workers(APPLY_MAX))
        }
    }
}
