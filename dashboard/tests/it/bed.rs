//! A test bed: processes on free loopback ports, and a small HTTP client.

mod patience;
mod shim;
mod variants;

pub use codis_bed::http::{Answer, call, call_with, figure};
pub use codis_bed::process::{Process, free_port, neighbour, peer};
pub use codis_bed::redis::call as redis_call;
pub use codis_bed::wait::{once_within, until, until_within};
pub use patience::is_late;
pub use shim::{Hang, Net, Remote, Shim};

use std::path::{Path, PathBuf};

use codis_core::api::{MasterFields, SentinelStats};
use codis_core::ha::GroupTopology;
use codis_core::model::Group;
use codis_core::{json, paths, xauth};
use tempfile::TempDir;

/// The product of all tests.
pub const PRODUCT: &str = "demo";

/// After how much silence sentinels take a server for dead, in milliseconds. A busy machine may be
/// silent for a while, and nobody may be failed over for that.
pub const DOWN_AFTER_MILLIS: u32 = 3000;

/// A directory for everything that a test starts.
pub struct Bed {
    dir: TempDir,
    /// Lines for the file of each dashboard that is started.
    pub settings: String,
    /// Lines for the file of each proxy that is started.
    pub proxy_settings: String,
    /// What dashboards and proxies belong to.
    pub product: String,
}

impl Bed {
    pub fn new() -> Self {
        Self::with_settings("")
    }

