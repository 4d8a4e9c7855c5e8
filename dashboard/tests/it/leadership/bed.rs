//! Dashboards that share a coordinator.

use std::time::{Duration, Instant};

use codis_core::api::Stats;
use codis_core::ha::LeaderRecord;
use codis_core::{json, paths};
use codis_runtime::coordinator::{self, Shared};
use serde_json::Value;

use crate::bed::{Bed, Dashboard, PRODUCT, call, free_port, until};
use crate::stores::{Kind, Store};

/// The lease of the tests: the longest that the test servers of ZooKeeper grant, so that a machine
/// that is busy seldom lets one run out. Takeovers are measured against it.
pub const LEASE: Duration = Duration::from_secs(5);

/// A coordinator, and dashboards on it.
pub struct Boards {
    pub bed: Bed,
    server: Option<Store>,
}

impl Boards {
    pub fn on_directory() -> Self {
        Self::with_settings(None, "")
    }

    pub fn on(kind: Kind) -> Self {
        Self::with_settings(Some(kind), "")
    }

    /// On a directory or a server, with lines for the file of each dashboard.
    pub fn with_settings(kind: Option<Kind>, settings: &str) -> Self {
        Self {
            bed: Bed::with_settings(settings),
            server: kind.map(Store::start),
        }
    }

    /// What must outlive the dashboards that it started.
    pub fn into_parts(self) -> (Bed, Option<Store>) {
        (self.bed, self.server)
    }

    /// The server that has the records.
    pub fn server(&mut self) -> &mut Store {
        self.server
            .as_mut()
            .expect("the records are in a directory")
    }

    /// The kind of coordinator, and where it is.
    pub fn place(&self) -> (&'static str, String) {
        match &self.server {
            Some(server) => (server.name(), server.addr()),
            None => ("filesystem", self.bed.path("store").display().to_string()),
        }
    }

    /// A dashboard process, which leads or stands by.
    pub fn start(&self) -> Dashboard {
        self.start_at(free_port(), &[])
    }

    pub fn start_at(&self, port: u16, flags: &[&str]) -> Dashboard {
        let (_, addr) = self.place();
        self.start_on(&addr, port, flags)
    }

    /// A dashboard that has another way to the records.
    pub fn start_on(&self, addr: &str, port: u16, flags: &[&str]) -> Dashboard {
        let (name, _) = self.place();
        let text = format!(
            "coordinator_name = \"{name}\"\ncoordinator_addr = \"{addr}\"\n\
             leader_lease = \"{}s\"\n",
            LEASE.as_secs()
        );
        self.bed.dashboard_on("127.0.0.1", port, &text, flags)
    }

    /// The records as a program sees them that is no dashboard.
    pub async fn records(&self) -> Shared {
        let (name, addr) = self.place();
        coordinator::open(name, &addr, "").await.unwrap()
    }

    /// The record of the last leader.
    pub async fn last_leader(&self) -> LeaderRecord {
        let path = paths::ha_leader(PRODUCT);
        let text = self.records().await.read(&path).await.unwrap();
        json::decode(&text.unwrap()).unwrap()
    }

    /// Every record but those that say who leads.
    pub async fn fingerprint(&self) -> Vec<(String, Vec<u8>)> {
        let records = self.records().await;
        let mut all = Vec::new();
        for dir in [
            paths::slots(PRODUCT),
            paths::groups(PRODUCT),
            paths::proxies(PRODUCT),
            paths::ha_groups(PRODUCT),
        ] {
            all.extend(records.read_dir(&dir).await.unwrap());
        }
        all.retain(|(path, _)| *path != paths::ha_leader(PRODUCT));
        all
    }
}

/// What a dashboard says about who leads.
pub async fn who(board: &Dashboard) -> Option<Value> {
    let answer = call(&board.addr, "GET", "/topom/leader", "").await.ok()?;
    serde_json::from_str(&answer.body).ok()
}

pub async fn leads(board: &Dashboard) -> bool {
    who(board).await.is_some_and(|who| who["leading"] == true)
}

/// Waits until this one leads.
pub async fn until_leads(board: &Dashboard) -> Duration {
    until("this one leads", async || leads(board).await).await
}

/// Waits until this one stands by and knows who leads.
pub async fn until_stands_by(board: &Dashboard, leader: &Dashboard) {
    until("this one stands by and knows the leader", async || {
        who(board)
            .await
            .is_some_and(|who| who["leading"] == false && who["leader"] == leader.addr)
    })
    .await;
}

/// A leader and a standby.
pub async fn pair(boards: &Boards) -> (Dashboard, Dashboard) {
    let leader = boards.start();
    until_leads(&leader).await;
    let standby = boards.start();
    until_stands_by(&standby, &leader).await;
    (leader, standby)
}

/// The same, on a coordinator of their own in a directory.
pub async fn pair_on_directory() -> (Boards, Dashboard, Dashboard) {
    let boards = Boards::on_directory();
    let (leader, standby) = pair(&boards).await;
    (boards, leader, standby)
}

/// Creates groups through `board` as fast as they are acknowledged, until `done`. Gives those that
/// were acknowledged, and when the last call before an error and the first after it were.
pub struct Writer {
    pub acknowledged: Vec<u32>,
    pub next: u32,
    pub refused: Vec<String>,
}

impl Writer {
    pub fn new() -> Self {
        Self {
            acknowledged: Vec::new(),
            next: 1,
            refused: Vec::new(),
        }
    }

    /// One call. An answer that is an error leaves the group's fate open: it is not used again.
    pub async fn write(&mut self, board: &Dashboard) -> bool {
        let id = self.next;
        self.next += 1;
        let xauth = codis_core::xauth::dashboard(PRODUCT);
        let path = format!("/api/topom/group/create/{xauth}/{id}");
        // One that was just started may not listen yet.
        let Ok(answer) = call(&board.addr, "PUT", &path, "").await else {
            return false;
        };
        let done = answer.status == 200;
        if done {
            self.acknowledged.push(id);
        } else {
            assert_eq!(answer.status, 800, "{}", answer.body);
            self.refused.push(answer.cause());
        }
        done
    }

    /// Calls again and again until one is acknowledged; gives how long that took.
    pub async fn until_acknowledged(&mut self, board: &Dashboard) -> Duration {
        let begun = Instant::now();
        until("a call is carried out", async || self.write(board).await).await;
        begun.elapsed()
    }

    /// Asserts that nothing that was acknowledged is lost. A standby whose leader is late tells its
    /// own records, which are older than what was acknowledged last.
    pub async fn check(&self, board: &Dashboard) {
        let answer = board.read_fresh("/topom/stats").await;
        let stats: Stats = json::decode(answer.body.as_bytes()).unwrap();
        let groups = stats.group.models;
        for id in &self.acknowledged {
            assert!(groups.iter().any(|group| group.id == *id), "group {id}");
        }
    }
}
