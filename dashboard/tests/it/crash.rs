//! A dashboard that dies at each of its store writes: before it, after it, or with its answer lost.
//!
//! The next dashboard finds an operation that was begun, finishes it or undoes it without a word of
//! anybody, and nothing that must always hold is broken.

mod operations;

use std::fs;

use codis_core::api::Stats;
use codis_core::model::{ActionState, Group};
use codis_core::xauth;

use crate::bed::{Bed, Dashboard, PRODUCT, Process, Redis, call, redis_call, until};

/// More writes than any operation makes.
const WRITES_MAX: u32 = 40;

/// A dashboard with two groups, of two servers and of one, and a proxy.
struct Stage {
    bed: Bed,
    board: Dashboard,
    servers: Vec<Redis>,
    proxy: (Process, String, String),
    /// Counts operations, so that each can be about something new.
    round: u32,
}

/// Where a dashboard dies, or what becomes of an answer.
const POINTS: [&str; 3] = [
    "store.write.before",
    "store.write.after",
    "store.write.unanswered",
];

impl Stage {
    async fn new() -> Self {
        let bed = Bed::new();
        let board = bed.dashboard().await;
        let servers = vec![bed.redis().await, bed.redis().await, bed.redis().await];
        board.fill_group(1, &servers[..2]).await;
        board.fill_group(2, &servers[2..]).await;
        assert_eq!(board.assign(0..=1023, 1).await.status, 200);
        let (host, port) = servers[0].addr.split_once(':').unwrap();
        servers[1].call(&["REPLICAOF", host, port]).await.unwrap();
        let proxy = bed.proxy().await;
        board.put(&format!("proxy/create/X/{}", proxy.1)).await;
        Self {
            bed,
            board,
            servers,
            proxy,
            round: 0,
        }
    }

    /// Makes a call that may never be answered; gives its answer otherwise.
    async fn ask(&self, path: &str, body: &str) -> Option<u16> {
        let secret = format!("/{}", xauth::dashboard(PRODUCT));
        let path = format!("/api/topom/{}", path.replacen("/X", &secret, 1));
        let answer = call(&self.board.addr, "PUT", &path, body).await;
        answer.ok().map(|answer| answer.status)
    }

    fn arm(&self, point: &str, count: u32) {
        // In one step: the dashboard may be about to look.
        let fresh = self.bed.path("fault.new");
        fs::write(&fresh, format!("{point} {count}")).unwrap();
        fs::rename(fresh, self.bed.path("fault")).unwrap();
    }

    fn disarm(&self) {
        let _ = fs::remove_file(self.bed.path("fault"));
    }

    /// Has `begin` begun by a dashboard that dies at its first store write, then by one that dies
    /// at its second, until one lives through it; the same for each kind of death. Each time
    /// `ended` must come true, of which only the next dashboard takes care.
    async fn at_each_write(
        &mut self,
        begin: impl AsyncFn(&Self) -> Option<u16>,
        ended: impl AsyncFn(&Self, &Stats) -> bool,
    ) {
        for point in POINTS {
            let mut deaths = 0;
            for count in 1.. {
                assert!(count < WRITES_MAX, "{point}: it never ends");
                self.round += 1;
                self.arm(point, count);
                let answer = begin(self).await;
                let hit = self.is_hit(point, count, answer, &ended).await;
                self.disarm();
                if self.board.process.has_ended() {
                    deaths += 1;
                    self.board = self.bed.dashboard().await;
                }
                until("the operation is finished or undone", async || {
                    let stats = self.board.stats().await;
                    is_quiet(&stats) && ended(self, &stats).await
                })
                .await;
                self.check().await;
                if !hit {
                    break;
                }
            }
            assert!(
                deaths > 0 || point == "store.write.unanswered",
                "{point} was never passed"
            );
        }
    }

