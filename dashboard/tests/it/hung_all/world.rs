//! A product of which one server, one proxy and one sentinel will hang.

use codis_core::api::{MasterFields, SentinelStats, Slot};

use crate::bed::until;
use crate::bed::{Bed, Dashboard, Hang, Process, Redis, Remote, Shim, call, free_port, neighbour};
use crate::double::Double;
use crate::plain::Server;

/// Some slots of group 2.
pub const HELD: [u16; 3] = [200, 250, 299];

/// Groups 1 and 2 have a master and a replica each, group 3 the server that hangs; 4 and 5 have one
/// server each that knows its slots.
pub struct World {
    pub bed: Bed,
    pub board: Dashboard,
    pub first: Vec<Redis>,
    pub second: Vec<Redis>,
    pub server: Remote,
    pub spare: Vec<Redis>,
    pub good: (Process, String),
    pub good_token: String,
    pub bad: Remote,
    pub bad_token: String,
    pub sentinels: Vec<Redis>,
    pub sentinel: Option<Remote>,
    /// A sentinel that is in nobody's list.
    pub more: Redis,
    _sites: Vec<(Server, Double)>,
}

async fn behind_a_shim(redis: Redis) -> Remote {
    let net = Shim::before(&redis.addr).await;
    Remote {
        process: redis.process,
        net,
    }
}

async fn token(admin: &str) -> String {
    let answer = call(admin, "GET", "/api/proxy/model", "").await.unwrap();
    let model: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    model["token"].as_str().unwrap().to_owned()
}

/// Each group gets its share, so that a plan moves few slots: how long a store takes is not what
/// is tested.
async fn give_slots(board: &Dashboard) {
    let given = [
        (0..=99, 1),
        (100..=199, 3),
        (200..=299, 2),
        (300..=399, 4),
        (400..=504, 1),
        (505..=609, 2),
        (610..=714, 3),
        (715..=819, 4),
        (820..=1023, 5),
    ];
    for (slots, group) in given {
        board.give(slots, group).await;
    }
}

impl World {
    pub async fn new() -> Self {
        // Shorter than the test, so that it must be renewed meanwhile, and longer than a machine
        // that is busy stands still.
        let bed = Bed::with_settings("leader_lease = \"8s\"\n");
        let board = bed.dashboard().await;
        let (first, second) = (bed.replicated(1).await, bed.replicated(1).await);
        board.fill_group(1, &first).await;
        board.fill_group(2, &second).await;
        let third = bed.redis().await;
        let limit = ["CONFIG", "SET", "maxmemory", "100mb"];
        for server in first.iter().chain(&second).chain([&third]) {
            server.call(&limit).await.unwrap();
        }
        let server = behind_a_shim(third).await;
        board.put("group/create/X/3").await;
        board.put(&format!("group/add/X/3/{}", server.addr())).await;
        let mut sites = Vec::new();
        for group in [4, 5] {
            let data = Server::start(&["--maxmemory", "100mb"]);
            let double = Double::before(&data);
            board.put(&format!("group/create/X/{group}")).await;
            board
                .put(&format!("group/add/X/{group}/{}", double.addr))
                .await;
            sites.push((data, double));
        }
        give_slots(&board).await;
        let (process, admin, _) = bed.proxy().await;
        let (port, data) = (free_port(), free_port());
        let net = Shim::before(&format!("127.0.0.1:{port}")).await;
        let flag = format!("--host-admin={}", net.addr);
        let bad = Remote {
            process: bed.proxy_at(port, data, &[&flag]).await,
            net,
        };
        for addr in [&admin, bad.addr()] {
            board.put(&format!("proxy/create/X/{addr}")).await;
        }
        until("the fence is armed", async || {
            bad.process.log().contains("stall fence armed")
        })
        .await;
        Self {
            good_token: token(&admin).await,
            bad_token: token(bad.addr()).await,
            spare: vec![bed.redis().await, bed.redis().await],
            good: (process, admin),
            more: bed.sentinel(&neighbour("codis-sentinel")).await,
            bed,
            board,
            first,
            second,
            server,
            bad,
            sentinels: Vec::new(),
            sentinel: None,
            _sites: sites,
        }
    }

