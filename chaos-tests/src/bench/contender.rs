//! Who is measured, and how each is started: one worker thread, where nothing else is said.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use codis_core::addr::Addr;
use codis_core::api::Slot;
use codis_core::slot::SLOTS;

use crate::preflight::on_path;
use crate::process::Plan;

/// One that answers the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// Our proxy, with so many worker threads.
    Ours(u16),
    /// Another build of our proxy, with so many worker threads.
    Baseline(u16),
    /// twemproxy; its program is called nutcracker.
    Twemproxy,
    /// haproxy, which passes bytes on to one server and looks at none.
    Haproxy,
    /// No proxy: one server.
    Direct,
}

/// The programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Our proxy.
    pub proxy: PathBuf,
    /// Another build of it.
    pub baseline: Option<PathBuf>,
    /// redis-server.
    pub redis: PathBuf,
    /// twemproxy.
    pub nutcracker: PathBuf,
    /// haproxy.
    pub haproxy: PathBuf,
}

impl Programs {
    /// These builds of ours, and the rest from the path.
    ///
    /// # Errors
    /// One is missing.
    pub fn find(proxy: PathBuf, baseline: Option<PathBuf>) -> anyhow::Result<Self> {
        for file in [Some(&proxy), baseline.as_ref()].into_iter().flatten() {
            if !file.is_file() {
                anyhow::bail!("{} is missing: build it with `make build`", file.display());
            }
        }
        let tool = |name: &str| {
            let sbin = Path::new("/usr/sbin").join(name);
            on_path(name)
                .or_else(|| sbin.is_file().then_some(sbin))
                .with_context(|| format!("{name} is not on the path: `make setup` installs it"))
        };
        Ok(Self {
            proxy,
            baseline,
            redis: tool("redis-server")?,
            nutcracker: tool("nutcracker")?,
            haproxy: tool("haproxy")?,
        })
    }
}

impl Contender {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Ours(1),
        Self::Ours(2),
        Self::Baseline(1),
        Self::Baseline(2),
        Self::Twemproxy,
        Self::Haproxy,
        Self::Direct,
    ];

    /// Its name on the command line and in results.
    pub fn name(self) -> String {
        match self {
            Self::Ours(1) => "ours".to_owned(),
            Self::Ours(workers) => format!("ours-{workers}"),
            Self::Baseline(1) => "baseline".to_owned(),
            Self::Baseline(workers) => format!("baseline-{workers}"),
            Self::Twemproxy => "twemproxy".to_owned(),
            Self::Haproxy => "haproxy".to_owned(),
            Self::Direct => "direct".to_owned(),
        }
    }

    /// The contender of that name.
    ///
    /// # Errors
    /// There is none; the error lists them.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        let names = Self::ALL.map(Self::name).join(", ");
        found.with_context(|| format!("no contender `{name}`; there are {names}"))
    }

    /// Whether it has more than one worker thread.
    pub const fn has_many_workers(self) -> bool {
        matches!(self, Self::Ours(2..) | Self::Baseline(2..))
    }

    /// How to start it: at `addr`, in front of `servers`, with its files below `dir`. A direct
    /// server is there already.
    ///
    /// # Errors
    /// `dir` cannot be written.
    pub fn plan(
        self,
        programs: &Programs,
        addr: &Addr,
        servers: &[Addr],
        dir: &Path,
    ) -> anyhow::Result<Option<Plan>> {
        let (program, args) = match self {
            Self::Ours(workers) => (&programs.proxy, ours(addr, servers, workers, dir)?),
            Self::Baseline(workers) => {
                let program = programs.baseline.as_ref();
                let program = program.context("there is no other build")?;
                (program, ours(addr, servers, workers, dir)?)
            }
            Self::Twemproxy => (&programs.nutcracker, twemproxy(addr, servers, dir)?),
            Self::Haproxy => (&programs.haproxy, haproxy(addr, &servers[0], dir)?),
            Self::Direct => return Ok(None),
        };
        Ok(Some(Plan {
            program: program.clone(),
            args,
            dir: dir.to_owned(),
            env: Vec::new(),
            log: dir.join("log"),
        }))
    }
}

fn ours(addr: &Addr, servers: &[Addr], workers: u16, dir: &Path) -> anyhow::Result<Vec<String>> {
    let admin = Addr::new(addr.host(), addr.port() + 1);
    let config = format!(
        "product_name = \"bench\"\nproto_type = \"tcp4\"\nproxy_addr = \"{addr}\"\n\
         admin_addr = \"{admin}\"\nproxy_max_clients = 15000\n"
    );
    let slots = (0..SLOTS as u16).map(|id| {
        let server = usize::from(id) % servers.len();
        Slot {
            id,
            backend_addr: servers[server].to_string(),
            backend_addr_group_id: server as u32 + 1,
            ..Slot::default()
        }
    });
    let slots: Vec<_> = slots.collect();
    let config = write(&dir.join("proxy.toml"), &config)?;
    let slots = write(&dir.join("slots.json"), &serde_json::to_string(&slots)?)?;
    Ok(vec![
        format!("--config={config}"),
        format!("--fillslots={slots}"),
        format!("--ncpu={workers}"),
        "--log-level=WARN".to_owned(),
    ])
}

fn twemproxy(addr: &Addr, servers: &[Addr], dir: &Path) -> anyhow::Result<Vec<String>> {
    let servers = servers.iter().map(|server| format!("   - {server}:1\n"));
    let config = format!(
        "bench:\n  listen: {addr}\n  hash: fnv1a_64\n  distribution: modula\n  redis: true\n  \
         preconnect: true\n  backlog: 4096\n  auto_eject_hosts: false\n  servers:\n{}",
        servers.collect::<String>()
    );
    let config = write(&dir.join("nutcracker.yml"), &config)?;
    let words = [
        ("--conf-file", config),
        ("--stats-addr", addr.host().to_owned()),
        ("--stats-port", (addr.port() + 1).to_string()),
        ("--mbuf-size", "16384".to_owned()),
        ("--verbose", "4".to_owned()),
        ("--output", dir.join("log").to_string_lossy().into_owned()),
        ("--pid-file", dir.join("pid").to_string_lossy().into_owned()),
    ];
    let words = words.into_iter();
    Ok(words
        .map(|(flag, value)| format!("{flag}={value}"))
        .collect())
}

fn haproxy(addr: &Addr, server: &Addr, dir: &Path) -> anyhow::Result<Vec<String>> {
    let config = format!(
        "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
         timeout client 300s\n  timeout server 300s\nlisten bench\n  bind {addr}\n  \
         server redis {server}\n"
    );
    let config = write(&dir.join("haproxy.cfg"), &config)?;
    Ok(vec!["-f".to_owned(), config, "-db".to_owned()])
}

fn write(file: &Path, text: &str) -> anyhow::Result<String> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(file.to_string_lossy().into_owned())
}
