//! A cluster of real processes on one net.
//!
//! Starting is idempotent: whatever the state directory already holds is found and kept, and only
//! what is missing is configured. A start that fails, or is dropped half-way, stops everything that
//! it started.

mod configure;
mod ready;
mod views;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use codis_core::addr::Addr;
use codis_core::ha::Term;

use crate::control::{Control, Who};
use crate::front::Fronts;
use crate::layout::{Layout, Member, Net, Role};
use crate::plans::{Planner, Settings};
use crate::preflight::{self, Programs, StateLock};
use crate::process::{Process, Stopped};
use crate::talk::Talk;

pub use views::{Masters, Opinion, Views, disagreements};

/// How long processes may take to end after SIGTERM; redis-server waits 10 s for its replicas.
const STOP_MAX: Duration = Duration::from_secs(12);

/// What to start, where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The net of all addresses.
    pub net: Net,
    /// Data, config and logs; kept between runs.
    pub state: PathBuf,
    /// Where the programs are.
    pub programs: Programs,
    /// Times of failover.
    pub settings: Settings,
}

/// A process that ended without being told to.
#[derive(Debug)]
pub struct Ended {
    /// Which.
    pub member: Member,
    /// How.
    pub status: ExitStatus,
}

/// The dashboard that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Where its API is.
    pub addr: Addr,
    /// Which leadership this is, counted from 1.
    pub term: Term,
}

/// Running processes of one layout. Dropping it stops them.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    planner: Planner,
    control: Control,
    state: PathBuf,
    processes: BTreeMap<String, Process>,
    fronts: Option<Fronts>,
    talk: Talk,
    _lock: StateLock,
}

impl Cluster {
    /// Starts everything, configures what is missing, and waits until all parts agree.
    ///
    /// Call it from a thread that lives as long as the cluster (not from a spawned task): the
    /// processes die with the thread that starts them.
    ///
    /// # Errors
    /// Something is in the way, a process does not start, or the parts do not agree in time; then
    /// nothing that was started is left.
    pub async fn up(options: &Options, talk: &Talk) -> anyhow::Result<Self> {
        let layout = Layout::six_hosts(options.net);
        let lock = preflight::check(&layout, &options.programs, &options.state)?;
        let state = std::path::absolute(&options.state)?;
        keep_net(&state, options.net)?;
        let planner = Planner::new(
            layout.clone(),
            options.programs.clone(),
            state.clone(),
            options.settings.clone(),
        );
        let mut cluster = Self {
            control: Control::new(layout.dashboards().map(|board| &board.addr)),
            layout,
            planner,
            state,
            processes: BTreeMap::new(),
            fronts: None,
            talk: talk.clone(),
            _lock: lock,
        };
        cluster.planner.write_scripts().context("write scripts")?;
        cluster.start_all(talk)?;
        cluster.wait_ready(talk).await?;
        configure::run(&cluster, talk).await?;
        talk.step("waiting until all parts agree");
        cluster.agree(configure::AGREE_MAX).await?;
        talk.rest();
        Ok(cluster)
    }

    /// What runs where.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The directory of data, config and logs.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where files of members are.
    pub const fn planner(&self) -> &Planner {
        &self.planner
    }

    /// The API of the dashboards.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// The dashboard that says that it leads.
    pub async fn leader(&self) -> Option<Leader> {
        for board in self.layout.dashboards() {
            if let Ok(Who {
                leading: true,
                term: Some(term),
                ..
            }) = self.control.who(&board.addr).await
            {
                let addr = board.addr.clone();
                return Some(Leader { addr, term });
            }
        }
        None
    }

    /// The process that listens for peers or clients on `addr`.
    ///
    /// # Errors
    /// No process of this cluster does.
    pub fn process(&mut self, addr: &Addr) -> anyhow::Result<&mut Process> {
        let member = self.layout.at(addr);
        member
            .and_then(|member| self.processes.get_mut(&member.name()))
            .with_context(|| format!("nothing of this cluster runs on {addr}"))
    }

    /// Starts the process of `addr` again after it ended.
    ///
    /// # Errors
    /// It still runs, or cannot be started.
    pub fn restart(&mut self, addr: &Addr) -> anyhow::Result<()> {
        if self.process(addr)?.ended().is_none() {
            anyhow::bail!("the process of {addr} still runs");
        }
        let member = self.layout.at(addr).cloned();
        let member = member.with_context(|| format!("no member has {addr}"))?;
        self.start(&member)
    }

