//! Drives a promotion by the dashboard itself.

use std::sync::Arc;
use std::time::Duration;

use codis_runtime::host;
use codis_runtime::peer::Error;
use codis_topom::inquiry::{Inquiry, Silent};
use codis_topom::promote::{Effect, Input, Promotion};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::inquire::inquire;
use crate::core::{Core, Failure, Settled};
use crate::state::Audit;
use crate::{orders, push};

/// How long it may take to change its role and write its config file.
const ORDER_MAX: Duration = Duration::from_secs(3);
/// How long all pushes of a promotion may take together: the caller has an answer within a second,
/// whatever proxy hangs.
const PUSHES_MAX: Duration = push::WAIT_MAX;
/// How long a push may take at least: of proxies that answer at once.
const PUSH_MIN: Duration = Duration::from_millis(100);

/// Does what the promotion says until it is done.
pub async fn run(
    core: &Arc<Core>,
    audit: &Audit,
    mut promotion: Promotion,
    silent: Silent,
) -> Result<(), Failure> {
    let mut patience = PUSHES_MAX;
    while let Some(effect) = promotion.poll_effect() {
        tracing::debug!(?effect, "promotion");
        let input = match effect {
            Effect::Done(outcome) => {
                return outcome.map_err(|failure| Failure::new(failure.to_string()));
            }
            Effect::Store(step) => {
                let at = host::now_rfc3339();
                let edited = core
                    .state
                    .edit(audit.clone(), move |cluster| step.edit(cluster, &at));
                failed(edited.await.map(drop))
            }
            Effect::Push => {
                let view = core.state.view();
                let slots = view.cluster.slot_ids(promotion.group());
                let (begun, limit) = (Instant::now(), patience.max(PUSH_MIN));
                let pushed = core.fleet.pushed(&slots, view.revision, limit).await;
                patience = patience.saturating_sub(begun.elapsed());
                match Settled::from(pushed).behind {
                    behind if behind.is_empty() => Input::Ok,
                    behind => Input::Partly(behind),
                }
            }
            Effect::Ask { server } => {
                failed(inquire(core, &server, |_| Inquiry::may_write(&server)).await)
            }
            Effect::Inspect { candidate, master } => {
                let fits = |_| Inquiry::fits(&candidate, &master, silent);
                failed(inquire(core, &master, fits).await)
            }
            Effect::CatchUp { candidate, master } => {
                let has_all = |now| Inquiry::has_all(now, &candidate, &master, silent);
                failed(inquire(core, &master, has_all).await)
            }
            Effect::Promote { server } => failed(follow(core, audit, &server, None).await),
            Effect::Follow { servers, master } => follow_all(core, audit, servers, master).await,
        };
        promotion.handle(input);
    }
    Err(Failure::new("the promotion ended without an outcome"))
}

fn failed<E: std::fmt::Display>(outcome: Result<(), E>) -> Input {
    match outcome {
        Ok(()) => Input::Ok,
        Err(error) => Input::Failed(error.to_string()),
    }
}

pub async fn follow(
    core: &Core,
    audit: &Audit,
    server: &str,
    master: Option<&str>,
) -> Result<(), Error> {
    orders::follow(core, audit, server, master, ORDER_MAX).await
}

/// Points all servers at the master, side by side; names those that did not take it.
async fn follow_all(
    core: &Arc<Core>,
    audit: &Audit,
    servers: Vec<String>,
    master: String,
) -> Input {
    let mut orders = JoinSet::new();
    for server in servers {
        let (core, audit, master) = (core.clone(), audit.clone(), master.clone());
        orders.spawn(async move {
            let ordered = follow(&core, &audit, &server, Some(&master)).await;
            (ordered.err(), server)
        });
    }
    let mut refused = Vec::new();
    while let Some(done) = orders.join_next().await {
        if let Ok((Some(_), server)) = done {
            refused.push(server);
        }
    }
    if refused.is_empty() {
        Input::Ok
    } else {
        Input::Partly(refused)
    }
}
