//! Promotions by hand: through the sentinels when there are any, else by the dashboard itself.

mod alone;
mod handover;
mod inquire;
mod stock;

pub use inquire::info;
pub use stock::{priority, set_priority};

use std::sync::Arc;
use std::time::Duration;

use codis_core::model::{ActionState, Group};
use codis_topom::edit;
use codis_topom::inquiry::Silent;
use codis_topom::promote::Promotion;

use crate::core::{Core, Failure};
use crate::state::Audit;

/// How often a promotion that is stuck in a stored state is taken up again.
const RESUME_EVERY: Duration = Duration::from_secs(5);

/// Makes `candidate` the master of `group`. The work goes on when the caller goes away. Without
/// sentinels it depends on `silent` whether a master that does not answer may be replaced.
pub async fn promote(
    core: &Arc<Core>,
    audit: Audit,
    (group, candidate): (u32, String),
    silent: Silent,
) -> Result<(), Failure> {
    let cluster = core.state.cluster();
    let under_way = cluster.group(group)?.promoting.state != ActionState::Nothing;
    let through_sentinels = cluster.has_sentinels() && !under_way;
    let guard = core.claim_promotion(group)?;
    let core = core.clone();
    let lease = core.lease.clone();
    let work = lease.spawn(async move {
        let outcome = if through_sentinels {
            handover::run(&core, &audit, group, &candidate).await
        } else {
            let cluster = core.state.cluster();
            match Promotion::start(&cluster, group, &candidate) {
                Ok(promotion) => alone::run(&core, &audit, promotion, silent).await,
                Err(refusal) => Err(refusal.into()),
            }
        };
        match &outcome {
            Ok(()) => core.counters.promotions.inc(),
            Err(_) => core.counters.promotions_failed.inc(),
        };
        match &outcome {
            Ok(()) => tracing::info!(who = %audit.who, group, candidate, "promoted"),
            Err(error) => {
                tracing::warn!(who = %audit.who, group, candidate, %error, "promotion failed")
            }
        }
        drop(guard);
        outcome
    });
    let cut_short = || Err(Failure::new("the promotion was cut short"));
    work.await
        .unwrap_or_else(|_| Some(cut_short()))
        .unwrap_or_else(cut_short)
}

/// Takes up promotions that the records say are under way and nobody drives: after a restart, or
/// after a store that refused.
pub async fn resume_all(core: Arc<Core>) {
    loop {
        let cluster = core.state.cluster();
        let stuck = cluster
            .groups()
            .filter(|g| g.promoting.state != ActionState::Nothing);
        for group in stuck.map(|group| group.id) {
            let Ok(guard) = core.claim_promotion(group) else {
                continue;
            };
            let Some(promotion) = Promotion::resume(&core.state.cluster(), group) else {
                continue;
            };
            let (core, lease) = (core.clone(), core.lease.clone());
            lease.spawn(async move {
                let audit = Audit::own(format!("group/promote {group} resumed"));
                // Whoever answered for the master is not on record.
                match alone::run(&core, &audit, promotion, Silent::MayLive).await {
                    Ok(()) => tracing::info!(group, "promotion resumed and done"),
                    Err(error) => tracing::warn!(group, %error, "promotion resumed and failed"),
                }
                drop(guard);
            });
        }
        let lent = |group: &&Group| !edit::priorities(&cluster, group.id).is_empty();
        for group in cluster.groups().filter(lent) {
            if let Ok(_guard) = core.claim_promotion(group.id) {
                let audit = Audit::own(format!("group/promote {} given back", group.id));
                stock::give_back(&core, &audit, group.id).await;
            }
        }
        tokio::time::sleep(RESUME_EVERY).await;
    }
}
