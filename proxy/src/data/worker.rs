//! One thread of the data path: what its sessions and connections share.
//!
//! Nothing in here is locked, because nothing leaves the thread. From the rest of the process come
//! the route table and the wish to stop, over [`Shared`]; to it go counters, the version of the
//! table that this worker routes by, and the held slots that still have something in flight here.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use arc_swap::ArcSwap;
use codis_core::command::Access;
use codis_core::slot::SlotId;
use tokio::runtime::RuntimeMetrics;
use tokio::sync::{Notify, watch};

use slotmap::SlotMap;

use super::conn::{self, Conn};
use super::counters::Counters;
use super::drained::Drained;
use super::drive::Peer;
use super::fence::{self, Fence};
use super::figures::{Info, LinkFigures};
use super::lane::Lane;
use super::listen;
use super::marks::Marks;
use super::migrate::lines::Lines;
use super::parking::Parking;
use super::poller::{Place, Poller};
use super::refused::Waiting;
use super::session::Session;
use super::slow::SlowLog;
use super::socket::Listener;
use super::spare::Spare;
use crate::route::{BackendId, Hold, Route, SlotSet, Table};
use crate::settings::Settings;

/// What the control side and the workers share.
#[derive(Debug)]
pub struct Shared {
    /// Settings of the process.
    pub settings: Arc<Settings>,
    /// The routes in force.
    pub table: ArcSwap<Table>,
    /// Whether clients are served.
    pub online: AtomicBool,
    /// Whether clients are taken in. Those in the queue of a socket that was open before this
    /// process began wait until they can be served.
    pub accepting: watch::Sender<bool>,
    /// Whether the process ends.
    pub stopping: AtomicBool,
    /// Whether another process listens on the same sockets.
    pub handed_over: AtomicBool,
    /// Open sessions.
    pub alive: AtomicUsize,
    /// A server was met that knows RESP3.
    pub(super) knows_resp3: AtomicBool,
    /// A server was met that does not know RESP3.
    lacks_resp3: AtomicBool,
    /// Bytes that sessions keep, in steps of 64 KiB.
    pub buffered: AtomicUsize,
    /// What holds workers that stood still.
    pub fence: Arc<Fence>,
    /// Wakes the control side when a worker has applied or drained a table, or closed a session.
    pub acknowledged: Notify,
    /// One for each worker.
    pub ports: Box<[Arc<Port>]>,
    /// The text of `INFO proxy`.
    pub info: Info,
}

/// Where the control side meets one worker.
#[derive(Debug)]
pub struct Port {
    /// Whether there is such a worker; more may be started later.
    pub started: AtomicBool,
    /// The worker looks at [`Shared`] again.
    pub wake: Notify,
    /// The version of the table that it routes by.
    pub applied: AtomicU64,
    /// Which slots that are held have something in flight.
    pub drained: Drained,
    /// What it counts.
    pub counters: Counters,
    /// Its slow requests.
    pub slow: SlowLog,
    /// Figures of its runtime, once it runs.
    pub runtime: OnceLock<RuntimeMetrics>,
    links: Mutex<Vec<Weak<LinkFigures>>>,
}

impl Port {
    fn new(slow: SlowLog) -> Self {
        Self {
            started: AtomicBool::new(false),
            wake: Notify::default(),
            applied: AtomicU64::default(),
            drained: Drained::default(),
            counters: Counters::default(),
            slow,
            runtime: OnceLock::new(),
            links: Mutex::default(),
        }
    }

    /// What its connections show of themselves.
    pub fn links(&self) -> Vec<Arc<LinkFigures>> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().filter_map(Weak::upgrade).collect()
    }

    fn add_link(&self, figures: &Arc<LinkFigures>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(figures));
    }
}

impl Shared {
    /// State for up to `workers` threads, offline.
    pub fn new(settings: Arc<Settings>, workers: usize) -> Self {
        let ids = Arc::new(AtomicU64::new(0));
        let slow = || SlowLog::new(ids.clone(), settings.slowlog_max_len);
        let ports = (0..workers.max(1)).map(|_| Arc::new(Port::new(slow())));
        let ports = ports.collect();
        Self {
            settings,
            table: ArcSwap::from_pointee(Table::offline()),
            online: AtomicBool::new(false),
            accepting: watch::Sender::new(true),
            stopping: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            alive: AtomicUsize::new(0),
            knows_resp3: AtomicBool::new(false),
            lacks_resp3: AtomicBool::new(false),
            buffered: AtomicUsize::new(0),
            fence: Arc::default(),
            acknowledged: Notify::new(),
            ports,
            info: Info::default(),
        }
    }

    /// Whether a server was met that does not know RESP3.
    pub fn lacks_resp3(&self) -> bool {
        self.lacks_resp3.load(Ordering::Relaxed)
    }

    /// A server does not know RESP3. Gives whether that is news.
    pub fn decline_resp3(&self) -> bool {
        !self.lacks_resp3.swap(true, Ordering::Relaxed)
    }

    /// The slow requests of every worker.
    pub fn slow(&self) -> impl Iterator<Item = &SlowLog> {
        self.ports.iter().map(|port| &port.slow)
    }

