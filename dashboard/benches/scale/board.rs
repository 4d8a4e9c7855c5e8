//! The dashboard under test, as a process on a store of its own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use codis_core::model::{Group, GroupServer, SlotMapping};
use codis_core::{json, paths, xauth};
use codis_runtime::coordinator;
use codis_runtime::http::Client;
use tokio::time::Instant;

use super::Scale;
use super::proxies::Proxies;
use super::servers::Servers;

pub const PRODUCT: &str = "scale";

/// A running dashboard.
pub struct Board {
    child: Child,
    addr: String,
    client: Client,
    _dir: tempfile::TempDir,
}

impl Board {
    /// Writes the records of such a fleet and starts a dashboard on them.
    pub async fn start(
        scale: &Scale,
        servers: &Servers,
        proxies: &Proxies,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let store = dir.path().join("store").display().to_string();
        write(&store, scale, servers, proxies).await?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let addr = format!("127.0.0.1:{port}");
        let config = dir.path().join("dashboard.toml");
        let text = format!(
            "coordinator_name = \"filesystem\"\ncoordinator_addr = \"{store}\"\n\
             product_name = \"{PRODUCT}\"\nadmin_addr = \"{addr}\"\n"
        );
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(dir.path().join("log"))?;
        let child = Command::new(&scale.dashboard)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start the dashboard")?;
        let limit = Duration::from_secs(30);
        let board = Self {
            child,
            addr,
            client: Client::new(Duration::from_secs(1), limit),
            _dir: dir,
        };
        let deadline = Instant::now() + limit;
        while board.get("/topom/stats").await.is_err() {
            ensure!(Instant::now() < deadline, "the dashboard is not online");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(board)
    }

    /// Gives the size of an answer, as text.
    pub async fn get(&self, path: &str) -> anyhow::Result<usize> {
        raw::get(&self.addr, path).await
    }

    pub async fn put(&self, path: &str) -> anyhow::Result<()> {
        let path = format!("/api/topom/{path}/{}", xauth::dashboard(PRODUCT));
        self.client.put::<String>(&self.addr, &path).await?;
        Ok(())
    }

    /// The processor time that it has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name, which may hold anything, come the fields from the third on.
        let (_, fields) = stat.rsplit_once(") ").context("read /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(
            ticks * 1000 / rustix::param::clock_ticks_per_second(),
        ))
    }

    /// The bytes of it that are in memory.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .context("read /proc/PID/statm")?
            .parse()?;
        Ok(pages * rustix::param::page_size() as u64)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

mod raw {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    /// The size of the body, which is not taken apart: that would measure us.
    pub async fn get(addr: &str, path: &str) -> anyhow::Result<usize> {
        let mut stream = TcpStream::connect(addr).await?;
        let ask = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "no answer to {path}");
        Ok(answer.len())
    }
}

async fn write(
    store: &str,
    scale: &Scale,
    servers: &Servers,
    proxies: &Proxies,
) -> anyhow::Result<()> {
    let store = coordinator::open("filesystem", store, "").await?;
    let put = async |path: String, value: Vec<u8>| store.create(&path, &value).await;
    let groups = scale.groups as u32;
    for id in 1..=groups {
        let of_group = servers
            .addrs
            .iter()
            .skip(id as usize - 1)
            .step_by(scale.groups);
        let server = |addr: &String| GroupServer {
            addr: addr.clone(),
            ..GroupServer::default()
        };
        let group = Group {
            id,
            servers: of_group.map(server).collect(),
            ..Group::default()
        };
        put(paths::group(PRODUCT, id), json::encode(&group)).await?;
    }
    for id in 0..codis_core::slot::SLOTS as u16 {
        let slot = SlotMapping {
            id,
            group_id: u32::from(id) % groups + 1,
            ..SlotMapping::default()
        };
        put(paths::slot(PRODUCT, id), json::encode(&slot)).await?;
    }
    for (number, proxy) in proxies.all.iter().enumerate() {
        let record = codis_core::model::Proxy {
            id: number as u32 + 1,
            ..proxy.model()
        };
        put(paths::proxy(PRODUCT, &proxy.token), json::encode(&record)).await?;
    }
    Ok(())
}
