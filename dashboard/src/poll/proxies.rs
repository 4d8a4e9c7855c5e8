//! One proxy: its figures, and whether it is stopped. A proxy that started anew is put online
//! again.

use std::pin::pin;
use std::sync::Arc;

use codis_core::api::ProxyStats;
use codis_core::model::Proxy;
use codis_runtime::http::ClientError;
use codis_topom::pulse::LATE;
use tokio::sync::Notify;

use super::aged::Failure;
use super::{held, unixtime};
use crate::core::Core;
use crate::proxies::{self, StatsLine};
use crate::push::{Testimony, testify};
use crate::state::Audit;

/// Asks the proxy until it is no longer on record. What a late answer means is found out beside
/// that.
pub async fn poll(core: Arc<Core>, token: String) {
    let (late, heard) = (Notify::new(), Notify::new());
    tokio::select! {
        () = ask_on(&core, &token, &late, &heard) => {}
        () = find_out(&core, &token, &late, &heard) => {}
    }
}

/// Finds out, whenever an answer is late, whether the proxy is stopped.
async fn find_out(core: &Core, token: &str, late: &Notify, heard: &Notify) {
    let silent_max = core.settings.proxy_silent_max.duration();
    let mut found = Testimony::Nothing;
    loop {
        // The call that recalls a witness is late, and asks for one of its own.
        if std::mem::replace(&mut found, Testimony::Nothing) != Testimony::Recalled {
            late.notified().await;
        }
        let (Ok(proxy), Some(pulse)) = (
            core.state.cluster().proxy(token).cloned(),
            core.fleet.pulse(token),
        ) else {
            continue;
        };
        let changed = || core.fleet.peer_changed();
        found = testify(&pulse, &proxy.admin_addr, silent_max, late, changed).await;
        if found == Testimony::Runs {
            // It may have stood still, and holds its clients until it is brought in step.
            core.fleet.nudge(token);
            heard.notify_one();
        }
    }
}

async fn ask_on(core: &Arc<Core>, token: &str, late: &Notify, heard: &Notify) {
    let turn = core.polls.pace.turn();
    let mut line: Option<StatsLine> = None;
    loop {
        let Ok(proxy) = core.state.cluster().proxy(token).cloned() else {
            return;
        };
        let known = line.take().filter(|line| line.leads_to(&proxy.admin_addr));
        let known = line.insert(known.unwrap_or_else(|| core.proxies.stats_line(&proxy)));
        let mut asking = pin!(known.ask());
        let asked = match tokio::time::timeout(LATE, &mut asking).await {
            Ok(asked) => asked,
            Err(_) => {
                late.notify_one();
                asking.await
            }
        };
        feel(core, &proxy, &asked).await;
        let idle = asked
            .as_ref()
            .is_ok_and(|stats| !stats.online && !stats.closed);
        let outcome = asked.map_err(|error| Failure::from(&error));
        held(&core.polls.proxies).insert(token, outcome, unixtime());
        if idle {
            let audit = Audit::own(format!("proxy/online {}", proxy.admin_addr));
            match proxies::online(core, audit, &proxy.admin_addr).await {
                Ok(()) => tracing::info!(proxy = token, "proxy put online again"),
                Err(error) => tracing::warn!(proxy = token, %error, "proxy not put online"),
            }
        }
        tokio::select! {
            () = core.polls.pace.next(turn) => {}
            () = heard.notified() => {}
        }
    }
}

/// Takes the proxy's pulse. One that stood still holds its clients: it gets what it lacks at once,
/// and then our word that this is all.
async fn feel(core: &Core, proxy: &Proxy, asked: &Result<ProxyStats, ClientError>) {
    let Some(pulse) = core.fleet.pulse(&proxy.token) else {
        return;
    };
    match asked {
        Err(error) => pulse.handle_failure(error),
        Ok(stats) => {
            if pulse.is_quiet() {
                core.fleet.nudge(&proxy.token);
            }
            // No original announces it.
            if stats.stall_fence {
                core.fleet.is_ours(&proxy.token);
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
