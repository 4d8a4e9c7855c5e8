//! The immutable route table.

use std::sync::Arc;

use codis_core::api;
use codis_core::slot::{SLOTS, SlotId};

/// A backend address, by the order in which the proxy first heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u32);

impl BackendId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whether requests of a slot flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Hold {
    /// They do.
    #[default]
    Open,
    /// New ones wait; those in flight may end.
    Held,
    /// New ones wait; those in flight are given up by the rules of failover.
    Cut,
}

/// Where the requests of one slot go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// The slot as the admin API shows it.
    pub wire: api::Slot,
    /// The owner; none means offline.
    pub master: Option<BackendId>,
    /// Read candidates by priority.
    pub replicas: Vec<Vec<BackendId>>,
    /// Whether requests flow.
    pub hold: Hold,
}

/// All routes at one version.
#[derive(Clone, Debug)]
pub struct Table {
    /// Grows by one with each change.
    pub version: u64,
    /// By slot.
    pub routes: Box<[Route]>,
    /// Address by [`BackendId`].
    pub addresses: Arc<[Arc<str>]>,
    /// By [`BackendId`]: whether any slot refers to it.
    pub referenced: Box<[bool]>,
}

impl Table {
    /// The table before the first fill: all slots offline.
    pub fn offline() -> Self {
        let routes = SlotId::all()
            .map(|slot| Route {
                wire: api::Slot {
                    id: slot.get(),
                    ..api::Slot::default()
                },
                ..Route::default()
            })
            .collect();
        Self {
            version: 0,
            routes,
            addresses: Arc::from([]),
            referenced: Box::from([]),
        }
    }

    /// The route of a slot.
    pub fn route(&self, slot: SlotId) -> &Route {
        &self.routes[slot.index()]
    }

    /// The address of a backend.
    pub fn address(&self, backend: BackendId) -> &Arc<str> {
        &self.addresses[backend.index()]
    }

    /// The backend with this address, if a slot refers to it.
    pub fn find(&self, address: &str) -> Option<BackendId> {
        let index = self
            .addresses
            .iter()
            .position(|known| &**known == address)?;
        self.referenced[index].then_some(BackendId(index as u32))
    }

    /// Whether any slot is held.
    pub fn any_held(&self) -> bool {
        self.routes.iter().any(|route| route.hold != Hold::Open)
    }

    /// All slots in the form of the admin API.
    pub fn wire(&self) -> Vec<api::Slot> {
        debug_assert_eq!(self.routes.len(), SLOTS);
        self.routes.iter().map(|route| route.wire.clone()).collect()
    }
}
