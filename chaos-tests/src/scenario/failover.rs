//! The master of group 1 is lost under load, another takes over, the old one returns.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;

use crate::checker;
use crate::cluster::{Cluster, Masters};
use crate::events::Events;
use crate::layout::Group;
use crate::query;
use crate::talk::Talk;
use crate::workload::{self, History, LaneKind, Workload};

use super::judge::{self, Exposure, Limit};
use super::scripts;
use super::timeline::Story;
use super::{Failover, Moment, Report, Scenario};

/// The group whose master is lost.
const GROUP: u32 = 1;
/// Writes that every writer has acknowledged before the fault.
const WARM_WRITES: u64 = 200;
const WARM_MAX: Duration = Duration::from_secs(30);
/// How long the run waits for writes to resume; far beyond the limit, to report the real time.
const RESUME_MAX: Duration = Duration::from_secs(60);
/// Traffic goes on this long after each step, so that late errors are seen.
pub const SETTLE: Duration = Duration::from_secs(1);
/// How long all parts may take to agree before the report is made without that.
pub const AGREE_MAX: Duration = Duration::from_secs(60);
const READ_BACK_MAX: Duration = Duration::from_secs(30);
pub const POLL: Duration = Duration::from_millis(10);

/// When things were done to the master.
struct Fault {
    /// Just before it.
    at: Instant,
    /// When its sockets were surely closed; unset for a master that hangs.
    gone: Option<Instant>,
}

/// How the old master returned.
struct Return {
    at: Instant,
    follows: Result<Duration, String>,
    agreed: Result<(Masters, Duration), String>,
}

/// One run: fault, recovery, return, check.
pub async fn run(
    scenario: Scenario,
    cluster: &mut Cluster,
    events: &Events,
    number: usize,
    talk: &Talk,
) -> anyhow::Result<Report> {
    let before = cluster.agree(AGREE_MAX).await.context("before the fault")?;
    let (old, epoch) = before
        .get(&GROUP)
        .cloned()
        .context("group 1 has no master")?;
    let stem = format!("{}-{number}", std::process::id());
    let workload = Workload::start(cluster.layout(), &stem)?;
    talk.step("writing and reading through both proxies");
    warm_up(&workload).await?;
    talk.step(format!("{}: {old}", scenario.name()));
    let fault = strike(scenario, cluster, &old)?;
    talk.step("waiting for writes to resume");
    let resumed = wait_resumed(&workload).await;
    tokio::time::sleep(SETTLE).await;
    talk.step(format!("bringing {old} back"));
    let returned = bring_back(scenario, cluster, &old).await?;
    tokio::time::sleep(SETTLE).await;
    let history = workload.stop()?;
    talk.step("reading everything back");
    let lists = read_back(cluster, &history)?;
    let aftermath = Aftermath {
        scenario,
        old,
        epoch,
        fault,
        resumed,
        returned,
        history,
        lists,
    };
    talk.rest();
    Ok(aftermath.report(cluster, events))
}

