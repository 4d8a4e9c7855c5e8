//! The dashboard that leads is lost while slots move, another takes over, the old one returns.
//!
//! A killed one takes the master of the slots' source with it. A stopped one is thawed when the
//! other has led for a while and nothing is left to do, so that every change from then on is its.

mod aftermath;
mod moves;
mod records;

use std::time::{Duration, Instant};

use anyhow::Context as _;

use codis_core::addr::Addr;
use codis_core::ha::Term;

use crate::cluster::{Cluster, Leader, Masters};
use crate::events::Events;
use crate::talk::Talk;
use crate::workload::{self, Place, Workload};

use super::failover::{AGREE_MAX, POLL, SETTLE, read_back, wait_follows, warm_up};
use super::{Report, Scenario};

use aftermath::Aftermath;
use moves::{Course, MOVING};

/// How long the run waits for what has a limit of its own, to report the real time.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// Who is lost, and who is there to take over.
struct Cast {
    before: Masters,
    leader: Leader,
    heir: Addr,
    course: Course,
}

/// When things were done to whom.
#[derive(Clone, Debug)]
struct Blow {
    /// Just before the dashboard was lost.
    at: Instant,
    /// How many slots had not arrived by then.
    left: usize,
    /// The master that was killed too, just before and when its sockets were surely closed.
    master: Option<(Addr, Instant, Instant)>,
}

/// What the cluster did by itself.
struct Recovery {
    /// When the standby led, and under which term.
    led: Result<(Instant, Term), String>,
    /// When every writer had written again.
    resumed: Result<Instant, String>,
    /// When all slots had arrived.
    arrived: Result<Instant, String>,
}

/// How those that were lost returned.
struct Return {
    at: Instant,
    /// When the dashboard stood by and knew the leader.
    stands_by: Result<Instant, String>,
    /// What it changed meanwhile; known of one that was thawed.
    changed: Option<Vec<String>>,
    /// When the master followed the new one.
    follows: Option<Result<Instant, String>>,
    agreed: Result<(Masters, Instant), String>,
}

/// One run: slots move, fault, recovery, return, check.
pub async fn run(
    scenario: Scenario,
    cluster: &mut Cluster,
    events: &Events,
    number: usize,
    talk: &Talk,
) -> anyhow::Result<Report> {
    let cast = cast(cluster).await?;
    let stem = format!("{}-{number}", std::process::id());
    let mut places = workload::places(cluster.layout());
    places.push(Place {
        group: MOVING,
        slots: moves::SLOTS,
    });
    let workload = Workload::start_on(cluster.layout(), &places, &stem)?;
    talk.step("writing and reading through both proxies");
    warm_up(&workload).await?;
    talk.step(format!("moving slots: {}", cast.course));
    let left = moves::begin(cluster.control(), cast.course).await?;
    talk.step(format!("{}: {}", scenario.name(), cast.leader.addr));
    let blow = strike(scenario, cluster, &cast, left)?;
    let recovery = recover(cluster, &cast, &workload, talk).await;
    tokio::time::sleep(SETTLE).await;
    talk.step(format!("bringing {} back", cast.leader.addr));
    let returned = bring_back(scenario, cluster, &cast, &blow).await?;
    tokio::time::sleep(SETTLE).await;
    let history = workload.stop()?;
    talk.step("reading everything back");
    let lists = read_back(cluster, &history)?;
    talk.rest();
    let aftermath = Aftermath {
        scenario,
        cast,
        blow,
        recovery,
        returned,
        history,
        lists,
    };
    Ok(aftermath.report(cluster, events))
}

async fn cast(cluster: &Cluster) -> anyhow::Result<Cast> {
    let before = cluster.agree(AGREE_MAX).await.context("before the fault")?;
    let leader = wait("no dashboard leads", async || cluster.leader().await).await;
    let leader = leader.map_err(anyhow::Error::msg)?;
    let mut boards = cluster.layout().dashboards();
    let heir = boards.find(|board| board.addr != leader.addr);
    let heir = heir.context("the layout has one dashboard")?.addr.clone();
    let stats = wait("no dashboard tells where slots are", async || {
        cluster.control().stats().await.ok()
    });
    let course = Course::choose(&stats.await.map_err(anyhow::Error::msg)?)?;
    Ok(Cast {
        before,
        leader,
        heir,
        course,
    })
}