    /// Processes that ended without being told to.
    pub fn ended(&mut self) -> Vec<Ended> {
        let processes = &mut self.processes;
        let look = |member: &Member| {
            let status = processes.get_mut(&member.name())?.ended()?;
            Some(Ended {
                member: member.clone(),
                status,
            })
        };
        self.layout.members.iter().filter_map(look).collect()
    }

    /// Waits until every part names the same masters, all servers follow them, and nothing is
    /// marked out of sync.
    ///
    /// # Errors
    /// They still differ after `limit`; the error says who differs how.
    pub async fn agree(&self, limit: Duration) -> anyhow::Result<Masters> {
        let deadline = Instant::now() + limit;
        loop {
            let views = Views::collect(self).await;
            match views.agreed(&self.layout) {
                Ok(masters) => return Ok(masters),
                Err(lines) if Instant::now() >= deadline => {
                    let seconds = limit.as_secs_f64();
                    anyhow::bail!(
                        "no agreement after {seconds:.1} s:\n  {}",
                        lines.join("\n  ")
                    )
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Stops everything: first those that would react to the end of the others. Data stays.
    pub fn stop(&mut self) {
        let redis = |member: &Member| matches!(member.role, Role::Redis { .. });
        let (data, rest): (Vec<_>, Vec<_>) = self.layout.members.iter().cloned().partition(redis);
        for wave in [rest, data] {
            self.stop_wave(&wave);
        }
        self.fronts = None;
        self.talk.rest();
    }

    fn stop_wave(&mut self, wave: &[Member]) {
        let deadline = Instant::now() + STOP_MAX;
        for member in wave {
            if let Some(process) = self.processes.get_mut(&member.name()) {
                process.terminate();
            }
        }
        for member in wave {
            let Some(mut process) = self.processes.remove(&member.name()) else {
                continue;
            };
            self.talk.step(format!("stopping {}", member.name()));
            if process.stop(deadline) == Stopped::Forced {
                self.talk
                    .line(format!("{} did not end in time: killed", member.name()));
            }
        }
    }

    fn start_all(&mut self, talk: &Talk) -> anyhow::Result<()> {
        if self.planner.settings().gives_slots {
            let servers = self.layout.redis().map(|member| member.addr.clone());
            let fronts = Fronts::before(servers.collect()).context("listen before servers")?;
            self.fronts = Some(fronts);
        }
        for member in self.layout.members.clone() {
            talk.step(format!("starting {}", member.name()));
            self.start(&member)?;
        }
        Ok(())
    }

    fn start(&mut self, member: &Member) -> anyhow::Result<()> {
        let start = || Process::start(self.planner.plan(member)?);
        let process = start().with_context(|| format!("start {}", member.name()))?;
        self.processes.insert(member.name(), process);
        Ok(())
    }

    async fn wait_ready(&mut self, talk: &Talk) -> anyhow::Result<()> {
        let deadline = Instant::now() + ready::READY_MAX;
        for member in self.layout.members.clone() {
            talk.step(format!("waiting for {}", member.name()));
            loop {
                let Err(error) = ready::check(&self.control, &member).await else {
                    break;
                };
                self.must_run(&member)?;
                if Instant::now() >= deadline {
                    let log = self.planner.log(&member);
                    let name = member.name();
                    return Err(
                        error.context(format!("{name} is not ready; its log is {}", log.display()))
                    );
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    fn must_run(&mut self, member: &Member) -> anyhow::Result<()> {
        let name = member.name();
        let Some(process) = self.processes.get_mut(&name) else {
            return Ok(());
        };
        if let Some(status) = process.ended() {
            let how = crate::process::describe(status);
            let log = process.plan().log.display();
            anyhow::bail!(
                "{name} ended with {how}; the end of {log}:\n{}",
                process.log_tail(10)
            );
        }
        Ok(())
    }
}

/// Addresses are in the memory of servers and sentinels, so a state directory stays on its net.
fn keep_net(state: &Path, net: Net) -> anyhow::Result<()> {
    let (file, wanted) = (state.join("net"), net.to_string());
    match std::fs::read_to_string(&file) {
        Ok(kept) if kept == wanted => Ok(()),
        Ok(kept) => anyhow::bail!(
            "{} holds a cluster of the net {kept}: use --net {kept}, or another --state",
            state.display()
        ),
        Err(_) => std::fs::write(&file, wanted).context("write the net of the state directory"),
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