pub async fn warm_up(workload: &Workload) -> anyhow::Result<()> {
    let deadline = Instant::now() + WARM_MAX;
    while workload.acked_min() < WARM_WRITES {
        if Instant::now() >= deadline {
            let got = workload.acked_min();
            anyhow::bail!("a writer got only {got} writes through in {WARM_MAX:?}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn strike(scenario: Scenario, cluster: &mut Cluster, master: &Addr) -> anyhow::Result<Fault> {
    let process = cluster.process(master)?;
    let at = Instant::now();
    let gone = if scenario.is_freeze() {
        process.freeze();
        None
    } else {
        process.kill();
        Some(Instant::now())
    };
    Ok(Fault { at, gone })
}

/// Waits until every writer of the group has written again; false when that does not happen.
async fn wait_resumed(workload: &Workload) -> bool {
    // What is acknowledged now may have been on its way; two more writes cannot have been.
    let at_fault = workload.acked(GROUP);
    let deadline = Instant::now() + RESUME_MAX;
    while Instant::now() < deadline {
        let now = workload.acked(GROUP);
        if now
            .iter()
            .zip(&at_fault)
            .all(|(now, then)| *now >= then + 2)
        {
            return true;
        }
        tokio::time::sleep(POLL).await;
    }
    false
}

async fn bring_back(
    scenario: Scenario,
    cluster: &mut Cluster,
    old: &Addr,
) -> anyhow::Result<Return> {
    let at = Instant::now();
    if scenario.is_freeze() {
        cluster.process(old)?.thaw();
    } else {
        cluster.restart(old)?;
    }
    let follows = wait_follows(old, at).await;
    let agreed = cluster.agree(AGREE_MAX).await;
    let agreed = agreed.map(|masters| (masters, at.elapsed()));
    Ok(Return {
        at,
        follows,
        agreed: agreed.map_err(|error| format!("{error:#}")),
    })
}

/// Waits until the server says that it is a replica.
pub async fn wait_follows(server: &Addr, since: Instant) -> Result<Duration, String> {
    loop {
        let info = query::info(server, "replication").await;
        let role = info.ok().and_then(|mut info| info.remove("role"));
        if role.as_deref() == Some("slave") {
            return Ok(since.elapsed());
        }
        if since.elapsed() >= AGREE_MAX {
            return Err(format!("still not a replica after {AGREE_MAX:?}"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Every list, through both proxies in turn.
pub fn read_back(
    cluster: &Cluster,
    history: &History,
) -> anyhow::Result<BTreeMap<String, Vec<u64>>> {
    let deadline = Instant::now() + READ_BACK_MAX;
    let proxies: Vec<_> = cluster
        .layout()
        .proxies()
        .map(|proxy| &proxy.addr)
        .collect();
    let mut lists = BTreeMap::new();
    for ((lane, _), proxy) in history.lanes.iter().zip(proxies.iter().cycle()) {
        if let LaneKind::Writer { key } = &lane.kind {
            lists.insert(key.clone(), workload::read_list(proxy, key, deadline)?);
        }
    }
    Ok(lists)
}

/// Everything that a run left to judge.
struct Aftermath {
    scenario: Scenario,
    old: Addr,
    epoch: Epoch,
    fault: Fault,
    resumed: bool,
    returned: Return,
    history: History,
    lists: BTreeMap<String, Vec<u64>>,
}

impl Aftermath {
    fn report(&self, cluster: &Cluster, events: &Events) -> Report {
        let group = &cluster.layout().groups[GROUP as usize - 1];
        let (new, epoch) = self.successor(group);
        let events = events.since(self.fault.at);
        let monitor = group.monitor();
        let story = Story {
            group: GROUP,
            monitor: &monitor,
            fault: self.fault.at,
            old: &self.old,
            new: &new,
            history: &self.history,
            events: &events,
        };
        let findings = checker::check(&self.history, &self.lists);
        let errors = judge::errors(&self.history, &self.exposure(cluster, &story));
        let mut limits = vec![
            judge::resume_limit(
                cluster.planner().settings().down_after,
                self.resume_time(cluster, &story),
            ),
            judge::errors_limit(&errors),
        ];
        limits.extend(judge::data_limits(&findings));
        limits.push(judge::rejoin_limit(self.rejoined(&new, epoch)));
        limits.extend(self.script_limits(cluster, &monitor, &new));
        Report {
            scenario: self.scenario,
            failover: Some(Failover {
                group: GROUP,
                old_master: self.old.to_string(),
                new_master: new.to_string(),
                epochs: (self.epoch.0, epoch.0),
            }),
            succession: None,
            timeline: self.moments(cluster, &story),
            operations: self.history.ops().count(),
            errors,
            findings,
            remarks: self.remarks(),
            limits,
        }
    }

    /// Who took over: by agreement, or else the other server of the group.
    fn successor(&self, group: &Group) -> (Addr, Epoch) {
        let agreed = self.returned.agreed.as_ref().ok();
        let agreed = agreed.and_then(|(masters, _)| masters.get(&GROUP).cloned());
        let other = group.servers.iter().find(|server| **server != self.old);
        agreed.unwrap_or_else(|| (other.unwrap_or(&self.old).clone(), Epoch::ZERO))
    }

    /// A request can have been on its way to a killed master until its sockets were closed, and to
    /// one that hangs until the proxy had another.
    fn exposure(&self, cluster: &Cluster, story: &Story<'_>) -> Exposure {
        let proxies = cluster.layout().proxies().map(|proxy| &proxy.addr);
        let until = proxies.filter_map(|proxy| {
            let until = match self.fault.gone {
                Some(gone) => gone,
                None => story.first_write_after(proxy)?.done,
            };
            Some((proxy.clone(), until))
        });
        Exposure {
            groups: vec![GROUP],
            from: Some(self.fault.at),
            until: until.collect(),
            held: None,
        }
    }

    /// How long the slower proxy took; nothing when one never wrote again.
    fn resume_time(&self, cluster: &Cluster, story: &Story<'_>) -> Option<Duration> {
        let mut slowest = Duration::ZERO;
        for proxy in cluster.layout().proxies() {
            let first = story.first_write_after(&proxy.addr)?.done;
            slowest = slowest.max(first.saturating_duration_since(self.fault.at));
        }
        self.resumed.then_some(slowest)
    }

    fn rejoined(&self, new: &Addr, epoch: Epoch) -> Result<Duration, String> {
        self.returned.follows.clone()?;
        let (_, after) = self.returned.agreed.clone()?;
        if *new == self.old {
            return Err("it is master again".to_owned());
        }
        if epoch <= self.epoch {
            return Err(format!("the epoch stayed at {epoch}"));
        }
        Ok(after)
    }

    fn script_limits(&self, cluster: &Cluster, monitor: &str, new: &Addr) -> [Limit; 2] {
        let calls = scripts::calls(cluster, monitor, &self.old, new);
        let all = cluster.layout().sentinels().count();
        let limit = |name, count| Limit::new(name, all, count, count == all);
        [
            limit("sentinels that ran the notification script", calls.notified),
            limit("sentinels that ran the reconfig script", calls.reconfigured),
        ]
    }

    fn moments(&self, cluster: &Cluster, story: &Story<'_>) -> Vec<Moment> {
        let mut moments = story.moments(cluster.layout());
        let back = if self.scenario.is_freeze() {
            "old master thawed"
        } else {
            "old master started"
        };
        moments.push(story.moment(back, self.returned.at, &self.old));
        if let Ok(after) = self.returned.follows {
            let at = self.returned.at + after;
            moments.push(story.moment("old master follows", at, &self.old));
        }
        if let Ok((_, after)) = &self.returned.agreed {
            let at = self.returned.at + *after;
            moments.push(story.moment("all parts agree", at, "all"));
        }
        moments
    }

    fn remarks(&self) -> Vec<String> {
        let open = self.returned.follows.as_ref().ok();
        open.map(|open| {
            let open = judge::millis(*open);
            format!("Who asks the returned master directly could write to it for another {open}.")
        })
        .into_iter()
        .collect()
    }
}
