//! Makes stock sentinels promote a chosen server: it becomes the replica that they prefer, one of
//! them is ordered to fail over, and the priorities are given back.
//!
//! What is changed is on record before it is changed, so a dashboard that starts in the middle
//! gives it back too. A server whose file was written meanwhile (a sentinel does that when it
//! promotes one) has its file written again.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_runtime::host;
use codis_runtime::peer::{Error, Fields, Peer};
use codis_topom::edit;
use codis_topom::handover::preference;
use codis_topom::inquiry::{Inquiry, Silent};
use tokio::time::Instant;

use super::inquire::{info, inquire};
use crate::core::{Core, Failure};
use crate::orders;
use crate::sentinels;
use crate::state::Audit;

/// How long a sentinel may take to see the priorities: it asks a replica every ten seconds.
const SEEN_MAX: Duration = Duration::from_secs(13);
/// How often it is looked whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a sentinel may take to take the order.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// A promotion through stock sentinels.
pub struct Choice<'a> {
    pub core: &'a Core,
    pub audit: &'a Audit,
    pub group: u32,
    pub candidate: &'a str,
    /// The name of the monitor.
    pub name: &'a str,
}

impl Choice<'_> {
    /// Has one of `sentinels` promote the candidate; says why none does.
    pub async fn order(&self, sentinels: &[String]) -> Result<(), String> {
        let text = |failure: Failure| failure.to_string();
        let master = self.core.state.cluster().master(self.group).to_owned();
        // Whether a master that does not answer is dead is for the sentinels to say.
        let fits = |_| Inquiry::fits(self.candidate, &master, Silent::IsDead);
        inquire(self.core, &master, fits).await?;
        let wanted = self.prefer().await.map_err(text)?;
        let deadline = Instant::now() + SEEN_MAX;
        let mut refusals = BTreeMap::new();
        loop {
            for sentinel in sentinels {
                if refusals.contains_key(sentinel) {
                    continue;
                }
                match self.order_one(sentinel, &wanted).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(error) => {
                        refusals.insert(sentinel.clone(), format!("{sentinel}: {error}"));
                    }
                }
            }
            if refusals.len() == sentinels.len() {
                let all: Vec<String> = refusals.into_values().collect();
                return Err(all.join("; "));
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "no sentinel saw the priority of server-[{}] within {} s",
                    self.candidate,
                    SEEN_MAX.as_secs()
                ));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Makes the candidate the preferred replica; gives the priorities that a sentinel must see.
    async fn prefer(&self) -> Result<BTreeMap<String, u32>, Failure> {
        let cluster = self.core.state.cluster();
        let servers = &cluster.group(self.group)?.servers;
        let mut had = BTreeMap::new();
        for server in servers.iter().skip(1) {
            match info(self.core, &server.addr).await {
                Ok(info) => {
                    had.extend(priority(&info).map(|at| (server.addr.clone(), at)));
                }
                Err(error) if server.addr == self.candidate => return Err(error.into()),
                // One that does not answer is not promoted either.
                Err(error) => tracing::info!(server = server.addr, %error, "priority not known"),
            }
        }
        let wanted = preference(self.candidate, &had);
        had.retain(|addr, _| wanted.contains_key(addr));
        if wanted.is_empty() {
            return Ok(wanted);
        }
        let (group, at) = (self.group, host::now_rfc3339());
        let remember = move |cluster: &_| edit::remember_priorities(cluster, group, &had, &at);
        self.core.state.edit(self.audit.clone(), remember).await?;
        for (addr, priority) in &wanted {
            set_priority(self.core, self.audit, addr, *priority).await?;
        }
        Ok(wanted)
    }

    /// Orders one sentinel to fail over, once it sees what it must see.
    async fn order_one(
        &self,
        sentinel: &str,
        wanted: &BTreeMap<String, u32>,
    ) -> Result<bool, Error> {
        let login = sentinels::login(&self.core.settings);
        let mut peer = Peer::connect_as(sentinel, &login, ANSWER_MAX).await?;
        let slaves = peer.slaves(self.name).await?;
        for (addr, priority) in wanted {
            let shown = shown_priority(&slaves, addr).await;
            if shown != Some(*priority) {
                return Ok(false);
            }
        }
        let mut command = redis::cmd("SENTINEL");
        command.arg("FAILOVER").arg(self.name);
        orders::give::<redis::Value>(self.core, self.audit, &mut peer, &command).await?;
        Ok(true)
    }
}

/// Gives back the priorities of a group that are on record; those of servers that do not answer
/// stay there.
pub async fn give_back(core: &Core, audit: &Audit, group: u32) {
    let cluster = core.state.cluster();
    let mut done = Vec::new();
    for (addr, priority) in edit::priorities(&cluster, group) {
        if cluster.find_server(&addr).is_none() {
            done.push(addr);
            continue;
        }
        // An error is recorded, and it is tried again.
        if set_priority(core, audit, &addr, priority).await.is_ok() {
            done.push(addr);
        }
    }
    if done.is_empty() {
        return;
    }
    let at = host::now_rfc3339();
    let forget = move |cluster: &_| edit::forget_priorities(cluster, group, &done, &at);
    if let Err(error) = core.state.edit(audit.clone(), forget).await {
        tracing::warn!(group, %error, "replica priorities stay on record");
    }
}

/// The name of the setting is the old one, which all versions know.
pub async fn set_priority(
    core: &Core,
    audit: &Audit,
    addr: &str,
    priority: u32,
) -> Result<(), Error> {
    let work = async {
        let mut peer = Peer::connect(addr, &core.settings.product_auth, ANSWER_MAX).await?;
        orders::may_order(core)?;
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("slave-priority").arg(priority);
        peer.call::<redis::Value>(&command).await?;
        let mut rewrite = redis::cmd("CONFIG");
        rewrite.arg("REWRITE");
        if let Err(error) = peer.call::<redis::Value>(&rewrite).await {
            tracing::debug!(server = addr, %error, "its file was not written");
        }
        Ok(())
    };
    let words = format!("CONFIG SET slave-priority {priority}");
    core.audit.ordered(audit, addr, words, work).await
}

/// The replica priority of a server.
pub fn priority(info: &Fields) -> Option<u32> {
    info.get("slave_priority")?.parse().ok()
}

/// What a sentinel holds for the priority of a replica.
async fn shown_priority(slaves: &[Fields], addr: &str) -> Option<u32> {
    let wanted: Addr = addr.parse().ok()?;
    let ip = sentinels::resolve_ip(&wanted).await.ok()?;
    let port = wanted.port().to_string();
    let is = |fields: &&Fields| {
        fields.get("ip").is_some_and(|shown| *shown == ip)
            && fields.get("port").is_some_and(|shown| *shown == port)
    };
    slaves.iter().find(is)?.get("slave-priority")?.parse().ok()
}
