//! Drives a promotion through the sentinels.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::paths;
use codis_core::time::Time;
use codis_topom::handover::{Effect, Handover};
use tokio::time::Instant;

use crate::core::{Core, Failure};
use crate::groups;
use crate::push::sleep_until;
use crate::state::Audit;
use codis_runtime::peer::Peer;

/// How long a sentinel may take to take the order.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Orders the promotion and waits for the pair.
pub async fn run(core: &Core, audit: &Audit, group: u32, candidate: &str) -> Result<(), Failure> {
    let origin = Instant::now();
    let now = || Time::from_origin(origin.elapsed());
    let mut views = core.state.subscribe();
    let cluster = views.borrow_and_update().cluster.clone();
    let mut handover = Handover::start(&cluster, group, candidate)?;
    let name = paths::monitor_name(&core.settings.product_name, group);
    loop {
        while let Some(effect) = handover.poll_effect() {
            match effect {
                Effect::Order { sentinel } => {
                    let answer = order(&sentinel, &name, candidate).await;
                    tracing::info!(
                        who = audit.who,
                        sentinel,
                        name,
                        candidate,
                        ?answer,
                        "failover ordered"
                    );
                    handover.handle_answer(now(), &sentinel, answer);
                }
                Effect::Done(outcome) => {
                    outcome.map_err(|f| Failure::new(f.to_string()))?;
                    // The new master is stored; the call ends when the proxies hold it.
                    let view = core.state.view();
                    let slots = view.cluster.slot_ids(group);
                    return groups::settled(core, &slots, view.revision).await;
                }
            }
        }
        let timeout = handover.poll_timeout().map(|at| origin + at.since_origin());
        tokio::select! {
            changed = views.changed() => {
                if changed.is_err() {
                    return Err(Failure::new("use of closed topom"));
                }
                let cluster = views.borrow_and_update().cluster.clone();
                handover.handle_cluster(&cluster);
            }
            () = sleep_until(timeout) => handover.handle_timeout(now()),
        }
    }
}

async fn order(sentinel: &str, name: &str, candidate: &str) -> Result<(), String> {
    let target: Addr = candidate.parse().map_err(|error| format!("{error}"))?;
    let ip = crate::sentinels::resolve_ip(&target)
        .await
        .map_err(|error| error.to_string())?;
    let mut command = redis::cmd("SENTINEL");
    command
        .arg("FAILOVER")
        .arg(name)
        .arg("TO")
        .arg(ip)
        .arg(target.port());
    let ordered = async {
        let mut peer = Peer::connect(sentinel, "", ANSWER_MAX).await?;
        peer.call::<redis::Value>(&command).await
    };
    match ordered.await {
        Ok(_) => Ok(()),
        Err(error) if error.to_string().contains("wrong number of arguments") => Err(format!(
            "a stock sentinel can't promote a chosen server ({error}); run \
             SENTINEL FAILOVER {name} \
             there to let it choose, or use codis-sentinel"
        )),
        Err(error) => Err(error.to_string()),
    }
}
