//! Three sentinels that watch hundreds of masters: what each costs, and how long it takes until all
//! of many masters that die at once are replaced.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use codis_core::addr::Addr;
use serde::Serialize;

use super::breed::{Breed, Breeds};
use super::fleet::Fleet;
use super::lab::{Member, start_sentinel};
use crate::figures;
use crate::query;
use crate::scenario::table;
use crate::talk::Talk;

const SENTINELS: usize = 3;
const SENTINEL_PORT: u16 = 26379;
/// How long everybody may take to know everybody.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long all failovers are waited for. Stock sentinels that split their votes about many masters
/// try again after twice failover-timeout, six minutes by default: that is not waited for.
const REPLACED_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Masters, each with one replica.
    pub masters: usize,
    /// Masters that die at once.
    pub die: usize,
    /// Down-after of all.
    pub down_after: Duration,
    /// How long the idle cost is measured.
    pub idle: Duration,
    /// The first two bytes of addresses.
    pub net: (u8, u8),
}

/// What one breed of sentinels showed.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// All three sentinels are of this breed.
    pub sentinels: Breed,
    /// Masters, each with one replica.
    pub masters: usize,
    /// Down-after in milliseconds.
    pub down_after_ms: u64,
    /// From the start until everybody knew everybody, in seconds.
    pub complete_s: f64,
    /// CPU of each sentinel while all is well, in percent of one processor.
    pub idle_cpu_percent: Vec<f64>,
    /// Memory of each sentinel while all is well, in MiB.
    pub idle_memory_mib: Vec<f64>,
    /// Masters that died at once.
    pub died: usize,
    /// Replicas that were promoted within a minute.
    pub promoted: usize,
    /// Promotions seen at the replicas: milliseconds from the deaths to the first, the middle and
    /// the last.
    pub promoted_ms: Option<(u64, u64, u64)>,
    /// Milliseconds from the deaths until every sentinel names every new master; none when that
    /// takes more than a minute.
    pub all_agree_ms: Option<u64>,
    /// CPU seconds of each sentinel from the deaths until all agreed.
    pub failover_cpu_s: Vec<f64>,
    /// Greatest memory of each sentinel, in MiB.
    pub peak_memory_mib: Vec<f64>,
}

/// Measures one breed.
///
/// # Errors
/// A program does not start, or a stage takes longer than five minutes.
pub async fn run(
    breeds: &Breeds,
    breed: Breed,
    plan: &Plan,
    state: &Path,
    talk: &Talk,
) -> anyhow::Result<Results> {
    anyhow::ensure!(plan.die <= plan.masters, "more deaths than masters");
    let state = std::path::absolute(state)?.join(format!("scale-{breed}"));
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    std::fs::create_dir_all(&state)?;
    let fleet = Fleet::start(plan.net, plan.masters)?;
    talk.step(format!(
        "{breed}: {} masters, until all are known",
        plan.masters
    ));
    let begin = Instant::now();
    let sentinels = start(breeds, breed, plan, &fleet, &state)?;
    wait_until_complete(&sentinels, plan.masters).await?;
    let complete = begin.elapsed();
    talk.step(format!("{breed}: idle for {:?}", plan.idle));
    let before = cpu(&sentinels)?;
    let measured = Instant::now();
    tokio::time::sleep(plan.idle).await;
    let span = measured.elapsed().as_secs_f64();
    let after = cpu(&sentinels)?;
    let idle_memory = memory(&sentinels, "VmRSS")?;
    talk.step(format!("{breed}: {} masters die", plan.die));
    let died = Instant::now();
    fleet.kill_masters(plan.die);
    let all = wait_until_replaced(&sentinels, &fleet, plan).await;
    let all_agree = all.then(|| millis(died.elapsed()));
    let spent = cpu(&sentinels)?;
    let promoted = (0..plan.die).filter_map(|pair| fleet.promoted(pair));
    let mut promoted: Vec<u64> = promoted.map(|at| millis(at - died)).collect();
    promoted.sort_unstable();
    let peak_memory = memory(&sentinels, "VmHWM")?;
    drop(sentinels);
    std::fs::remove_dir_all(&state)?;
    talk.rest();
    let ends = promoted.first().copied().zip(promoted.last().copied());
    let middle = promoted.get(promoted.len() / 2).copied();
    Ok(Results {
        sentinels: breed,
        masters: plan.masters,
        down_after_ms: millis(plan.down_after),
        complete_s: complete.as_secs_f64(),
        idle_cpu_percent: spent_between(&before, &after)
            .map(|seconds| seconds / span * 100.0)
            .collect(),
        idle_memory_mib: idle_memory,
        died: plan.die,
        promoted: promoted.len(),
        promoted_ms: ends
            .zip(middle)
            .map(|((first, last), middle)| (first, middle, last)),
        all_agree_ms: all_agree,
        failover_cpu_s: spent_between(&after, &spent).collect(),
        peak_memory_mib: peak_memory,
    })
}

fn name(pair: usize) -> String {
    format!("m{pair:04}")
}