    /// Adds three sentinels of ours, of which the last one will hang.
    pub async fn add_sentinels(&mut self) {
        let binary = neighbour("codis-sentinel");
        for _ in 0..2 {
            self.sentinels.push(self.bed.sentinel(&binary).await);
        }
        let third = behind_a_shim(self.bed.sentinel(&binary).await).await;
        let addrs = self.sentinels.iter().map(|sentinel| sentinel.addr.as_str());
        for addr in addrs.chain([third.addr()]) {
            self.board.put(&format!("sentinels/add/X/{addr}")).await;
        }
        self.sentinel = Some(third);
        self.sentinels_are_ready(3).await;
    }

    /// So many sentinels know each other and the replicas, and nothing else is to be told to them.
    pub async fn sentinels_are_ready(&self, count: usize) {
        let has = |fields: &MasterFields, name: &str, value: &str| {
            fields.get(name).is_some_and(|held| held == value)
        };
        let is_ready = |stats: &SentinelStats| {
            ["demo-1", "demo-2"].iter().all(|name| {
                let link = |slave| has(slave, "master-link-status", "ok");
                stats.sentinel.get(*name).is_some_and(|monitored| {
                    let slaves = &monitored.slaves;
                    has(&monitored.master, "num-other-sentinels", "2")
                        && slaves.len() == 1
                        && slaves.iter().all(link)
                })
            })
        };
        until(
            "the sentinels know each other and the replicas",
            async || {
                let section = self.board.stats().await.sentinels;
                !section.model.out_of_sync
                    && section.stats.values().filter(|s| is_ready(s)).count() >= count
            },
        )
        .await;
    }

    /// Makes them all hang.
    pub async fn hang(&self, how: Hang) {
        self.server.hang(how).await;
        self.bad.hang(how).await;
        if let Some(sentinel) = &self.sentinel {
            sentinel.hang(how).await;
        }
    }

    pub async fn go_on(&self) {
        self.server.go_on().await;
        self.bad.go_on().await;
    }

    /// As statistics name those that hang.
    pub fn hung(&self) -> Vec<&str> {
        let sentinel = self.sentinel.as_ref().map(Remote::addr);
        let hung = [self.server.addr(), &self.bad_token];
        hung.into_iter().chain(sentinel).collect()
    }

    pub async fn term(&self) -> u64 {
        let who = self.board.get("/topom/leader").await;
        assert!(who["lease_left_ms"].as_u64().unwrap() > 0, "{who}");
        who["term"].as_u64().unwrap()
    }

    /// The slots as the proxy that is well has them.
    pub async fn held_by_good(&self) -> Vec<Slot> {
        let answer = call(&self.good.1, "GET", "/proxy/slots", "").await.unwrap();
        codis_core::json::decode(answer.body.as_bytes()).unwrap()
    }

    /// Moves a slot to and fro until that needs no word of the proxy that hangs.
    pub async fn until_the_proxy_is_not_waited_for(&self) {
        let mut group = 1;
        until("slots of other groups are given away", async || {
            group = 3 - group;
            self.board.assign(0..=0, group).await.status == 200 && group == 1
        })
        .await;
    }

    /// The replica of a group is in step again after a promotion.
    pub async fn replica_follows(&self, group: u32) {
        let order = self.board.order(group).await;
        let all = self.first.iter().chain(&self.second);
        let replica = all
            .into_iter()
            .find(|server| server.addr == order[1])
            .unwrap();
        until("the replica is in step", async || {
            replica.info("master_link_status").await.as_deref() == Some("up")
        })
        .await;
    }

    /// What hung is told what it missed.
    pub async fn all_in_step(&self) {
        let wanted = self.board.get("/topom/slots").await;
        until("the proxy that hung holds what is wanted", async || {
            let held = call(self.bad.addr(), "GET", "/proxy/slots", "")
                .await
                .unwrap();
            let held: serde_json::Value = serde_json::from_str(&held.body).unwrap();
            let same = |id: usize| {
                let names = ["backend_addr", "migrate_from", "locked"];
                names.iter().all(|name| held[id][name] == wanted[id][name])
            };
            (0..1024).all(same)
        })
        .await;
        until("nobody is stale", async || {
            let stats = self.board.stats().await;
            stats.group.stats.values().all(|s| s.age_ms.is_none())
                && stats.proxy.stats.values().all(|s| s.age_ms.is_none())
        })
        .await;
    }

    /// A dashboard that was told to stop waits for nobody that hangs.
    pub async fn process_ends(&mut self) {
        let took = std::time::Instant::now();
        assert!(self.board.process.ended().await.success());
        let took = took.elapsed();
        assert!(took < std::time::Duration::from_secs(15), "{took:?}");
    }
}
