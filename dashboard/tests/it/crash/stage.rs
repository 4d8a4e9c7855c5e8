//! What an operation happens on: a coordinator, a leader, perhaps a standby, and what they manage.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use codis_bed::wait::WAIT_MAX;
use codis_core::api::Stats;
use codis_core::model::Group;
use codis_core::slot::SlotId;
use codis_core::xauth;
use codis_runtime::coordinator::{self, Shared};

use super::invariants::Heights;
use super::{Heir, Plan, is_quiet};
use crate::bed::{Answer, Bed, Dashboard, Process, Redis, call, free_port};
use crate::leadership::{leads, until_leads, who};
use crate::stores::Store;

/// The lease of leaders.
pub const LEASE: Duration = Duration::from_secs(3);
/// What taking over may take besides: a second by design, and what a machine adds on which many of
/// these run at once. `leadership` measures it on its own.
const MARGIN: Duration = Duration::from_secs(100);
/// Slots below this one change hands with no regard to their keys.
pub const KEPT: u16 = 100;

/// Where records are.
#[derive(Clone)]
pub struct Ground {
    pub name: &'static str,
    addr: String,
    /// Kept, so that it serves.
    _server: Option<Arc<Store>>,
}

impl Ground {
    /// Another directory for each stage.
    pub fn directory() -> Self {
        Self {
            name: "filesystem",
            addr: String::new(),
            _server: None,
        }
    }

    pub fn server(store: &Arc<Store>) -> Self {
        Self {
            name: store.name(),
            addr: store.addr(),
            _server: Some(store.clone()),
        }
    }
}

/// A leader with two groups, of two servers and of one, and a proxy.
pub struct Stage {
    pub plan: Plan,
    /// Where the records are.
    addr: String,
    /// The records as a program sees them that is no dashboard.
    pub records: Shared,
    pub leader: Dashboard,
    standby: Option<Dashboard>,
    pub servers: Vec<Redis>,
    pub sentinels: Vec<Redis>,
    /// Its admin address and that of clients.
    pub proxy: (Process, String, String),
    /// Keys that are where their slot is, and nowhere else.
    pub keys: Vec<String>,
    pub heights: Heights,
    /// What a leader said last.
    last: RefCell<Option<Stats>>,
    /// What is tried just now, for messages.
    pub at: String,
    /// Goes last, with the logs of all processes.
    pub bed: Bed,
}

impl Stage {
    pub async fn new(plan: Plan, settings: &str) -> Self {
        static STAGES: AtomicU32 = AtomicU32::new(1);
        let mut bed = Bed::with_settings(settings);
        bed.product = format!("crash{}", STAGES.fetch_add(1, Ordering::Relaxed));
        let addr = match plan.ground.addr.as_str() {
            "" => bed.path("store").display().to_string(),
            addr => addr.to_owned(),
        };
        let name = plan.ground.name;
        let leader = start_dashboard(&bed, name, &addr);
        until_leads(&leader).await;
        let servers = vec![bed.redis().await, bed.redis().await, bed.redis().await];
        leader.fill_group(1, &servers[..2]).await;
        leader.fill_group(2, &servers[2..]).await;
        leader.give(0..=1023, 1).await;
        let (host, port) = servers[0].addr.split_once(':').unwrap();
        servers[1].call(&["REPLICAOF", host, port]).await.unwrap();
        let proxy = bed.proxy().await;
        let records = coordinator::open(name, &addr, "").await.unwrap();
        let mut stage = Self {
            bed,
            plan,
            addr,
            records,
            leader,
            standby: None,
            servers,
            sentinels: Vec::new(),
            proxy,
            keys: Vec::new(),
            heights: Heights::default(),
            last: RefCell::default(),
            at: "at the beginning".to_owned(),
        };
        stage.create_proxy(&stage.proxy.1).await;
        stage.keep_keys(4).await;
        if stage.plan.heir == Heir::Standby {
            stage.start_standby().await;
        }
        stage
    }

    /// Some keys of group 1, whose slots stay where they are.
    async fn keep_keys(&mut self, count: usize) {
        let stays = |key: &String| SlotId::of_key(key.as_bytes()).get() >= KEPT;
        let keys = (0..).map(|number| format!("kept-{number}"));
        for key in keys.filter(stays).take(count) {
            let set = self.servers[0].call(&["SET", &key, "value"]).await;
            set.unwrap();
            self.keys.push(key);
        }
    }

