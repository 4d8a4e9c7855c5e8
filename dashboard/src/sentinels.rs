//! The sentinels: what they say about masters, and what they are told to watch.

mod belief;
mod control;
mod ensure;
mod forget;
mod keeper;
mod leave;
mod listen;
mod strays;
mod tell;

pub use belief::Belief;
pub use control::{add, quiet, remove, resync_all};
pub use forget::forget_who_left;
pub use keeper::{Standings, keep_in_sync};
pub use leave::let_go;
pub use listen::listen_all;
pub use tell::{Told, tell_all};

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_runtime::host;
use codis_runtime::peer::Login;
use codis_topom::adopt;

use crate::config::Settings;
use crate::core::Core;
use crate::state::Audit;

/// How long proxies are left alone at start while no majority of the sentinels has said who is
/// master.
const HEAR_MAX: Duration = Duration::from_secs(5);
/// How long a name may take to resolve.
const RESOLVE_MAX: Duration = Duration::from_secs(1);

/// Lets the rows send once it is known who is master: at once without sentinels, else when a
/// majority has spoken, else after a while. A stored topology that no sentinel repeats or replaces
/// by then is settled with the records of its group.
pub async fn open_rows(core: Arc<Core>) {
    if core.state.cluster().has_sentinels() {
        let heard = tokio::time::timeout(HEAR_MAX, core.belief.opened()).await;
        if heard.is_err() {
            tracing::warn!(
                "no majority of the sentinels answers; going on with the stored masters"
            );
        }
    }
    let cluster = core.state.cluster();
    let quiet = |id: &u32| {
        let state = cluster
            .group(*id)
            .map(|group| group.promoting.state)
            .unwrap_or_default();
        state == codis_core::model::ActionState::Nothing
    };
    let groups = cluster.groups().map(|group| group.id);
    for group in groups.filter(|id| cluster.drifted(*id)).filter(quiet) {
        let (audit, at) = (
            Audit::own(format!("group/settle {group}")),
            host::now_rfc3339(),
        );
        let settled = core.state.edit(audit, move |cluster| {
            adopt::settle_drift(cluster, group, &at)
        });
        if let Err(error) = settled.await {
            tracing::error!(group, %error, "the group's record and its topology disagree");
        }
    }
    core.belief.open();
}

/// As whom the dashboard speaks to the sentinels.
pub fn login(settings: &Settings) -> Login {
    Login {
        user: settings.sentinel_auth_user.clone(),
        password: settings.sentinel_auth_pass.clone(),
    }
}

/// The address of a server for a sentinel, which takes numbers only.
pub async fn resolve_ip(addr: &Addr) -> io::Result<String> {
    if addr.host().parse::<IpAddr>().is_ok() {
        return Ok(addr.host().to_owned());
    }
    let lookup = tokio::net::lookup_host((addr.host(), addr.port()));
    let found = tokio::time::timeout(RESOLVE_MAX, lookup).await;
    let mut found =
        found.map_err(|_| io::Error::other(format!("resolve {addr}: no answer in time")))??;
    let first = found
        .next()
        .ok_or_else(|| io::Error::other(format!("resolve {addr}: no address")))?;
    Ok(first.ip().to_string())
}
