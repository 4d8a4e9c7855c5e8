//! Quorums in which our sentinels sit beside those of another breed, and either side leads.
//!
//! One side is made to lead by a longer down-after of the other and, where it is alone, a quorum of
//! one: it stands on its own word, and needs the votes of the others.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use serde::Serialize;

use codis_core::addr::Addr;

use super::breed::{Breed, Breeds};
use super::lab::{Lab, Member, NAME, Spec, until};
use super::watch::Watch;
use crate::query;
use crate::scenario::table;
use crate::talk::Talk;

/// Stock sentinels, at a second or less, can take the new master for dead after a switch: they do
/// not reconnect before a second has passed.
const DOWN_AFTER: Duration = Duration::from_secs(3);
/// Down-after of the side that is not to lead.
const SLOW_DOWN_AFTER: Duration = Duration::from_secs(30);
const SWITCH_MAX: Duration = Duration::from_secs(30);

/// Which side is to lead the failover.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leader {
    /// One of ours.
    Ours,
    /// One of the others.
    Theirs,
}

/// One mix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Mix {
    /// The other breed.
    pub other: Breed,
    /// Sentinels of ours, of three.
    pub ours: usize,
    /// Who is to lead.
    pub leader: Leader,
}

impl Mix {
    /// Every mix with the breeds given.
    pub fn all(others: &[Breed]) -> Vec<Self> {
        let mut all = Vec::new();
        for &other in others {
            for ours in [2, 1] {
                for leader in [Leader::Ours, Leader::Theirs] {
                    all.push(Self {
                        other,
                        ours,
                        leader,
                    });
                }
            }
        }
        all
    }

    /// Sentinels of the side that is to lead.
    const fn leaders(self) -> usize {
        match self.leader {
            Leader::Ours => self.ours,
            Leader::Theirs => 3 - self.ours,
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leader = match self.leader {
            Leader::Ours => "ours",
            Leader::Theirs => "theirs",
        };
        let (ours, theirs) = (self.ours, 3 - self.ours);
        write!(f, "{ours} of ours, {theirs} {}, {leader} lead", self.other)
    }
}

/// One mix, many times.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The mix.
    pub mix: Mix,
    /// Times in which all was well at the end.
    pub passed: usize,
    /// Times.
    pub times: usize,
    /// Milliseconds from the kill to the first `+switch-master`: least, middle, most.
    pub switch_ms: Option<(u64, u64, u64)>,
}

/// The table.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The lines.
    pub lines: Vec<Line>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// Fails over every mix `times` times, `parallel` labs at once.