    /// The workers that there are.
    pub fn started(&self) -> impl Iterator<Item = &Port> {
        let is_started = |port: &&Port| port.started.load(Ordering::Acquire);
        self.ports.iter().map(|port| &**port).filter(is_started)
    }

    /// Makes every worker look.
    pub fn wake_workers(&self) {
        for port in &self.ports {
            port.wake.notify_one();
        }
    }
}

/// Clock and counters of one worker: all that a session needs of it.
#[derive(Debug)]
pub struct Local {
    /// Settings of the process.
    pub settings: Arc<Settings>,
    /// Who wants a turn.
    pub marks: Marks,
    /// Nothing was under way at the last look at deadlines.
    pub(super) dozing: Cell<bool>,
    pub(super) stirred: Notify,
    /// Buffers that nobody uses now.
    pub spare: Spare,
    /// What holds this worker after it stood still.
    pub(super) held: fence::Held,
    fence: Arc<Fence>,
    port: Arc<Port>,
    origin: Instant,
    now: Cell<u64>,
    slow_after: u64,
}

impl Local {
    /// Something is under way: deadlines are looked at often again.
    pub fn stir(&self) {
        if self.dozing.replace(false) {
            self.stirred.notify_one();
        }
    }

    /// Reads the clock; once for each wake-up of a task.
    pub fn tick(&self) {
        let now = self.origin.elapsed().as_micros() as u64;
        let before = self.now.replace(now);
        let gap = now.saturating_sub(before);
        if gap > fence::STALL_MIN.as_micros() as u64 && before > 0 {
            let hold = self.settings.ha_hold.duration();
            self.held.raise(&self.fence, gap, now, hold);
        }
    }

    /// Microseconds since the worker started, as of the last [`Local::tick`].
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// What the worker counts.
    pub fn counters(&self) -> &Counters {
        &self.port.counters
    }

    /// Whether a request that took so many microseconds belongs into the slow log.
    pub fn is_slow(&self, micros: u64) -> bool {
        micros >= self.slow_after
    }

    /// The slow requests of the worker.
    pub fn slow(&self) -> &SlowLog {
        &self.port.slow
    }
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a backend.
    To(BackendId),
    /// Nowhere yet: its slot is held.
    Park,
    /// To a line of its slot, which migrates.
    Migrate(SlotId),
    /// Nowhere: its slot has no backend.
    Offline,
}

impl Target {
    /// Where a request goes whose slot is held or migrates.
    fn beside(slot: SlotId, route: &Route) -> Self {
        match (route.hold, route.master) {
            (Hold::Held | Hold::Cut, _) => Target::Park,
            (Hold::Open | Hold::Moving, None) => Target::Offline,
            (Hold::Open | Hold::Moving, Some(_)) => Target::Migrate(slot),
        }
    }
}

/// Connections to one backend, by [`Worker::place`].
type Lanes = Vec<Option<Rc<Conn>>>;

/// One worker.
#[derive(Debug)]
pub struct Worker {
    /// Clock and counters.
    pub local: Rc<Local>,
    /// What it shares with the process.
    pub shared: Arc<Shared>,
    pub(super) poller: Poller,
    pub(super) peers: RefCell<SlotMap<Place, Option<Peer>>>,
    /// Open sessions by id.
    pub sessions: RefCell<HashMap<u64, Rc<Session>>>,
    pub(super) table: RefCell<Arc<Table>>,
    pub(super) backends: RefCell<Vec<Lanes>>,
    pub(super) parked: RefCell<Parking>,
    pub(super) lines: RefCell<Lines>,
    pub(super) refused: RefCell<Waiting>,
    pub(super) draining: Cell<Option<u64>>,
    /// No more clients are taken in.
    pub(super) closing_door: watch::Sender<bool>,
    /// The sessions that spoke RESP3 were ended.
    pub(super) resp3_ended: Cell<bool>,
    /// Refused clients that are about to be closed.
    pub(super) leaving: Cell<usize>,
    tickets: Cell<u64>,
    sessions_next: Cell<u64>,
}

