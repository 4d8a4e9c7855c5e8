//! Servers that are not of a group and follow its master all the same: a replica that was taken out
//! of the group and left running, or one that somebody attached by hand.
//!
//! A sentinel takes them for replicas like any other, and could make one of them the master that
//! the group does not have. Whoever took a server out expects that it comes back in no role, and
//! that its data and its replication are left alone; it may be a backup. So it is given the replica
//! priority 0, by which no sentinel promotes it, and nothing else. What it had is on record first,
//! and is given back when it joins a group or no longer follows this one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::model::Group;
use codis_runtime::host;
use codis_runtime::peer::{Fields, master_of};
use codis_topom::{Cluster, edit};
use tokio::time::Instant;

use crate::core::{Core, Failure};
use crate::promote::{info, priority, set_priority};
use crate::state::Audit;

/// How long one is left alone that did not answer or refused.
const RETRY: Duration = Duration::from_secs(30);

/// Looks after the strays of all groups.
#[derive(Debug, Default)]
pub struct Strays {
    pauses: BTreeMap<String, Instant>,
}

impl Strays {
    /// Looks at one group.
    pub async fn look(&mut self, core: &Core, group: u32, seen: &Seen) {
        let cluster = core.state.cluster();
        let known = edit::strays(&cluster, group);
        let followers = seen.strays.iter().map(ToString::to_string);
        let new = followers.filter(|addr| !known.contains_key(addr));
        for addr in new.filter(|addr| cluster.find_server(addr).is_none()) {
            if self.is_due(&addr) {
                let outcome = shield(core, group, &addr).await;
                self.handle(group, &addr, outcome);
            }
        }
        for (addr, had) in known {
            if self.is_due(&addr) {
                let outcome = give_back(core, group, seen, (&addr, had)).await;
                self.handle(group, &addr, outcome);
            }
        }
    }

    fn is_due(&self, addr: &str) -> bool {
        self.pauses
            .get(addr)
            .is_none_or(|until| *until <= Instant::now())
    }

    fn handle(&mut self, group: u32, addr: &str, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => {
                self.pauses.remove(addr);
            }
            Err(error) => {
                tracing::warn!(
                    group,
                    server = addr,
                    %error,
                    "the replica priority of a server that is not of the group was not changed: \
                     while it follows the group's master the sentinels may promote it; stop it, \
                     run SLAVEOF NO ONE there, or add it"
                );
                self.pauses.insert(addr.to_owned(), Instant::now() + RETRY);
            }
        }
    }
}

/// What is seen of a group.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its servers, in numbers.
    pub servers: BTreeSet<Addr>,
    /// Who follows its master and is none of them, as far as the sentinels know.
    pub strays: BTreeSet<Addr>,
}

/// Keeps one from being promoted.
async fn shield(core: &Core, group: u32, addr: &str) -> Result<(), Failure> {
    let had = priority(&info(core, addr).await?).unwrap_or(0);
    if had == 0 {
        return Ok(());
    }
    let audit = Audit::own(format!("group/stray {group} {addr}"));
    let (server, at) = (addr.to_owned(), host::now_rfc3339());
    let remember = move |c: &Cluster| edit::remember_stray(c, group, &server, had, &at);
    core.state.edit(audit.clone(), remember).await?;
    set_priority(core, &audit, addr, 0).await?;
    tracing::warn!(
        group,
        server = addr,
        "a server that is not of the group follows its master: its replica priority is 0 until it \
         is added or follows it no longer, so that no sentinel promotes it"
    );
    Ok(())
}

/// Gives one its priority back, when it is a stray no longer; makes sure of 0 while it is one.
async fn give_back(
    core: &Core,
    group: u32,
    seen: &Seen,
    (addr, had): (&str, u32),
) -> Result<(), Failure> {
    let audit = Audit::own(format!("group/stray {group} {addr}"));
    let shown = info(core, addr).await?;
    let cluster = core.state.cluster();
    if cluster.has_sentinels() && is_stray(&cluster, group, seen, addr, &shown) {
        if priority(&shown) != Some(0) {
            set_priority(core, &audit, addr, 0).await?;
        }
        return Ok(());
    }
    set_priority(core, &audit, addr, had).await?;
    let (server, at) = (addr.to_owned(), host::now_rfc3339());
    let forget = move |c: &Cluster| edit::forget_stray(c, group, &server, &at);
    core.state.edit(audit, forget).await?;
    tracing::info!(group, server = addr, "replica priority given back");
    Ok(())
}

/// Whether a server is one still. It may follow an old master until the sentinels have told it of
/// the new one.
fn is_stray(cluster: &Cluster, group: u32, seen: &Seen, addr: &str, shown: &Fields) -> bool {
    let number: Option<Addr> = addr.parse().ok();
    let is_in = |set: &BTreeSet<Addr>| number.as_ref().is_some_and(|addr| set.contains(addr));
    if cluster.find_server(addr).is_some() || is_in(&seen.servers) {
        return false;
    }
    let follows = |group: &Group| {
        let master = master_of(shown);
        group
            .servers
            .iter()
            .any(|server| Some(&server.addr) == master.as_ref())
    };
    is_in(&seen.strays) || cluster.group(group).is_ok_and(follows)
}

#[cfg(test)]
mod tests {
    use codis_core::model::GroupServer;
    use codis_topom::Records;

    use super::*;

    #[test]
    fn one_is_a_stray_until_it_joins_or_follows_nobody_of_the_group() {
        let cluster = |servers: &[&str]| {
            let server = |addr: &&str| GroupServer {
                addr: (*addr).to_owned(),
                ..GroupServer::default()
            };
            let group = Group {
                id: 1,
                servers: servers.iter().map(server).collect(),
                ..Group::default()
            };
            let groups = vec![group];
            Cluster::load(Records {
                groups,
                ..Records::default()
            })
        };
        let set = |addrs: &[&str]| addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        let at = |host: &str| {
            let pairs = [("master_host", host), ("master_port", "1")];
            Fields::from(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
        };
        let seen = |servers: &[&str], strays: &[&str]| Seen {
            servers: set(servers),
            strays: set(strays),
        };
        let two = cluster(&["10.0.0.1:1", "10.0.0.2:1"]);
        let stray = "10.0.0.9:1";
        let follows = seen(&["10.0.0.1:1"], &[stray]);
        assert!(is_stray(&two, 1, &follows, stray, &at("10.0.0.1")));
        let unseen = seen(&["10.0.0.1:1"], &[]);
        assert!(
            is_stray(&two, 1, &unseen, stray, &at("10.0.0.2")),
            "the old master"
        );
        assert!(!is_stray(&two, 1, &unseen, stray, &at("10.0.0.7")));
        assert!(!is_stray(&two, 1, &unseen, stray, &Fields::new()));
        let joined = cluster(&["10.0.0.1:1", stray]);
        assert!(!is_stray(&joined, 1, &unseen, stray, &at("10.0.0.1")));
        let by_name = seen(&["10.0.0.1:1", stray], &[]);
        assert!(!is_stray(&two, 1, &by_name, stray, &at("10.0.0.1")));
        let names = cluster(&["redis-1:1"]);
        assert!(is_stray(&names, 1, &follows, stray, &at("10.0.0.1")));
    }
}
