//! What the cluster is made of, and the tool as the test uses it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::time::Instant;

use codis_admin::actions::{ACTIONS, Action};
use codis_admin::cli;
use codis_bed::patience;
use codis_bed::process::{Process, free_port, neighbour};
pub use codis_bed::redis::{call, info};
pub use codis_bed::wait::{WAIT_MAX, until};
use codis_core::model::Group;
use codis_core::{json, paths};
use codis_runtime::coordinator::{self, Shared};
use serde_json::Value;
use tempfile::TempDir;

use crate::tool::{admin, admin_with, refusal, stderr, stdout};

/// The product.
pub const PRODUCT: &str = "demo";

/// A process and where it listens.
pub struct Peer {
    pub process: Process,
    pub addr: String,
}

/// A proxy.
pub struct ProxyPeer {
    pub process: Process,
    /// Its admin address.
    pub admin: String,
    /// Where clients connect.
    pub data: String,
}

/// A cluster under test.
pub struct Life {
    dir: TempDir,
    /// The option that names the coordinator.
    store_option: String,
    settings: String,
    /// The store, as the test looks at it.
    pub records: Shared,
    /// The dashboard, the one that leads if there are two.
    pub board: Peer,
    /// One that stands by. With it, the tool gets both addresses from its environment, and asks
    /// this one first.
    pub standby: Option<Peer>,
    /// Servers: three for the groups, and one that joins later.
    pub servers: Vec<Peer>,
    /// Proxies, in the order in which they joined.
    pub proxies: Vec<ProxyPeer>,
    /// Sentinels.
    pub sentinels: Vec<Peer>,
    /// Which patterns were used.
    used: RefCell<BTreeSet<String>>,
}

impl Life {
    /// A dashboard on an empty store, and servers that belong to nobody yet.
    pub async fn begin(name: &'static str, addr: String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let records = coordinator::open(name, &addr, "").await.unwrap();
        let settings = format!(
            "coordinator_name = \"{name}\"\ncoordinator_addr = \"{addr}\"\n\
             product_name = \"{PRODUCT}\"\nsentinel_down_after = \"10s\"\n"
        );
        let board = dashboard(&dir, &settings);
        let servers = (0..4).map(|_| redis(&dir)).collect();
        let life = Self {
            store_option: format!("--{name}={addr}"),
            dir,
            settings,
            records,
            board,
            standby: None,
            servers,
            proxies: Vec::new(),
            sentinels: Vec::new(),
            used: RefCell::default(),
        };
        life.board_leads().await;
        for server in &life.servers {
            until(
                "redis-server answers (is it installed? scripts/setup)",
                async || call(&server.addr, &["PING"]).await.is_ok(),
            )
            .await;
        }
        life
    }

    /// Starts a dashboard that stands by.
    pub async fn stand_by(&mut self) {
        let standby = dashboard(&self.dir, &self.settings);
        until("the other dashboard stands by", async || {
            let option = format!("--dashboard={}", standby.addr);
            admin(&[&option, "--slots-status"]).status.success()
        })
        .await;
        self.standby = Some(standby);
    }

    /// Kills the dashboard that leads, if another is there; another stands by for that one then.
    pub async fn lose_leader(&mut self) {
        let Some(heir) = self.standby.take() else {
            return;
        };
        self.board.process.kill();
        self.board = heir;
        self.board_leads().await;
        self.stand_by().await;
    }

    /// Starts another dashboard in place of the one that is gone.
    pub async fn another_board(&mut self) {
        self.board = dashboard(&self.dir, &self.settings);
        self.board_leads().await;
    }

    async fn board_leads(&self) {
        until("the dashboard leads", async || {
            let option = format!("--dashboard={}", self.board.addr);
            admin(&[&option, "--slots-status"]).status.success()
        })
        .await;
    }