impl Worker {
    /// Worker number `index`.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new(shared: Arc<Shared>, index: usize) -> io::Result<Rc<Self>> {
        let local = Local {
            settings: shared.settings.clone(),
            marks: Marks::default(),
            dozing: Cell::new(false),
            stirred: Notify::new(),
            spare: Spare::default(),
            held: fence::Held::default(),
            fence: shared.fence.clone(),
            port: shared.ports[index].clone(),
            origin: Instant::now(),
            now: Cell::new(0),
            slow_after: shared.settings.slow_after(),
        };
        let table = shared.table.load_full();
        // It has nothing in flight for whatever that table holds.
        let nothing = SlotSet::default();
        local.port.drained.tell(table.version, &nothing);
        local.port.applied.store(table.version, Ordering::Release);
        shared.acknowledged.notify_waiters();
        Ok(Rc::new(Self {
            local: Rc::new(local),
            table: RefCell::new(table),
            shared,
            poller: Poller::new()?,
            peers: RefCell::default(),
            sessions: RefCell::default(),
            backends: RefCell::default(),
            parked: RefCell::default(),
            lines: RefCell::default(),
            refused: RefCell::default(),
            draining: Cell::new(None),
            closing_door: watch::Sender::new(false),
            resp3_ended: Cell::new(false),
            leaving: Cell::new(0),
            tickets: Cell::new(0),
            sessions_next: Cell::new((index as u64) << 48),
        }))
    }

    /// Settings of the process.
    pub fn settings(&self) -> &Settings {
        &self.local.settings
    }

    /// Whether the process ends.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }

    /// A number for a session.
    pub fn next_session(&self) -> u64 {
        self.sessions_next.set(self.sessions_next.get() + 1);
        self.sessions_next.get()
    }

    /// A number for a request.
    pub fn next_ticket(&self) -> u64 {
        self.tickets.set(self.tickets.get() + 1);
        self.tickets.get()
    }

    pub(super) fn port(&self) -> &Port {
        &self.local.port
    }

    pub(super) fn hold(&self) -> u64 {
        self.settings().ha_hold.duration().as_micros() as u64
    }

    /// Where a request for `slot` goes.
    #[inline]
    pub fn target(self: &Rc<Self>, slot: SlotId, access: Access, db: u16, lane: Lane) -> Target {
        let direct = self.table.borrow().direct(slot, access == Access::Read);
        match direct {
            Some(master) => Target::To(master),
            None => self.target_by_route(slot, access, db, lane),
        }
    }

    /// Where a request goes whose slot is held, migrates, is offline or is read from replicas.
    #[inline(never)]
    fn target_by_route(
        self: &Rc<Self>,
        slot: SlotId,
        access: Access,
        db: u16,
        lane: Lane,
    ) -> Target {
        let table = self.table.borrow();
        let route = table.route(slot);
        if route.hold != Hold::Open {
            return Target::beside(slot, route);
        }
        let Some(master) = route.master else {
            return Target::Offline;
        };
        if access != Access::Read {
            return Target::To(master);
        }
        let seed = self.tickets.get() as usize;
        for group in &route.replicas {
            for step in 0..group.len() {
                let replica = group[(seed + step) % group.len()];
                if self.is_readable(replica, db, lane) {
                    return Target::To(replica);
                }
            }
        }
        Target::To(master)
    }

    /// Whether a replica may be read now. One that was not used yet is dialled meanwhile.
    fn is_readable(self: &Rc<Self>, replica: BackendId, db: u16, lane: Lane) -> bool {
        let conn = self.conn(replica, db, lane);
        let readable = conn.is_readable(self.local.now());
        if !readable {
            conn.want();
        }
        readable
    }

    fn existing(&self, backend: BackendId, db: u16, lane: Lane) -> Option<Rc<Conn>> {
        let backends = self.backends.borrow();
        let lanes = backends.get(backend.index())?;
        lanes.get(self.place(db, lane))?.clone()
    }

    /// The connection to a backend, made when it is used first.
    #[inline]
    pub fn conn(self: &Rc<Self>, backend: BackendId, db: u16, lane: Lane) -> Rc<Conn> {
        let lane = self.lane(backend, lane);
        self.existing(backend, db, lane)
            .unwrap_or_else(|| self.new_conn(backend, db, lane))
    }

    #[cold]
    fn new_conn(self: &Rc<Self>, backend: BackendId, db: u16, lane: Lane) -> Rc<Conn> {
        let address = self.table.borrow().address(backend).clone();
        let conn = Rc::new(Conn::new(self.local.clone(), backend, address, db, lane));
        self.port().add_link(&conn.figures);
        let place = self.place(db, lane);
        let mut backends = self.backends.borrow_mut();
        if backends.len() <= backend.index() {
            backends.resize_with(backend.index() + 1, Vec::new);
        }
        let lanes = &mut backends[backend.index()];
        if lanes.len() <= place {
            lanes.resize(place + 1, None);
        }
        lanes[place] = Some(conn.clone());
        tokio::task::spawn_local(conn::run(self.clone(), conn.clone()));
        conn
    }

    pub(super) fn conns(&self) -> Vec<Rc<Conn>> {
        self.backends
            .borrow()
            .iter()
            .flatten()
            .flatten()
            .cloned()
            .collect()
    }
}

impl Worker {
    /// Serves clients of `listeners` until the process stops.
    ///
    /// # Errors
    /// The runtime cannot watch sockets.
    pub async fn run(self: Rc<Self>, listeners: Vec<Listener>) -> io::Result<()> {
        let runtime = tokio::runtime::Handle::current();
        let _ = self.port().runtime.set(runtime.metrics());
        tokio::task::spawn_local(self.clone().sweep());
        let accept = |listener| listen::accept(self.clone(), listener);
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|listener| tokio::task::spawn_local(accept(listener)))
            .collect();
        let served = tokio::select! {
            served = self.clone().drive() => served,
            () = self.clone().follow(accepting) => Ok(()),
        };
        self.peers.borrow_mut().clear();
        served
    }
}