    /// Makes a call that may never be answered; gives the status of its answer otherwise.
    pub async fn ask(&self, path: &str, body: &str) -> Option<u16> {
        let answer = self.call(path, body).await;
        answer.map(|(status, _)| status)
    }

    async fn call(&self, path: &str, body: &str) -> Option<(u16, String)> {
        let secret = format!("/{}", xauth::dashboard(&self.bed.product));
        let path = format!("/api/topom/{}", path.replacen("/X", &secret, 1));
        let answer = call(&self.leader.addr, "PUT", &path, body).await;
        answer.ok().map(|answer| (answer.status, answer.body))
    }

    /// What the leader says, unless it is gone, or has lost the lead for a moment on a machine
    /// that is busy: then it tells what it read as a standby, and says so. The other one may lead
    /// then.
    pub async fn stats(&self) -> Option<Stats> {
        for board in [Some(&self.leader), self.standby.as_ref()] {
            let answer = call(&board?.addr, "GET", "/topom/stats", "").await;
            let is_led = |answer: &Answer| {
                answer.status == 200 && !answer.head.contains(codis_runtime::http::STALE)
            };
            if let Some(answer) = answer.ok().filter(is_led) {
                let stats: Stats = codis_core::json::decode(answer.body.as_bytes()).ok()?;
                *self.last.borrow_mut() = Some(stats.clone());
                return Some(stats);
            }
        }
        None
    }

    /// The same from one that answers. Whoever met its fault already, at a write of its own, is
    /// not waited for: what it said last must do.
    pub async fn now(&self) -> Stats {
        let told = RefCell::new(None);
        self.until("the leader answers", async || {
            let stats = self.stats().await;
            *told.borrow_mut() =
                stats.or_else(|| self.last.borrow().clone().filter(|_| self.is_hit()));
            told.borrow().is_some()
        })
        .await;
        told.into_inner().unwrap()
    }

    /// The servers of a group in order.
    pub async fn order(&self, group: u32) -> Vec<String> {
        let stats = self.now().await;
        let servers = self.group(&stats, group).unwrap().servers.iter();
        servers.map(|server| server.addr.clone()).collect()
    }

    /// Whether the one whose fault is armed does not lead any more, and lives: a busy machine let
    /// its lease run out.
    pub async fn has_lost_the_lead(&self) -> bool {
        self.standby.is_some() && !self.is_hit() && !leads(&self.leader).await
    }

