//! One proxy: its figures. A proxy that started anew is put online again.

use std::sync::Arc;

use codis_core::api::{ProxyReport, ProxyStats, RemoteError};
use codis_core::model::Proxy;
use codis_runtime::http::ClientError;
use tokio::time::Instant;

use super::{EVERY, held, unixtime};
use crate::core::Core;
use crate::proxies;
use crate::state::Audit;

/// Asks the proxy until it is no longer on record.
pub async fn poll(core: Arc<Core>, token: String) {
    loop {
        let Ok(proxy) = core.state.cluster().proxy(&token).cloned() else {
            return;
        };
        let sent = Instant::now();
        let asked = core.proxies.stats(&proxy).await;
        feel(&core, &proxy, sent, &asked).await;
        let base = ProxyReport {
            unixtime: unixtime(),
            ..ProxyReport::default()
        };
        let idle = asked
            .as_ref()
            .is_ok_and(|stats| !stats.online && !stats.closed);
        let report = match asked {
            Ok(stats) => ProxyReport {
                stats: Some(stats),
                ..base
            },
            Err(error) if error.is_timeout() => ProxyReport {
                timeout: true,
                ..base
            },
            Err(error) => ProxyReport {
                error: Some(RemoteError::new(error.to_string())),
                ..base
            },
        };
        held(&core.polls.proxies).insert(token.clone(), report);
        if idle {
            let audit = Audit::own(format!("proxy/online {}", proxy.admin_addr));
            match proxies::online(&core, audit, &proxy.admin_addr).await {
                Ok(()) => tracing::info!(proxy = token, "proxy put online again"),
                Err(error) => tracing::warn!(proxy = token, %error, "proxy not put online"),
            }
        }
        tokio::time::sleep(EVERY).await;
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
