//! A quorum of another breed becomes one of ours, sentinel by sentinel on the same config files,
//! and goes back: with a failover after each replacement.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use codis_core::addr::Addr;
use serde::Serialize;

use super::breed::{Breed, Breeds};
use super::lab::{Lab, NAME, Spec, until};
use super::mixed::{agree, follows};
use crate::query;
use crate::scenario::table;
use crate::talk::Talk;

/// Stock sentinels, at a second or less, can take the new master for dead after a switch: they do
/// not reconnect before a second has passed.
const DOWN_AFTER: Duration = Duration::from_secs(3);
/// A stock sentinel that lost an election tries again after twice this.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(3);
const STOP_MAX: Duration = Duration::from_secs(10);
const ANSWERED_MAX: Duration = Duration::from_secs(30);

/// One replacement and the failover after it.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What the quorum was made of when the master died.
    pub sentinels: Vec<Breed>,
    /// Milliseconds from the kill until all named the new master.
    pub agreed_ms: u64,
    /// The config epoch that they agreed on.
    pub epoch: u64,
}

/// The whole way there and back.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The breed that was replaced.
    pub other: Breed,
    /// The steps.
    pub steps: Vec<Step>,
}

/// Goes there and back.
///
/// # Errors
/// A sentinel does not take over the file of the one before it, forgets who it is, or a failover
/// does not come to its end.
pub async fn run(
    breeds: &Breeds,
    other: Breed,
    net: &str,
    state: &Path,
    talk: &Talk,
) -> anyhow::Result<Results> {
    let spec = Spec {
        net: net.to_owned(),
        sentinels: vec![other; 3],
        replicas: 2,
        quorum: 2,
        down_after: DOWN_AFTER,
        lines: format!(
            "sentinel failover-timeout {NAME} {}\n",
            FAILOVER_TIMEOUT.as_millis()
        ),
        env: Vec::new(),
    };
    let mut lab = Lab::start(breeds, &spec, state).await?;
    let mut results = Results {
        other,
        steps: Vec::new(),
    };
    for (to, index) in [Breed::Ours, other]
        .iter()
        .flat_map(|to| (0..3).map(move |at| (to, at)))
    {
        talk.step(format!("{other}: sentinel {} becomes {to}", index + 1));
        let step = step(&mut lab, breeds, index, *to).await;
        match step {
            Ok(step) => results.steps.push(step),
            Err(error) => {
                let kept = lab.keep();
                let what = format!("{other}: sentinel {} as {to}", index + 1);
                let files = format!("files are kept in {}", kept.display());
                return Err(error.context(files).context(what));
            }
        }
    }
    talk.rest();
    Ok(results)
}

async fn step(lab: &mut Lab, breeds: &Breeds, index: usize, to: Breed) -> anyhow::Result<Step> {
    let before = answered(async || words_of(lab, index).await).await?;
    lab.sentinels[index].process.stop(Instant::now() + STOP_MAX);
    lab.replace_sentinel(breeds, index, to)?;
    lab.wait_until_complete().await?;
    let after = answered(async || words_of(lab, index).await).await?;
    anyhow::ensure!(before == after, "it was {before:?} and is {after:?}");
    let old = answered(async || master(lab).await).await?;
    let at = lab.servers.iter().position(|it| it.addr == old);
    let at = at.with_context(|| format!("{old} is none of the servers"))?;
    let begin = Instant::now();
    lab.servers[at].process.kill();
    let mut new = old.clone();
    while new == old || !agree(&lab.sentinels, &new).await {
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(60), "no failover");
        tokio::time::sleep(Duration::from_millis(10)).await;
        new = answered(async || master(lab).await).await?;
    }
    let agreed = begin.elapsed();
    lab.restart_server(at)?;
    for server in lab.servers.iter().filter(|it| it.addr != new) {
        until("every other server follows", || follows(&server.addr, &new)).await?;
    }
    lab.wait_until_complete().await?;
    let fields = query::sentinel_master(&lab.sentinels[0].addr, NAME).await?;
    Ok(Step {
        sentinels: lab.sentinels.iter().map(|it| it.breed).collect(),
        agreed_ms: u64::try_from(agreed.as_millis()).unwrap_or(u64::MAX),
        epoch: fields["config-epoch"].parse()?,
    })
}

/// Asks again what a machine that is busy left unanswered.
async fn answered<T>(ask: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let begin = Instant::now();
    loop {
        match ask().await {
            Err(_) if begin.elapsed() < ANSWERED_MAX => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            answer => return answer,
        }
    }
}

/// What a sentinel must not forget: its id as peers know it, and the config epoch.
async fn words_of(lab: &Lab, index: usize) -> anyhow::Result<(Vec<String>, String)> {
    let other = &lab.sentinels[(index + 1) % lab.sentinels.len()].addr;
    let answer = query::ask(other, &["SENTINEL", "SENTINELS", NAME]).await?;
    let rows: Vec<std::collections::BTreeMap<String, String>> = redis::from_redis_value(answer)?;
    let mut ids: Vec<String> = rows
        .iter()
        .filter_map(|row| row.get("runid").cloned())
        .collect();
    ids.sort();
    let fields = query::sentinel_master(&lab.sentinels[index].addr, NAME).await?;
    Ok((ids, fields["config-epoch"].clone()))
}

async fn master(lab: &Lab) -> anyhow::Result<Addr> {
    let fields = query::sentinel_master(&lab.sentinels[0].addr, NAME).await?;
    Ok(Addr::new(fields["ip"].clone(), fields["port"].parse()?))
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&["quorum", "kill to agreement, ms", "epoch"]);
        for step in &self.steps {
            let breeds: Vec<String> = step.sentinels.iter().map(Breed::to_string).collect();
            table.add_row([
                breeds.join(", "),
                step.agreed_ms.to_string(),
                step.epoch.to_string(),
            ]);
        }
        write!(f, "{table}")
    }
}