fn strike(
    scenario: Scenario,
    cluster: &mut Cluster,
    cast: &Cast,
    left: usize,
) -> anyhow::Result<Blow> {
    let board = cluster.process(&cast.leader.addr)?;
    let at = Instant::now();
    if scenario.is_freeze() {
        board.freeze();
        let master = None;
        return Ok(Blow { at, left, master });
    }
    board.kill();
    let source = cast.before.get(&cast.course.from);
    let (master, _) = source.context("the source has no master")?;
    let begun = Instant::now();
    cluster.process(master)?.kill();
    let master = Some((master.clone(), begun, Instant::now()));
    Ok(Blow { at, left, master })
}

async fn recover(cluster: &Cluster, cast: &Cast, workload: &Workload, talk: &Talk) -> Recovery {
    // What is acknowledged now may have been on its way; two more writes cannot have been.
    let groups = cluster.layout().groups.iter().map(|group| group.id);
    let groups: Vec<_> = groups.chain([MOVING]).collect();
    let acked = |workload: &Workload| -> Vec<u64> {
        let of = |group: &u32| workload.acked(*group);
        groups.iter().flat_map(of).collect()
    };
    let then = acked(workload);
    let control = cluster.control();
    talk.step(format!("waiting for {} to lead", cast.heir));
    let led = wait("it does not lead", async || {
        let who = control.who(&cast.heir).await.ok()?;
        who.term
            .filter(|_| who.leading)
            .map(|term| (Instant::now(), term))
    })
    .await;
    talk.step("waiting for writes to resume");
    let resumed = wait("a writer waits", async || {
        let now = acked(workload);
        let goes_on = now.iter().zip(&then).all(|(now, then)| *now >= then + 2);
        goes_on.then(Instant::now)
    })
    .await;
    talk.step("waiting for the slots to arrive");
    let arrived = wait("slots have not arrived", async || {
        let stats = control.stats_at(&cast.heir).await.ok()?;
        (cast.course.left(&stats) == 0).then(Instant::now)
    })
    .await;
    Recovery {
        led,
        resumed,
        arrived,
    }
}

async fn bring_back(
    scenario: Scenario,
    cluster: &mut Cluster,
    cast: &Cast,
    blow: &Blow,
) -> anyhow::Result<Return> {
    let before = records::read(cluster.state())?;
    let at = Instant::now();
    if scenario.is_freeze() {
        cluster.process(&cast.leader.addr)?.thaw();
    } else {
        cluster.restart(&cast.leader.addr)?;
    }
    if let Some((master, _, _)) = &blow.master {
        cluster.restart(master)?;
    }
    let heir = cast.heir.to_string();
    let stands_by = wait("it does not stand by", async || {
        let who = cluster.control().who(&cast.leader.addr).await.ok()?;
        let knows = !who.leading && who.leader.as_ref() == Some(&heir);
        knows.then(Instant::now)
    })
    .await;
    let changed = if scenario.is_freeze() {
        tokio::time::sleep(SETTLE).await;
        Some(records::changed(&before, &records::read(cluster.state())?))
    } else {
        None
    };
    let follows = match &blow.master {
        Some((master, _, _)) => {
            let follows = wait_follows(master, at).await;
            Some(follows.map(|after| at + after))
        }
        None => None,
    };
    let agreed = cluster.agree(AGREE_MAX).await;
    let agreed = agreed.map(|masters| (masters, Instant::now()));
    Ok(Return {
        at,
        stands_by,
        changed,
        follows,
        agreed: agreed.map_err(|error| format!("{error:#}")),
    })
}

/// Looks again and again until there is something to be seen.
async fn wait<T>(otherwise: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, String> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(seen) = look().await {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            return Err(format!("{otherwise} after {WAIT_MAX:?}"));
        }
        tokio::time::sleep(POLL).await;
    }
}
