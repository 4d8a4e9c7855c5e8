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
    /// They do, each after an exchange with the owner that the slot migrates from.
    Moving,
    /// New ones wait; those in flight may end.
    Held,
    /// New ones wait; those in flight are given up by the rules of failover.
    Cut,
}

impl Hold {
    /// Whether new requests wait.
    pub const fn is_held(self) -> bool {
        matches!(self, Hold::Held | Hold::Cut)
    }
}

/// How a request of a migrating slot finds its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The key is moved first, then the request goes to the new owner.
    Sync,
    /// The request runs at the old owner as long as the key is there.
    SemiAsync,
}

/// Where a slot migrates from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The owner so far.
    pub source: BackendId,
    /// How requests find their keys.
    pub method: Method,
}

/// Where the requests of one slot go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// The slot as the admin API shows it.
    pub wire: api::Slot,
    /// The owner; none means offline.
    pub master: Option<BackendId>,
    /// The owner so far, while the slot migrates.
    pub migration: Option<Migration>,
    /// Read candidates by priority.
    pub replicas: Vec<Vec<BackendId>>,
    /// Whether requests flow.
    pub hold: Hold,
}

/// What a request needs of most routes, in four bytes: a request picks its route at random, and
/// all of these stay in the processor's cache, which all of the routes do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Direct(u32);

impl Direct {
    /// The whole route is to be looked at.
    const NONE: Self = Self(u32::MAX);
    /// Reads may go to replicas.
    const REPLICAS: u32 = 1 << 31;

    fn of(route: &Route) -> Self {
        match route.master {
            Some(BackendId(id)) if route.hold == Hold::Open && id < Self::REPLICAS - 1 => {
                let replicas = if route.replicas.is_empty() {
                    0
                } else {
                    Self::REPLICAS
                };
                Self(id | replicas)
            }
            Some(_) | None => Self::NONE,
        }
    }

    const fn has_replicas(self) -> bool {
        self.0 & Self::REPLICAS != 0
    }

    const fn master(self) -> BackendId {
        BackendId(self.0 & !Self::REPLICAS)
    }
}

/// All routes at one version.
#[derive(Clone, Debug)]
pub struct Table {
    /// Grows by one with each change.
    pub version: u64,
    /// By slot.
    pub routes: Box<[Route]>,
    direct: Box<[Direct]>,
    /// Address by [`BackendId`].
    pub addresses: Arc<[Arc<str>]>,
    /// By [`BackendId`]: whether any slot refers to it.
    pub referenced: Box<[bool]>,
    /// By [`BackendId`]: whether it owns slots, or did until they migrated.
    pub masters: Box<[bool]>,
}

impl Table {
    /// The table of these routes.
    pub fn new(
        version: u64,
        routes: Vec<Route>,
        addresses: Arc<[Arc<str>]>,
        referenced: Box<[bool]>,
        masters: Box<[bool]>,
    ) -> Self {
        Self {
            version,
            direct: routes.iter().map(Direct::of).collect(),
            routes: routes.into_boxed_slice(),
            addresses,
            referenced,
            masters,
        }
    }

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
        Self::new(0, routes, Arc::from([]), Box::from([]), Box::from([]))
    }

    /// The route of a slot.
    pub fn route(&self, slot: SlotId) -> &Route {
        &self.routes[slot.index()]
    }

    /// The owner of a slot whose requests just flow there: nothing holds or moves it, and if
    /// `is_read`, no replica would be asked. `None` when [`Table::route`] has to be looked at.
    #[inline]
    pub fn direct(&self, slot: SlotId, is_read: bool) -> Option<BackendId> {
        let found = self.direct[slot.index()];
        let is_direct = found != Direct::NONE && !(is_read && found.has_replicas());
        is_direct.then(|| found.master())
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

    /// Whether a backend owns slots, or did until they migrated.
    pub fn is_master(&self, backend: BackendId) -> bool {
        self.masters.get(backend.index()).copied().unwrap_or(false)
    }

    /// Whether any slot is held.
    pub fn any_held(&self) -> bool {
        self.routes.iter().any(|route| route.hold.is_held())
    }

    /// All slots in the form of the admin API.
    pub fn wire(&self) -> Vec<api::Slot> {
        debug_assert_eq!(self.routes.len(), SLOTS);
        self.routes.iter().map(|route| route.wire.clone()).collect()
    }
}