    /// Starts a proxy that knows of no dashboard.
    pub async fn proxy(&mut self) {
        let (admin_port, data_port) = (free_port(), free_port());
        let admin_addr = format!("127.0.0.1:{admin_port}");
        let data = format!("127.0.0.1:{data_port}");
        let text = format!(
            "product_name = \"{PRODUCT}\"\nadmin_addr = \"{admin_addr}\"\n\
             proto_type = \"tcp4\"\nproxy_addr = \"{data}\"\n"
        );
        let config = self.dir.path().join(format!("proxy-{admin_port}.toml"));
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(neighbour("codis-proxy"));
        command.arg("-c").arg(config);
        let log = self.dir.path().join(format!("proxy-{admin_port}.log"));
        let proxy = ProxyPeer {
            process: Process::start(command, &log),
            admin: admin_addr,
            data,
        };
        until("the proxy answers", async || {
            let option = format!("--proxy={}", proxy.admin);
            admin(&[&option, "model"]).status.success()
        })
        .await;
        self.proxies.push(proxy);
    }

    /// Starts a sentinel.
    pub async fn sentinel(&mut self) {
        let port = free_port();
        let dir = self.dir.path().join(format!("sentinel-{port}"));
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("sentinel.conf");
        let shown = dir.display();
        let text = format!("bind 127.0.0.1\nport {port}\ndir {shown}\nprotected-mode no\n");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(neighbour("codis-sentinel"));
        command.arg(config).current_dir(&dir);
        let sentinel = Peer {
            process: Process::start(command, &dir.join("log")),
            addr: format!("127.0.0.1:{port}"),
        };
        until("the sentinel answers", async || {
            call(&sentinel.addr, &["PING"]).await.is_ok()
        })
        .await;
        self.sentinels.push(sentinel);
    }

    /// A path for a file of the test.
    pub fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Runs the tool on the dashboard, or on both.
    pub fn on_board(&self, words: &[&str]) -> Output {
        match &self.standby {
            None => self.run(&format!("--dashboard={}", self.board.addr), words),
            Some(standby) => {
                let both = format!("{},{}", standby.addr, self.board.addr);
                self.run_with(&both, "", words)
            }
        }
    }

    /// Runs the tool on the store.
    pub fn on_store(&self, words: &[&str]) -> Output {
        self.run(&self.store_option, words)
    }

    /// Runs the tool on a proxy.
    pub fn on_proxy(&self, proxy: usize, words: &[&str]) -> Output {
        self.run(&format!("--proxy={}", self.proxies[proxy].admin), words)
    }

    /// Runs the tool, and remembers which pattern of its table that was.
    pub fn run(&self, target: &str, words: &[&str]) -> Output {
        self.run_with("", target, words)
    }

    fn run_with(&self, dashboards: &str, target: &str, words: &[&str]) -> Output {
        let all: Vec<&str> = [target]
            .into_iter()
            .chain(words.iter().copied())
            .filter(|word| !word.is_empty())
            .collect();
        let line = ["codis-admin"].iter().chain(&all);
        let line = line.map(|word| (*word).to_owned());
        let given = Some(dashboards.to_owned()).filter(|given| !given.is_empty());
        if let Ok(invocation) = cli::parse(line, given) {
            let shown = pattern(invocation.action);
            self.used.borrow_mut().insert(shown);
        }
        admin_with(dashboards, &all)
    }

    /// A change at the dashboard that must succeed and print nothing. One that is late is asked for
    /// again, as an operator would.
    pub fn done(&self, words: &[&str]) {
        let begun = Instant::now();
        let mut output = self.on_board(words);
        while patience::is_late(&stderr(&output)) && begun.elapsed() < WAIT_MAX {
            eprintln!("again: {words:?}: {}", stderr(&output));
            output = self.on_board(words);
            if patience::is_done(&stderr(&output)) {
                return;
            }
        }
        assert_eq!(stdout(&output), "", "{words:?}");
    }

    /// A change at the dashboard that must be refused for this reason.
    pub fn refused(&self, words: &[&str], reason: &str) {
        let told = refusal(&self.on_board(words));
        assert!(told.contains(reason), "{words:?}: {told}");
    }

