//! Servers, sentinels and dashboards that differ from the usual ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Bed, DOWN_AFTER_MILLIS, Dashboard, PRODUCT, Process, Redis, free_port, until};

impl Bed {
    /// A Redis server with these lines in its file, answering anything at all.
    pub async fn redis_with(&self, lines: &str) -> Redis {
        let port = free_port();
        let dir = self.path(&format!("redis-{port}"));
        std::fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsave \"\"\nappendonly no\n{lines}",
            dir.display()
        );
        std::fs::write(dir.join("redis.conf"), text).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(dir.join("redis.conf"));
        self.answering(command, port).await
    }

    /// A Redis server that has no config file.
    pub async fn redis_without_file(&self, flags: &str) -> Redis {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command
            .current_dir(self.path(""))
            .args(["--port", &port.to_string(), "--save", ""])
            .args(flags.split_whitespace());
        self.answering(command, port).await
    }

    async fn answering(&self, command: Command, port: u16) -> Redis {
        let redis = Redis {
            process: Process::start(command, &self.path(&format!("redis-{port}.log"))),
            addr: format!("127.0.0.1:{port}"),
        };
        until("redis-server answers", async || {
            match redis.call(&["PING"]).await {
                Ok(_) => true,
                Err(error) => error.code() == Some("NOAUTH"),
            }
        })
        .await;
        redis
    }

    /// Starts a server of [`Bed::redis`] that was killed, with its file as it left it.
    pub async fn redis_again(&self, redis: &mut Redis) {
        let dir = self.redis_dir(redis);
        let mut command = Command::new("redis-server");
        command.arg(dir.join("redis.conf"));
        redis.process = Process::start(command, &dir.join("log"));
        until("redis-server answers again", async || {
            redis.call(&["PING"]).await.is_ok()
        })
        .await;
    }

    /// Where a server of [`Bed::redis`] keeps its files.
    pub fn redis_dir(&self, redis: &Redis) -> PathBuf {
        let port = redis.addr.rsplit(':').next().unwrap();
        self.path(&format!("redis-{port}"))
    }

    /// Starts a sentinel that was killed, with an empty file.
    pub async fn restart_sentinel(&self, sentinel: &mut Redis, binary: &Path) {
        let port = sentinel.addr.rsplit(':').next().unwrap();
        let dir = self.path(&format!("sentinel-{port}"));
        std::fs::remove_dir_all(&dir).unwrap();
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("sentinel.conf");
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nprotected-mode no\n",
            dir.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(binary);
        command.arg(config).current_dir(&dir);
        sentinel.process = Process::start(command, &dir.join("log"));
        until("sentinel answers again", async || {
            sentinel.call(&["PING"]).await.is_ok()
        })
        .await;
    }

    /// A dashboard with these settings besides the usual ones, online.
    pub async fn dashboard_with(&self, settings: &str) -> Dashboard {
        self.dashboard_as(PRODUCT, settings).await
    }

    /// A dashboard of another product, online.
    pub async fn dashboard_of(&self, product: &str) -> Dashboard {
        self.dashboard_as(product, "").await
    }

    async fn dashboard_as(&self, product: &str, settings: &str) -> Dashboard {
        let port = free_port();
        let config = self.path(&format!("dashboard-{port}.toml"));
        let text = format!(
            "coordinator_name = \"filesystem\"\ncoordinator_addr = \"{}\"\n\
             product_name = \"{product}\"\nadmin_addr = \"127.0.0.1:{port}\"\n\
             sentinel_down_after = \"{DOWN_AFTER_MILLIS}ms\"\n\
             sentinel_failover_timeout = \"10s\"\n{settings}",
            self.path("store").display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_codis-dashboard"));
        command.arg("-c").arg(config);
        let log = self.path(&format!("dashboard-{port}.log"));
        let dashboard = Dashboard {
            process: Process::start(command, &log),
            addr: format!("127.0.0.1:{port}"),
            port,
            product: product.to_owned(),
        };
        dashboard.online().await;
        dashboard
    }
}
