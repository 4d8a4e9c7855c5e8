//! A product without sentinels, and a codis-ha that watches it.

use std::path::PathBuf;
use std::process::Command;

use codis_bed::http::call;
use codis_bed::patience;
use codis_bed::process::{Process, free_port, neighbour};
pub use codis_bed::wait::until;
use codis_core::api::Stats;
use codis_core::{json, xauth};
use tempfile::TempDir;

const PRODUCT: &str = "demo";

/// Everything that a test starts.
pub struct Bed {
    dir: TempDir,
    pub dashboard: Process,
    port: u16,
}

impl Bed {
    /// An empty product with a dashboard.
    pub async fn new() -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "coordinator_name = \"filesystem\"\ncoordinator_addr = \"{}\"\n\
             product_name = \"{PRODUCT}\"\nadmin_addr = \"127.0.0.1:{port}\"\n",
            dir.path().join("store").display()
        );
        std::fs::write(dir.path().join("dashboard.toml"), config).unwrap();
        let dashboard = Self::start_dashboard(&dir);
        let bed = Self {
            dir,
            dashboard,
            port,
        };
        bed.online().await;
        bed
    }

    fn start_dashboard(dir: &TempDir) -> Process {
        let mut command = Command::new(neighbour("codis-dashboard"));
        command.arg("-c").arg(dir.path().join("dashboard.toml"));
        Process::start(command, &dir.path().join("dashboard.log"))
    }

    /// Kills the dashboard and starts it again.
    pub async fn restart_dashboard(&mut self) {
        self.dashboard.kill();
        self.dashboard = Self::start_dashboard(&self.dir);
        self.online().await;
    }

    async fn online(&self) {
        until("the dashboard is online", async || {
            let ready = call(&self.addr(), "GET", "/ready", "").await;
            ready.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }

    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A change that must succeed; `X` stands for the secret. One that is late is asked for again.
    pub async fn put(&self, path: &str) {
        let secret = format!("/{}", xauth::dashboard(PRODUCT));
        let path = format!("/api/topom/{}", path.replacen("/X", &secret, 1));
        let mut again = false;
        until(&path, async || {
            let answer = call(&self.addr(), "PUT", &path, "").await.unwrap();
            let is_done = answer.status == 200 || again && patience::is_done(&answer.body);
            again = true;
            assert!(
                is_done || patience::is_late(&answer.body),
                "{}",
                answer.body
            );
            is_done
        })
        .await;
    }

    pub async fn stats(&self) -> Stats {
        let answer = call(&self.addr(), "GET", "/topom/stats", "").await.unwrap();
        json::decode(answer.body.as_bytes()).unwrap()
    }

    /// What the audit log tells of this call, once it has ended.
    pub async fn audited(&self, what: &str) -> serde_json::Value {
        let path = format!("/api/topom/audit/{}/1000", xauth::dashboard(PRODUCT));
        let found = async || {
            let answer = call(&self.addr(), "GET", &path, "").await.unwrap();
            let entries: Vec<serde_json::Value> = serde_json::from_str(&answer.body).unwrap();
            let is = |e: &serde_json::Value| e["kind"] == "call" && e["what"] == what;
            entries.into_iter().find(is)
        };
        until("the call is in the audit log", async || {
            found().await.is_some()
        })
        .await;
        found().await.unwrap()
    }

    /// The servers of group 1 in order.
    pub async fn order(&self) -> Vec<String> {
        let groups = self.stats().await.group.models;
        let group = groups.into_iter().find(|group| group.id == 1).unwrap();
        group
            .servers
            .into_iter()
            .map(|server| server.addr)
            .collect()
    }

    /// Group 1 of a master with one replica that is in step; both are known to the dashboard.
    pub async fn pair(&self) -> [Redis; 2] {
        let (master, replica) = (self.redis().await, self.redis().await);
        self.put("group/create/X/1").await;
        for server in [&master, &replica] {
            self.put(&format!("group/add/X/1/{}", server.addr)).await;
        }
        self.put(&format!("group/action/create/X/{}", replica.addr))
            .await;
        until("the replica is in step", async || {
            let stats = self.stats().await.group.stats;
            let field = |name: &str| stats.get(&replica.addr)?.stats.get(name).cloned();
            field("master_link_status").as_deref() == Some("up")
        })
        .await;
        [master, replica]
    }

    /// A real Redis server that keeps nothing on disk.
    pub async fn redis(&self) -> Redis {
        self.redis_at(free_port()).await
    }

    pub async fn redis_at(&self, port: u16) -> Redis {
        let dir = self.path(&format!("redis-{port}"));
        std::fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsave \"\"\nrepl-diskless-sync-delay 0\n",
            dir.display()
        );
        std::fs::write(dir.join("redis.conf"), text).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(dir.join("redis.conf"));
        let redis = Redis {
            process: Process::start(command, &dir.join("log")),
            addr: format!("127.0.0.1:{port}"),
            port,
        };
        until(
            "redis-server answers (is it installed? scripts/setup)",
            async || redis.call(&["PING"]).await.is_ok(),
        )
        .await;
        redis
    }

    /// Waits for a sentinel on `port`; gives its address.
    pub async fn sentinel_at(&self, port: u16) -> String {
        let addr = format!("127.0.0.1:{port}");
        until("the sentinel answers", async || {
            tokio::net::TcpStream::connect(&addr).await.is_ok()
        })
        .await;
        addr
    }

    /// A real proxy that is online.
    pub async fn proxy(&self) -> Process {
        let (admin, data) = (free_port(), free_port());
        let config = self.path("proxy.toml");
        let text = format!(
            "product_name = \"{PRODUCT}\"\nadmin_addr = \"127.0.0.1:{admin}\"\n\
             proto_type = \"tcp4\"\nproxy_addr = \"127.0.0.1:{data}\"\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(neighbour("codis-proxy"));
        command.arg("-c").arg(config);
        let process = Process::start(command, &self.path("proxy.log"));
        let admin = format!("127.0.0.1:{admin}");
        until("the proxy answers", async || {
            call(&admin, "GET", "/proxy/model", "").await.is_ok()
        })
        .await;
        self.put(&format!("proxy/create/X/{admin}")).await;
        process
    }

    /// A codis-ha that looks each second.
    pub fn ha(&self, flags: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codis-ha"));
        command.arg(format!("--dashboard={}", self.addr()));
        command.arg("--interval=1").args(flags);
        Process::start(command, &self.path("ha.log"))
    }
}

/// Waits until codis-ha has written `text`.
pub async fn says(ha: &Process, text: &str) {
    until(&format!("codis-ha says `{text}`"), async || {
        ha.log().contains(text)
    })
    .await;
}

/// Waits until codis-ha has looked at so many lines of a kind from now on.
pub async fn sees(ha: &Process, line: &str, times: usize) {
    let seen = || ha.log().matches(line).count();
    let before = seen();
    until(&format!("codis-ha sees `{line}`"), async || {
        seen() >= before + times
    })
    .await;
}

/// A Redis server.
pub struct Redis {
    pub process: Process,
    pub addr: String,
    pub port: u16,
}

impl Redis {
    /// One command on a connection of its own.
    pub async fn call(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        codis_bed::redis::call(&self.addr, words).await
    }

    /// One field of `INFO`.
    pub async fn info(&self, field: &str) -> Option<String> {
        codis_bed::redis::info(&self.addr, field).await
    }

    /// Whether it follows `master` with a link that is up.
    pub async fn follows(&self, master: &Self) -> bool {
        self.info("master_port").await == Some(master.port.to_string())
            && self.info("master_link_status").await.as_deref() == Some("up")
    }
}