    /// Whether the point was reached: the dashboard died, or its operation had trouble. It was not
    /// when the operation ended and the dashboard lives.
    async fn is_hit(
        &mut self,
        point: &str,
        count: u32,
        answer: Option<u16>,
        ended: &impl AsyncFn(&Self, &Stats) -> bool,
    ) -> bool {
        if point == "store.write.unanswered" {
            // Once: the second write of the same operation is often that of a repair.
            return answer != Some(200) && count < 4;
        }
        let mut outcome = None;
        for _ in 0..2000 {
            if self.board.process.has_ended() {
                return true;
            }
            if answer.is_some() {
                let path = "/topom/stats";
                if let Ok(told) = call(&self.board.addr, "GET", path, "").await
                    && let Ok(stats) = codis_core::json::decode::<Stats>(told.body.as_bytes())
                    && is_quiet(&stats)
                    && ended(self, &stats).await
                {
                    outcome = Some(false);
                    break;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        outcome.unwrap_or_else(|| panic!("{point} {count}: neither dead nor done"))
    }

    /// What holds whatever happened.
    async fn check(&self) {
        let stats = self.board.stats().await;
        assert_eq!(stats.slots.len(), 1024);
        for slot in &stats.slots {
            assert_eq!(slot.action.state, ActionState::Nothing, "slot {}", slot.id);
            let owner = self.group(&stats, slot.group_id);
            assert!(owner.is_some_and(|group| !group.servers.is_empty()));
        }
        let groups = &stats.group.models;
        let mut addrs: Vec<&str> = groups
            .iter()
            .flat_map(|group| group.servers.iter().map(|server| server.addr.as_str()))
            .collect();
        let all = addrs.len();
        addrs.sort_unstable();
        addrs.dedup();
        assert_eq!(addrs.len(), all, "no server is in two groups");
        for group in groups.iter().filter(|group| group.id <= 2) {
            self.has_one_master(group).await;
        }
        self.proxy_is_told().await;
        // What a client writes arrives, through whichever route.
        let data = self.proxy.2.clone();
        until("the proxy writes", async || {
            redis_call(&data, &["SET", "key", "value"]).await.is_ok()
        })
        .await;
    }

    fn group<'a>(&self, stats: &'a Stats, id: u32) -> Option<&'a Group> {
        stats.group.models.iter().find(|group| group.id == id)
    }

    /// The first server of a group is its only master, and the others follow it.
    async fn has_one_master(&self, group: &Group) {
        let Some(first) = group.servers.first() else {
            return;
        };
        let (_, port) = first.addr.split_once(':').unwrap();
        for (index, member) in group.servers.iter().enumerate() {
            let Some(server) = self.servers.iter().find(|s| s.addr == member.addr) else {
                continue;
            };
            until("the roles are those of the records", async || {
                let role = server.info("role").await;
                match index {
                    0 => role.as_deref() == Some("master"),
                    _ => {
                        role.as_deref() == Some("slave")
                            && server.info("master_port").await.as_deref() == Some(port)
                    }
                }
            })
            .await;
        }
    }

    /// The proxy holds what the records say.
    async fn proxy_is_told(&self) {
        until("the proxy holds what is wanted", async || {
            let wanted = self.board.get("/topom/slots").await;
            let held = call(&self.proxy.1, "GET", "/proxy/slots", "")
                .await
                .unwrap();
            let held: serde_json::Value = serde_json::from_str(&held.body).unwrap();
            (0..1024).all(|id| {
                ["backend_addr", "migrate_from", "locked"]
                    .iter()
                    .all(|name| held[id][name] == wanted[id][name])
            })
        })
        .await;
    }
}

/// Nothing is under way.
fn is_quiet(stats: &Stats) -> bool {
    let mut groups = stats.group.models.iter();
    let at_rest = |group: &Group| {
        let busy = |state| matches!(state, ActionState::Pending | ActionState::Syncing);
        let mut servers = group.servers.iter();
        group.promoting.state == ActionState::Nothing
            && servers.all(|server| !busy(server.action.state))
    };
    groups.all(at_rest)
        && stats
            .slots
            .iter()
            .all(|slot| slot.action.state == ActionState::Nothing)
}
