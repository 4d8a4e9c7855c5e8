//! Drives a promotion through the sentinels.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::paths;
use codis_core::time::Time;
use codis_topom::handover::{Answer, Effect, Handover, Manner};
use tokio::time::Instant;

use super::{alone, inquire, stock};
use crate::core::{Core, Failure, Settled};
use crate::orders;
use crate::push::{self, sleep_until};
use crate::sentinels::{self, login, resolve_ip};
use crate::state::Audit;
use codis_runtime::peer::Fields;

/// How long a sentinel may take to take the order.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long the proxies may take at least to hold the new master.
const PUSH_MIN: Duration = Duration::from_millis(300);

/// Orders the promotion and waits for the pair.
pub async fn run(core: &Core, audit: &Audit, group: u32, candidate: &str) -> Result<(), Failure> {
    let outcome = promote(core, audit, group, candidate).await;
    stock::give_back(core, audit, group).await;
    outcome
}

async fn promote(core: &Core, audit: &Audit, group: u32, candidate: &str) -> Result<(), Failure> {
    let origin = Instant::now();
    let now = || Time::from_origin(origin.elapsed());
    let mut views = core.state.subscribe();
    let cluster = views.borrow_and_update().cluster.clone();
    let master = cluster.master(group).to_owned();
    let (answers, quiet) = tokio::join!(
        inquire::info(core, &master),
        sentinels::quiet(core, &cluster.sentinel().servers)
    );
    // A master that is dead has nothing to hand over.
    let manner = match answers {
        Ok(_) => Manner::Coordinated,
        Err(_) => Manner::Plain,
    };
    let mut handover = Handover::start(&cluster, group, candidate, manner, &quiet)?;
    let name = paths::monitor_name(&core.settings.product_name, group);
    loop {
        while let Some(effect) = handover.poll_effect() {
            match effect {
                Effect::Order { sentinel, manner } => {
                    let monitor = (sentinel.as_str(), name.as_str());
                    let answer = order(core, audit, monitor, candidate, manner).await;
                    handover.handle_answer(now(), &sentinel, manner, answer);
                }
                Effect::Choose { sentinels } => {
                    let name = name.as_str();
                    let choice = stock::Choice {
                        core,
                        audit,
                        group,
                        candidate,
                        name,
                    };
                    handover.handle_chosen(now(), choice.order(&sentinels).await);
                }
                Effect::Done(outcome) => {
                    outcome.map_err(|failure| Failure::new(failure.to_string()))?;
                    let limit = patience(origin.elapsed());
                    return finish(core, audit, (group, &master, candidate), limit).await;
                }
            }
        }
        let timeout = handover.poll_timeout().map(|at| origin + at.since_origin());
        tokio::select! {
            changed = views.changed() => {
                if changed.is_err() {
                    return Err(Failure::new("use of closed topom"));
                }
            }
            () = sleep_until(timeout) => handover.handle_timeout(now()),
        }
        let cluster = views.borrow_and_update().cluster.clone();
        handover.handle_cluster(&cluster);
    }
}

/// The new master is stored; the call ends when the proxies hold it. The sentinels make the old
/// master its replica, but stock ones only after some seconds in which it takes writes that are
/// lost, so it is told at once.
async fn finish(
    core: &Core,
    audit: &Audit,
    (group, old, candidate): (u32, &str, &str),
    limit: Duration,
) -> Result<(), Failure> {
    let view = core.state.view();
    let slots = view.cluster.slot_ids(group);
    let (pushed, ()) = tokio::join!(
        core.fleet.pushed(&slots, view.revision, limit),
        demote(core, audit, old, candidate)
    );
    Settled::from(pushed).ok()
}

/// How long the proxies may take when the sentinels took `spent`. Where these were fast the caller
/// has an answer within a second, whatever proxy hangs.
fn patience(spent: Duration) -> Duration {
    match push::WAIT_MAX.checked_sub(spent) {
        Some(left) => left.max(PUSH_MIN),
        None => push::WAIT_MAX,
    }
}

async fn demote(core: &Core, audit: &Audit, old: &str, candidate: &str) {
    let is_master = |info: &Fields| info.get("role").is_some_and(|role| role == "master");
    let outcome = match inquire::info(core, old).await {
        Ok(info) if is_master(&info) => alone::follow(core, audit, old, Some(candidate)).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::warn!(server = old, %error, "the old master is left to the sentinels");
    }
}

async fn order(
    core: &Core,
    audit: &Audit,
    monitor: (&str, &str),
    to: &str,
    manner: Manner,
) -> Answer {
    match try_order(core, audit, monitor, to, manner).await {
        Ok(()) => Answer::Taken,
        Err(text) if text.starts_with("NOGOODPRIMARY") => Answer::Unable,
        // The words of Redis 7 and of 3.2.
        Err(text) if text.to_ascii_lowercase().contains("wrong number of") => Answer::Stock,
        Err(text) => Answer::Refused(text),
    }
}

async fn try_order(
    core: &Core,
    audit: &Audit,
    (sentinel, name): (&str, &str),
    to: &str,
    manner: Manner,
) -> Result<(), String> {
    let target: Addr = to.parse().map_err(|error| format!("{error}"))?;
    let ip = resolve_ip(&target)
        .await
        .map_err(|error| error.to_string())?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("FAILOVER").arg(name);
    if manner == Manner::Coordinated {
        command.arg("COORDINATED");
    }
    command.arg("TO").arg(ip).arg(target.port());
    let peer = (sentinel, &login(&core.settings));
    let ordered = orders::send::<redis::Value>(core, audit, peer, ANSWER_MAX, &command);
    ordered.await.map(drop).map_err(|error| error.to_string())
}