    pub fn group<'a>(&self, stats: &'a Stats, id: u32) -> Option<&'a Group> {
        stats.group.models.iter().find(|group| group.id == id)
    }

    /// Waits, and says what was tried when it takes too long.
    pub async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !condition().await {
            let (at, name) = (&self.at, self.plan.ground.name);
            assert!(
                begun.elapsed() < WAIT_MAX,
                "{name}, {at}: not within {WAIT_MAX:?}: {what}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing is under way, by the store as well, and `also` holds.
    pub async fn until_quiet(&self, what: &str, also: impl AsyncFn(&Stats) -> bool) {
        self.until(what, async || match self.stats().await {
            Some(stats) => self.is_at_rest(&stats).await && also(&stats).await,
            None => false,
        })
        .await;
    }

    /// The same while something is armed, which a write of the leader's own may meet: then it is
    /// for the next one to finish.
    pub async fn until_quiet_or_hit(&self, what: &str) {
        self.until(what, async || {
            self.is_hit()
                || match self.stats().await {
                    Some(stats) => self.is_at_rest(&stats).await,
                    None => false,
                }
        })
        .await;
    }

    async fn is_at_rest(&self, stats: &Stats) -> bool {
        is_quiet(stats) && self.tells_what_is_stored(stats).await
    }

    /// Asks until it is done, with nothing armed. One that is asked again may be done already.
    pub async fn put(&self, path: &str) {
        let told = RefCell::new(String::new());
        let done = async || {
            let Some((status, body)) = self.call(path, "").await else {
                return false;
            };
            let again = !told.borrow().is_empty();
            let already = ["already exists", "doesn't exist", "not found"];
            let already = already.iter().any(|words| body.contains(words));
            let is_done = status == 200 || again && already;
            if !is_done && *told.borrow() != body {
                eprintln!("{}: {path}: {body}", self.at);
            }
            *told.borrow_mut() = body;
            is_done
        };
        self.until(path, done).await;
    }

    /// Registers a proxy. One that is slow to take its slots is given them later.
    pub async fn create_proxy(&self, addr: &str) {
        self.ask(&format!("proxy/create/X/{addr}"), "").await;
        self.until_quiet("the proxy is known", async |stats| {
            let mut models = stats.proxy.models.iter();
            models.any(|model| model.admin_addr == addr)
        })
        .await;
    }

    /// Gives these slots to a group, whatever keys they have.
    pub async fn assign(&self, slots: std::ops::RangeInclusive<u16>, group: u32) -> Option<u16> {
        let slots = slots.map(|id| serde_json::json!({ "id": id, "group_id": group }));
        let body = serde_json::Value::Array(slots.collect()).to_string();
        self.ask("slots/assign/X", &body).await
    }

    /// The same until all proxies hold it.
    pub async fn give(&self, slots: std::ops::RangeInclusive<u16>, group: u32) {
        self.until("the slots are given", async || {
            self.assign(slots.clone(), group).await == Some(200)
        })
        .await;
    }

    /// Has something go wrong at the `count`th passing of `point` by the leader.
    pub fn arm(&self, point: &str, count: u32) {
        let _ = fs::remove_file(self.due());
        // In one step: the dashboard may be about to look.
        let file = self.bed.fault(self.leader.port);
        let fresh = file.with_extension("new");
        fs::write(&fresh, format!("{point} {count}")).unwrap();
        fs::rename(fresh, file).unwrap();
    }

    pub fn disarm(&self) {
        let _ = fs::remove_file(self.bed.fault(self.leader.port));
    }

    fn due(&self) -> PathBuf {
        let name = self.bed.fault(self.leader.port).display().to_string();
        PathBuf::from(name + ".due")
    }

    /// Whether what was armed has happened.
    pub fn is_hit(&self) -> bool {
        self.due().exists()
    }

    /// The leader dies; gives way to who comes next, whom nobody tells anything.
    pub async fn succeed(&mut self) {
        self.leader.process.ended().await;
        let died = Instant::now();
        match self.plan.heir {
            Heir::Restart => {
                self.leader = self.start_dashboard();
                self.until("the next one leads", async || leads(&self.leader).await)
                    .await;
            }
            Heir::Standby => {
                let standby = self.standby.take().unwrap();
                self.until("the standby leads", async || leads(&standby).await)
                    .await;
                let took = died.elapsed();
                let at = &self.at;
                assert!(took < LEASE + MARGIN, "{at}: the standby took {took:?}");
                self.leader = standby;
                self.start_standby().await;
            }
        }
    }

    /// The name and the address of the coordinator.
    pub fn place(&self) -> (&'static str, &str) {
        (self.plan.ground.name, &self.addr)
    }

    /// Another dashboard of the product.
    pub fn start_dashboard(&self) -> Dashboard {
        start_dashboard(&self.bed, self.plan.ground.name, &self.addr)
    }

    /// A busy machine may let a lease run out; then the other one leads, which is as good.
    pub async fn follow_the_lead(&mut self) {
        if leads(&self.leader).await || self.standby.is_none() {
            return;
        }
        let standby = self.standby.take().unwrap();
        self.until("one of the two leads", async || {
            leads(&standby).await || leads(&self.leader).await
        })
        .await;
        self.standby = Some(match leads(&standby).await {
            true => std::mem::replace(&mut self.leader, standby),
            false => standby,
        });
    }

    async fn start_standby(&mut self) {
        let standby = self.start_dashboard();
        self.until("there is a standby", async || {
            let who = who(&standby).await;
            who.is_some_and(|who| who["leading"] == false && who["leader"] == self.leader.addr)
        })
        .await;
        self.standby = Some(standby);
    }
}

fn start_dashboard(bed: &Bed, name: &str, addr: &str) -> Dashboard {
    let lines = format!(
        "coordinator_name = \"{name}\"\ncoordinator_addr = \"{addr}\"\n\
         leader_lease = \"{}s\"\n",
        LEASE.as_secs()
    );
    bed.dashboard_on("127.0.0.1", free_port(), &lines, &[])
}
