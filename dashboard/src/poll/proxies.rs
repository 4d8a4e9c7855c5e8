//! One proxy: its figures. A proxy that started anew is put online again.

use std::sync::Arc;

use codis_core::api::ProxyStats;
use codis_core::model::Proxy;
use codis_runtime::http::ClientError;
use tokio::time::Instant;

use super::aged::Failure;
use super::{held, unixtime};
use crate::core::Core;
use crate::proxies::{self, StatsLine};
use crate::state::Audit;

/// Asks the proxy until it is no longer on record.
pub async fn poll(core: Arc<Core>, token: String) {
    let turn = core.polls.pace.turn();
    let mut line: Option<StatsLine> = None;
    loop {
        let Ok(proxy) = core.state.cluster().proxy(&token).cloned() else {
            return;
        };
        let sent = Instant::now();
        let known = line.take().filter(|line| line.leads_to(&proxy.admin_addr));
        let known = line.insert(known.unwrap_or_else(|| core.proxies.stats_line(&proxy)));
        let asked = known.ask().await;
        feel(&core, &proxy, sent, &asked).await;
        let idle = asked
            .as_ref()
            .is_ok_and(|stats| !stats.online && !stats.closed);
        let outcome = asked.map_err(|error| Failure::from(&error));
        held(&core.polls.proxies).insert(&token, outcome, unixtime());
        if idle {
            let audit = Audit::own(format!("proxy/online {}", proxy.admin_addr));
            match proxies::online(&core, audit, &proxy.admin_addr).await {
                Ok(()) => tracing::info!(proxy = token, "proxy put online again"),
                Err(error) => tracing::warn!(proxy = token, %error, "proxy not put online"),
            }
        }
        core.polls.pace.next(turn).await;
    }
}

/// Takes the proxy's pulse. One that stood still holds its clients: it gets what it lacks at once,
/// and then our word that this is all.
async fn feel(core: &Core, proxy: &Proxy, sent: Instant, asked: &Result<ProxyStats, ClientError>) {
    let Some(pulse) = core.fleet.pulse(&proxy.token) else {
        return;
    };
    match asked {
        Err(error) => {
            pulse.handle_failure(sent, error);
            pulse.probe(&proxy.admin_addr).await;
        }
        Ok(stats) => {
            if pulse.is_quiet() {
                core.fleet.nudge(&proxy.token);
            }
            let Some(stalls) = pulse.handle_stats(stats) else {
                return;
            };
            let revision = core.state.view().revision;
            if !core.fleet.caught_up(&proxy.token, revision).await {
                return;
            }
            match core.proxies.lift_fence(proxy, stalls).await {
                Ok(()) => pulse.handle_lifted(stalls),
                Err(error) => {
                    tracing::warn!(proxy = proxy.token, %error, "fence not lifted");
                }
            }
        }
    }
}