    pub fn with_settings(settings: &str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            settings: settings.to_owned(),
            proxy_settings: String::new(),
            product: PRODUCT.to_owned(),
        }
    }

    /// A directory or file of its own below the bed.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A record as it is on disk.
    pub fn record(&self, path: &str) -> Option<String> {
        let file = self
            .path("store")
            .join("data")
            .join(path.trim_start_matches('/'));
        std::fs::read_to_string(file).ok()
    }

    /// The stored topology of group 1.
    pub fn held(&self) -> GroupTopology {
        json::decode(
            self.record("/codis3/demo/ha/group-0001")
                .unwrap()
                .as_bytes(),
        )
        .unwrap()
    }

    /// A dashboard on the bed's store, online.
    pub async fn dashboard(&self) -> Dashboard {
        let dashboard = self.dashboard_offline("127.0.0.1", free_port(), &[]);
        dashboard.online().await;
        dashboard
    }

    /// A dashboard that may have to wait for its lock.
    pub fn dashboard_offline(&self, ip: &str, port: u16, flags: &[&str]) -> Dashboard {
        let store = self.path("store");
        let store = format!(
            "coordinator_name = \"filesystem\"\ncoordinator_addr = \"{}\"\n",
            store.display()
        );
        self.dashboard_on(ip, port, &store, flags)
    }

    /// A dashboard with these settings, which say where its records are.
    pub fn dashboard_on(&self, ip: &str, port: u16, lines: &str, flags: &[&str]) -> Dashboard {
        let config = self.path(&format!("dashboard-{port}.toml"));
        let text = format!(
            "{lines}product_name = \"{}\"\n\
             admin_addr = \"{ip}:{port}\"\n\
             sentinel_down_after = \"{DOWN_AFTER_MILLIS}ms\"\n\
             sentinel_failover_timeout = \"10s\"\n{}",
            self.product, self.settings
        );
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_codis-dashboard"));
        command.arg("-c").arg(config).args(flags);
        // Where the tests of crashes say what goes wrong; see `codis_runtime::fault`.
        command.env("CODIS_FAULT_POINTS", self.fault(port));
        let log = self.path(&format!("dashboard-{port}.log"));
        Dashboard {
            process: Process::start(command, &log),
            addr: format!("{ip}:{port}"),
            port,
            product: self.product.clone(),
        }
    }

    /// The file that says what goes wrong in the dashboard on `port`, and in no other.
    pub fn fault(&self, port: u16) -> PathBuf {
        self.path(&format!("fault-{port}"))
    }

    /// A real Redis server, answering.
    pub async fn redis(&self) -> Redis {
        let port = free_port();
        let dir = self.path(&format!("redis-{port}"));
        std::fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsave \"\"\nappendonly no\n\
             repl-diskless-sync-delay 0\n\
             repl-ping-replica-period 1\n",
            dir.display()
        );
        std::fs::write(dir.join("redis.conf"), text).unwrap();
        let mut command = std::process::Command::new("redis-server");
        command.arg(dir.join("redis.conf"));
        let redis = Redis {
            process: Process::start(command, &dir.join("log")),
            addr: format!("127.0.0.1:{port}"),
        };
        until(
            "redis-server answers (is it installed? scripts/setup)",
            async || redis.call(&["PING"]).await.is_ok(),
        )
        .await;
        redis
    }

    /// A master with replicas that are in step.
    pub async fn replicated(&self, replicas: usize) -> Vec<Redis> {
        let mut servers = vec![self.redis().await];
        for _ in 0..replicas {
            let replica = self.redis().await;
            let (host, port) = servers[0].addr.split_once(':').unwrap();
            replica.call(&["REPLICAOF", host, port]).await.unwrap();
            servers.push(replica);
        }
        for replica in &servers[1..] {
            until("replica is in step", async || {
                replica.info("master_link_status").await.as_deref() == Some("up")
            })
            .await;
        }
        servers
    }

    /// A sentinel from `binary`, `codis-sentinel` or `redis-sentinel`.
    pub async fn sentinel(&self, binary: &Path) -> Redis {
        let port = free_port();
        let dir = self.path(&format!("sentinel-{port}"));
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("sentinel.conf");
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nprotected-mode no\n",
            dir.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new(binary);
        command.arg(config).current_dir(&dir);
        let addr = format!("127.0.0.1:{port}");
        let sentinel = Redis {
            process: Process::start(command, &dir.join("log")),
            addr,
        };
        until("sentinel answers", async || {
            sentinel.call(&["PING"]).await.is_ok()
        })
        .await;
        sentinel
    }

    /// Three sentinels from `binary` that know each other, and in group 1 so many replicas.
    pub async fn sentinels(&self, binary: &Path, board: &Dashboard, replicas: usize) -> Vec<Redis> {
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let sentinel = self.sentinel(binary).await;
            board
                .put(&format!("sentinels/add/X/{}", sentinel.addr))
                .await;
            sentinels.push(sentinel);
        }
        let first = paths::monitor_name(&self.product, 1);
        until("sentinels know each other and the replicas", async || {
            let section = board.stats().await.sentinels;
            let has = |fields: &MasterFields, name: &str, value: &str| {
                fields.get(name).is_some_and(|held| held == value)
            };
            let in_step = |stats: &SentinelStats| {
                !stats.sentinel.is_empty()
                    && stats.sentinel.iter().all(|(name, monitored)| {
                        let slaves = &monitored.slaves;
                        has(&monitored.master, "num-other-sentinels", "2")
                            && (*name != first || slaves.len() == replicas)
                            && slaves.iter().all(|s| has(s, "master-link-status", "ok"))
                    })
            };
            !section.model.out_of_sync
                && section.stats.len() == 3
                && section.stats.values().all(in_step)
        })
        .await;
        sentinels
    }

    /// A real proxy; gives its admin address and its client address.
    pub async fn proxy(&self) -> (Process, String, String) {
        let (admin, data) = (free_port(), free_port());
        let process = self.proxy_at(admin, data, &[]).await;
        (
            process,
            format!("127.0.0.1:{admin}"),
            format!("127.0.0.1:{data}"),
        )
    }

    /// A real proxy on these ports, answering.
    pub async fn proxy_at(&self, admin: u16, data: u16, flags: &[&str]) -> Process {
        let config = self.path(&format!("proxy-{admin}.toml"));
        let text = format!(
            "product_name = \"{}\"\nadmin_addr = \"127.0.0.1:{admin}\"\n\
             proto_type = \"tcp4\"\n\
             proxy_addr = \"127.0.0.1:{data}\"\n\
             slot_wait_timeout = \"60s\"\n{}",
            self.product, self.proxy_settings
        );
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new(neighbour("codis-proxy"));
        command.arg("-c").arg(config).args(flags);
        let process = Process::start(command, &self.path(&format!("proxy-{admin}.log")));
        let addr = format!("127.0.0.1:{admin}");
        until("proxy answers", async || {
            let answer = call(&addr, "GET", "/api/proxy/model", "").await;
            answer.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        process
    }
}

/// A dashboard process.
pub struct Dashboard {
    pub process: Process,
    pub addr: String,
    pub port: u16,
    pub product: String,
}

impl Dashboard {
    /// Waits until it has its records.
    pub async fn online(&self) {
        until("dashboard is online", async || {
            call(&self.addr, "GET", "/ready", "")
                .await
                .is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }

    /// A change that must be refused; gives the cause.
    pub async fn refused(&self, path: &str) -> String {
        let answer = self.try_put(path, "").await;
        assert_eq!(answer.status, 800, "{path}: {}", answer.body);
        answer.cause()
    }

    pub async fn try_put(&self, path: &str, body: &str) -> Answer {
        let path = secret(&self.product, path);
        call(&self.addr, "PUT", &path, body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(path).await.body).unwrap()
    }

    /// The newest entries of one kind in the audit log, the oldest of them first.
    pub async fn audit(&self, kind: &str) -> Vec<serde_json::Value> {
        let path = format!("/api/topom/audit/{}/1000", xauth::dashboard(&self.product));
        let told = self.get(&path).await;
        let entries = told.as_array().unwrap().iter();
        entries
            .filter(|entry| entry["kind"] == kind)
            .cloned()
            .collect()
    }

    pub async fn stats(&self) -> codis_core::api::Stats {
        let answer = self.read("/topom/stats").await;
        json::decode(answer.body.as_bytes()).unwrap()
    }

    pub async fn group(&self, id: u32) -> Group {
        let groups = self.stats().await.group.models;
        groups.into_iter().find(|group| group.id == id).unwrap()
    }

    /// The servers of a group in order.
    pub async fn order(&self, id: u32) -> Vec<String> {
        self.group(id)
            .await
            .servers
            .into_iter()
            .map(|server| server.addr)
            .collect()
    }

    /// Creates a group of these servers.
    pub async fn fill_group(&self, id: u32, servers: &[Redis]) {
        self.put(&format!("group/create/X/{id}")).await;
        for server in servers {
            self.put(&format!("group/add/X/{id}/{}", server.addr)).await;
        }
    }

    /// Gives a range of slots to a group, or tries.
    pub async fn assign(&self, slots: std::ops::RangeInclusive<u16>, group: u32) -> Answer {
        self.try_put("slots/assign/X", &mappings(slots, group))
            .await
    }
}

/// The body of a call that gives slots to a group.
fn mappings(slots: std::ops::RangeInclusive<u16>, group: u32) -> String {
    let slots = slots.map(|id| serde_json::json!({ "id": id, "group_id": group }));
    serde_json::Value::Array(slots.collect()).to_string()
}

fn secret(product: &str, path: &str) -> String {
    format!(
        "/api/topom/{}",
        path.replacen("/X", &format!("/{}", xauth::dashboard(product)), 1)
    )
}

/// A Redis server or a sentinel.
pub struct Redis {
    pub process: Process,
    pub addr: String,
}

impl Redis {
    pub async fn call(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        redis_call(&self.addr, words).await
    }

    /// One field of `INFO`.
    pub async fn info(&self, field: &str) -> Option<String> {
        codis_bed::redis::info(&self.addr, field).await
    }
}