    /// What the dashboard answers to a question.
    pub fn asked(&self, words: &[&str]) -> Value {
        parsed(&self.on_board(words))
    }

    /// A group as the dashboard has it; the store must have it alike. The dashboard may clear a
    /// mark between the two looks.
    pub async fn group(&self, id: u32) -> Group {
        let found = RefCell::new(None);
        until("the store has what the API tells", async || {
            let told = stdout(&self.on_board(&["--list-group"]));
            let groups: Vec<Group> = json::decode(told.as_bytes()).unwrap();
            let group = groups.into_iter().find(|group| group.id == id).unwrap();
            let record = self.record(&paths::group(PRODUCT, id)).await.unwrap();
            let record: Group = serde_json::from_value(record).unwrap();
            let is_alike = record == group;
            *found.borrow_mut() = Some(group);
            is_alike
        })
        .await;
        found.into_inner().unwrap()
    }

    /// A record of the store.
    pub async fn record(&self, path: &str) -> Option<Value> {
        let text = self.records.read(path).await.unwrap()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// The group of a slot by its record; 0 without one.
    pub async fn owner(&self, slot: u16) -> u64 {
        let record = self.record(&paths::slot(PRODUCT, slot)).await;
        record.map_or(0, |record| record["group_id"].as_u64().unwrap())
    }

    /// Waits until all proxies route as the dashboard wants them to.
    pub async fn proxies_in_step(&self) {
        until("the proxies route as the dashboard wants", async || {
            let wanted = self.asked(&["--slots-status"]);
            (0..self.proxies.len()).all(|proxy| {
                let held = parsed(&self.on_proxy(proxy, &["slots"]));
                routes(&held) == routes(&wanted)
            })
        })
        .await;
    }

    /// Every pattern of the table was used.
    pub fn nothing_was_left_out(&self) {
        let used = self.used.borrow();
        let unused: Vec<String> = ACTIONS
            .iter()
            .map(pattern)
            .filter(|pattern| !used.contains(pattern))
            .collect();
        assert_eq!(unused, Vec::<String>::new(), "never used in this life");
    }
}

fn pattern(action: &Action) -> String {
    format!("{:?} {} {}", action.target, action.verb, action.form)
}

/// What a question printed.
pub fn parsed(output: &Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error} in `{text}`, aside: {}", stderr(output));
    })
}

/// Where each slot goes, and whence keys may still come.
fn routes(slots: &Value) -> Vec<(u64, Value, Value, bool)> {
    let slots = slots.as_array().unwrap();
    let mut routes: Vec<_> = slots
        .iter()
        .map(|slot| {
            let locked = slot["locked"].as_bool().unwrap_or(false);
            (
                slot["id"].as_u64().unwrap(),
                slot["backend_addr"].clone(),
                slot["migrate_from"].clone(),
                locked,
            )
        })
        .collect();
    routes.sort_by_key(|route| route.0);
    routes
}

fn dashboard(dir: &TempDir, settings: &str) -> Peer {
    let port = free_port();
    let config = dir.path().join(format!("dashboard-{port}.toml"));
    let text = format!("{settings}admin_addr = \"127.0.0.1:{port}\"\n");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(neighbour("codis-dashboard"));
    command.arg("-c").arg(config);
    let log = dir.path().join(format!("dashboard-{port}.log"));
    Peer {
        process: Process::start(command, &log),
        addr: format!("127.0.0.1:{port}"),
    }
}

fn redis(dir: &TempDir) -> Peer {
    let port = free_port();
    let dir = dir.path().join(format!("redis-{port}"));
    std::fs::create_dir_all(&dir).unwrap();
    let text = format!(
        "bind 127.0.0.1\nport {port}\ndir {}\nsave \"\"\nappendonly no\n\
         repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n",
        dir.display()
    );
    std::fs::write(dir.join("redis.conf"), text).unwrap();
    let mut command = Command::new("redis-server");
    command.arg(dir.join("redis.conf"));
    Peer {
        process: Process::start(command, &dir.join("log")),
        addr: format!("127.0.0.1:{port}"),
    }
}
