//! One proxy: its figures. A proxy that started anew is put online again.

use std::sync::Arc;

use codis_core::api::{ProxyReport, RemoteError};

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
        let asked = core.proxies.stats(&proxy).await;
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