///
/// # Errors
/// A program is missing.
pub async fn run(
    breeds: &Breeds,
    mixes: &[Mix],
    times: usize,
    parallel: usize,
    net: &str,
    state: &Path,
    talk: &Talk,
) -> anyhow::Result<Results> {
    for mix in mixes {
        breeds.sentinel(mix.other)?;
    }
    let jobs: Vec<usize> = (0..times).flat_map(|_| 0..mixes.len()).collect();
    let total = jobs.len();
    let runs = jobs.into_iter().enumerate().map(|(number, mix)| {
        let net = format!("{net}.{}", number % 250);
        async move { (mix, fail_over(breeds, mixes[mix], &net, state).await) }
    });
    let mut running = futures_util::stream::iter(runs).buffer_unordered(parallel.max(1));
    let mut took: Vec<Vec<u64>> = vec![Vec::new(); mixes.len()];
    let mut failures = Vec::new();
    let mut count = 0;
    while let Some((mix, result)) = running.next().await {
        count += 1;
        talk.step(format!("failover {count} of {total}"));
        match result {
            Ok(span) => took[mix].push(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            Err(error) => failures.push(format!("{}: {error:#}", mixes[mix])),
        }
    }
    talk.rest();
    let lines = mixes.iter().zip(&mut took).map(|(mix, took)| {
        took.sort_unstable();
        let middle = took.get(took.len() / 2).copied();
        let ends = took.first().copied().zip(took.last().copied());
        Line {
            mix: *mix,
            passed: took.len(),
            times,
            switch_ms: ends.zip(middle).map(|((min, max), mid)| (min, mid, max)),
        }
    });
    Ok(Results {
        lines: lines.collect(),
        failures,
    })
}

/// Kills the master of one mixed quorum and checks what comes of it. How long the switch took.
async fn fail_over(breeds: &Breeds, mix: Mix, net: &str, state: &Path) -> anyhow::Result<Duration> {
    let mut kinds = vec![Breed::Ours; mix.ours];
    kinds.resize(3, mix.other);
    let spec = Spec {
        net: net.to_owned(),
        sentinels: kinds,
        replicas: 2,
        quorum: 2,
        down_after: DOWN_AFTER,
        lines: String::new(),
        env: Vec::new(),
    };
    let mut lab = Lab::start(breeds, &spec, state).await?;
    let result = drill(&mut lab, mix).await;
    if result.is_err() {
        let kept = lab.keep();
        return result.with_context(|| format!("files are kept in {}", kept.display()));
    }
    result
}

async fn drill(lab: &mut Lab, mix: Mix) -> anyhow::Result<Duration> {
    for sentinel in &lab.sentinels {
        let leads = (sentinel.breed == Breed::Ours) == (mix.leader == Leader::Ours);
        let (option, value) = if leads {
            ("quorum", mix.leaders().min(2) as u128)
        } else {
            ("down-after-milliseconds", SLOW_DOWN_AFTER.as_millis())
        };
        let value = value.to_string();
        query::ask(&sentinel.addr, &["SENTINEL", "SET", NAME, option, &value]).await?;
    }
    let mut watch = Watch::start(&lab.sentinels).await?;
    watch.clear();
    let begin = Instant::now();
    lab.servers[0].process.kill();
    let (mut switch, mut new, mut leader) = (None, None, None);
    while switch.is_none() || leader.is_none() {
        let said = watch.next(SWITCH_MAX).await?;
        if said.name == "+promoted-slave" {
            leader = Some(lab.sentinels[said.from].breed);
        }
        if let Some(to) = said.switched_to() {
            switch.get_or_insert(said.at - begin);
            new = Some(to);
        }
    }
    let led_by_ours = leader == Some(Breed::Ours);
    anyhow::ensure!(
        led_by_ours == (mix.leader == Leader::Ours),
        "led by {leader:?}"
    );
    check(lab, &new.context("no new master")?).await?;
    switch.context("no switch")
}

/// Everybody names the new master at one epoch, the new master takes writes, and the other servers
/// follow it, the old master too once it is back.
async fn check(lab: &mut Lab, new: &Addr) -> anyhow::Result<()> {
    let sentinels = &lab.sentinels;
    until("all sentinels name the new master", || {
        agree(sentinels, new)
    })
    .await?;
    query::ask(new, &["SET", "lab", "1"]).await?;
    let others: Vec<&Member> = lab.servers[1..]
        .iter()
        .filter(|it| it.addr != *new)
        .collect();
    for other in others {
        until("the other replica follows", || follows(&other.addr, new)).await?;
    }
    lab.restart_server(0)?;
    let old = lab.servers[0].addr.clone();
    until("the old master follows", || follows(&old, new)).await?;
    anyhow::ensure!(
        agree(&lab.sentinels, new).await,
        "a second failover followed"
    );
    Ok(())
}

/// Whether all name that master, at one epoch.
pub(super) async fn agree(sentinels: &[Member], new: &Addr) -> bool {
    let mut epochs = Vec::new();
    for sentinel in sentinels {
        let Ok(fields) = query::sentinel_master(&sentinel.addr, NAME).await else {
            return false;
        };
        let (host, port) = (fields.get("ip"), fields.get("port"));
        if host.is_none_or(|it| it != new.host()) || port != Some(&new.port().to_string()) {
            return false;
        }
        epochs.push(fields.get("config-epoch").cloned());
    }
    epochs.dedup();
    epochs.len() == 1
}

/// Whether a server is a replica of that master, in sync.
pub(super) async fn follows(server: &Addr, master: &Addr) -> bool {
    let Ok(info) = query::info(server, "replication").await else {
        return false;
    };
    let is = |key: &str, value: &str| info.get(key).is_some_and(|it| it == value);
    is("role", "slave")
        && is("master_host", master.host())
        && is("master_port", &master.port().to_string())
        && is("master_link_status", "up")
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&["quorum", "passed", "kill to +switch-master, ms"]);
        for line in &self.lines {
            let ms = line
                .switch_ms
                .map(|(min, mid, max)| format!("{min} / {mid} / {max}"));
            table.add_row([
                line.mix.to_string(),
                format!("{} of {}", line.passed, line.times),
                ms.unwrap_or_default(),
            ]);
        }
        write!(f, "{table}")?;
        for failure in &self.failures {
            write!(f, "\nfailed: {failure}")?;
        }
        Ok(())
    }
}