fn start(
    breeds: &Breeds,
    breed: Breed,
    plan: &Plan,
    fleet: &Fleet,
    state: &Path,
) -> anyhow::Result<Vec<Member>> {
    let mut sentinels = Vec::new();
    for number in 1..=SENTINELS {
        let host = format!("{}.{}.255.{number}", plan.net.0, plan.net.1);
        let mut text = format!(
            "bind {host}\nport {SENTINEL_PORT}\nprotected-mode no\nsentinel announce-ip {host}\n"
        );
        for (pair, master) in fleet.masters().enumerate() {
            let (name, down_after) = (name(pair), plan.down_after.as_millis());
            let (host, port) = (master.host(), master.port());
            writeln!(text, "sentinel monitor {name} {host} {port} 2")?;
            writeln!(text, "sentinel down-after-milliseconds {name} {down_after}")?;
        }
        let addr = Addr::new(host, SENTINEL_PORT);
        let process = start_sentinel(breeds, breed, state, &addr, &text, &[])?;
        sentinels.push(Member {
            addr,
            breed,
            process,
        });
    }
    Ok(sentinels)
}

/// The fields of `SENTINEL MASTERS` that matter here: name, address, replicas, other sentinels.
async fn masters(sentinel: &Addr) -> anyhow::Result<Vec<(String, Addr, String, String)>> {
    let answer = query::ask(sentinel, &["SENTINEL", "MASTERS"]).await?;
    let rows: Vec<std::collections::BTreeMap<String, String>> = redis::from_redis_value(answer)?;
    let read = |row: std::collections::BTreeMap<String, String>| {
        let get = |key: &str| row.get(key).cloned().unwrap_or_default();
        let addr = Addr::new(get("ip"), get("port").parse().unwrap_or(0));
        (
            get("name"),
            addr,
            get("num-slaves"),
            get("num-other-sentinels"),
        )
    };
    Ok(rows.into_iter().map(read).collect())
}

async fn wait_until_complete(sentinels: &[Member], count: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let peers = (SENTINELS - 1).to_string();
    for sentinel in sentinels {
        loop {
            let rows = masters(&sentinel.addr).await.unwrap_or_default();
            let full = rows
                .iter()
                .filter(|(_, _, replicas, others)| replicas == "1" && *others == peers);
            let full = full.count();
            if full == count {
                break;
            }
            let late = format!("{} knows all of {full} of {count} masters", sentinel.addr);
            anyhow::ensure!(Instant::now() < deadline, late);
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

/// Whether all sentinels name all new masters in time.
async fn wait_until_replaced(sentinels: &[Member], fleet: &Fleet, plan: &Plan) -> bool {
    let deadline = Instant::now() + REPLACED_MAX;
    for sentinel in sentinels {
        loop {
            let rows = masters(&sentinel.addr).await.unwrap_or_default();
            let new = |pair: usize| {
                let row = rows.iter().find(|(it, ..)| *it == name(pair));
                row.is_some_and(|(_, addr, ..)| addr == fleet.replica(pair))
            };
            if (0..plan.die).all(new) {
                break;
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
    }
    true
}

fn cpu(sentinels: &[Member]) -> anyhow::Result<Vec<f64>> {
    sentinels
        .iter()
        .map(|it| figures::cpu_seconds(it.process.id()))
        .collect()
}

fn memory(sentinels: &[Member], field: &str) -> anyhow::Result<Vec<f64>> {
    sentinels
        .iter()
        .map(|it| figures::memory_mib(it.process.id(), field))
        .collect()
}

fn spent_between(before: &[f64], after: &[f64]) -> impl Iterator<Item = f64> {
    after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Several breeds beside each other.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Comparison(pub Vec<Results>);

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut header = vec!["3 sentinels".to_owned()];
        header.extend(self.0.iter().map(|it| it.sentinels.to_string()));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = table(&header);
        let list = |values: &[f64]| {
            let texts: Vec<String> = values.iter().map(|it| format!("{it:.1}")).collect();
            texts.join(" / ")
        };
        let mut row = |what: &str, cell: &dyn Fn(&Results) -> String| {
            let mut cells = vec![what.to_owned()];
            cells.extend(self.0.iter().map(cell));
            table.add_row(cells);
        };
        row("masters, each with a replica", &|it| it.masters.to_string());
        row("down-after, ms", &|it| it.down_after_ms.to_string());
        row("all known after, s", &|it| format!("{:.1}", it.complete_s));
        row("idle: CPU, % of one", &|it| list(&it.idle_cpu_percent));
        row("idle: memory, MiB", &|it| list(&it.idle_memory_mib));
        row("masters that die at once", &|it| it.died.to_string());
        row("replaced within a minute", &|it| it.promoted.to_string());
        row("promotions: first / middle / last, ms", &|it| {
            it.promoted_ms
                .map(|(first, middle, last)| format!("{first} / {middle} / {last}"))
                .unwrap_or_default()
        });
        row("all sentinels name all new masters, ms", &|it| {
            it.all_agree_ms
                .map_or_else(|| "not within a minute".to_owned(), |ms| ms.to_string())
        });
        row("failovers: CPU, s", &|it| list(&it.failover_cpu_s));
        row("greatest memory, MiB", &|it| list(&it.peak_memory_mib));
        write!(f, "{table}")
    }
}
