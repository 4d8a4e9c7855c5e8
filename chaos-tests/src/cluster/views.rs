//! Who every part of the cluster holds for master, and whether they all say the same.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::addr::Addr;
use codis_core::api::Slot;
use codis_core::epoch::Epoch;
use codis_core::topology::Topology;

use crate::control::Control;
use crate::layout::{Layout, Member};
use crate::query;

use super::Cluster;

/// The agreed master and epoch of each group.
pub type Masters = BTreeMap<u32, (Addr, Epoch)>;

/// What one part says about one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Who says so.
    pub who: String,
    /// Of which group.
    pub group: u32,
    /// The master, as text.
    pub master: String,
    /// The epoch, from parts that tell it.
    pub epoch: Option<Epoch>,
}

/// Everything that the parts said in one round of questions.
#[derive(Clone, Debug, Default)]
pub struct Views {
    /// Who is master, according to whom.
    pub opinions: Vec<Opinion>,
    /// What is not yet as it should be, one line each.
    pub troubles: Vec<String>,
}

impl Views {
    /// Asks every part once.
    pub async fn collect(cluster: &Cluster) -> Self {
        let mut views = Self::default();
        let layout = cluster.layout();
        for sentinel in layout.sentinels() {
            views.ask_sentinel(layout, sentinel).await;
        }
        for proxy in layout.proxies() {
            views.ask_proxy(cluster.control(), layout, proxy).await;
        }
        views.ask_who_leads(cluster.control(), layout).await;
        views.ask_dashboard(cluster.control(), layout).await;
        for group in &layout.groups {
            views.ask_servers(group.id, &group.servers).await;
        }
        views
    }

    /// The masters when there is no trouble and nobody differs.
    ///
    /// # Errors
    /// One line for each trouble and each difference.
    pub fn agreed(&self, layout: &Layout) -> Result<Masters, Vec<String>> {
        let mut lines = self.troubles.clone();
        let mut masters = Masters::new();
        for group in &layout.groups {
            let of_group: Vec<_> = self
                .opinions
                .iter()
                .filter(|o| o.group == group.id)
                .collect();
            lines.extend(disagreements(group.id, &of_group));
            let epoch = of_group.iter().filter_map(|o| o.epoch).max();
            let master = of_group.first().and_then(|o| o.master.parse().ok());
            if let Some(master) = master {
                masters.insert(group.id, (master, epoch.unwrap_or_default()));
            }
        }
        if lines.is_empty() {
            Ok(masters)
        } else {
            Err(lines)
        }
    }

    fn think(&mut self, who: &str, group: u32, master: impl ToString, epoch: Option<Epoch>) {
        self.opinions.push(Opinion {
            who: who.to_owned(),
            group,
            master: master.to_string(),
            epoch,
        });
    }

    fn trouble(&mut self, who: &str, what: impl std::fmt::Display) {
        self.troubles.push(format!("{who}: {what}"));
    }

    async fn ask_sentinel(&mut self, layout: &Layout, sentinel: &Member) {
        let name = sentinel.name();
        let records = match query::topology(&sentinel.addr).await {
            Ok(records) => records,
            Err(error) => return self.trouble(&name, error),
        };
        for group in &layout.groups {
            let monitor = group.monitor();
            match records.iter().find(|record| record.name == monitor) {
                None => self.trouble(&name, format!("does not watch {monitor}")),
                Some(record) => {
                    self.think(&name, group.id, &record.master, Some(record.epoch));
                    self.check_record(&name, record, group.servers.len() - 1);
                }
            }
            let peers = layout.sentinels().count() - 1;
            let fields = query::sentinel_master(&sentinel.addr, &monitor).await;
            let known = fields.unwrap_or_default().remove("num-other-sentinels");
            if known != Some(peers.to_string()) {
                let known = known.unwrap_or_else(|| "?".to_owned());
                self.trouble(
                    &name,
                    format!("{monitor}: knows {known} of {peers} other sentinels"),
                );
            }
        }
    }

    fn check_record(&mut self, who: &str, record: &Topology, replicas: usize) {
        let name = &record.name;
        if record.flags != ["master"] {
            self.trouble(who, format!("{name} is {}", record.flags.join(",")));
        }
        let up = record
            .replicas
            .iter()
            .filter(|replica| replica.link_up)
            .count();
        if up != replicas || record.replicas.len() != replicas {
            let known = record.replicas.len();
            self.trouble(
                who,
                format!("{name}: {up} of {known} replicas follow, expected {replicas}"),
            );
        }
        for replica in record.replicas.iter().filter(|r| r.flags != ["slave"]) {
            self.trouble(
                who,
                format!("{} is {}", replica.addr, replica.flags.join(",")),
            );
        }
    }

    async fn ask_proxy(&mut self, control: &Control, layout: &Layout, proxy: &Member) {
        let name = proxy.name();
        let stats = match control.proxy_stats(&proxy.admin).await {
            Ok(stats) => stats,
            Err(error) => return self.trouble(&name, error),
        };
        if !stats.online {
            self.trouble(&name, "is not online");
        }
        for group in &layout.groups {
            let key = group.id.to_string();
            match stats.sentinels.masters.get(&key) {
                None => self.trouble(
                    &name,
                    format!("heard nothing of group {key} from sentinels"),
                ),
                Some(master) => {
                    let epoch = stats.sentinels.epochs.get(&key).copied();
                    self.think(&format!("{name} (sentinels)"), group.id, master, epoch);
                }
            }
        }
        match control.proxy_slots(&proxy.admin).await {
            Ok(slots) => self.check_routes(&name, layout, &slots),
            Err(error) => self.trouble(&name, error),
        }
    }

    fn check_routes(&mut self, who: &str, layout: &Layout, slots: &[Slot]) {
        for group in &layout.groups {
            let own = slots
                .iter()
                .filter(|slot| slot.backend_addr_group_id == group.id);
            let masters: BTreeSet<_> = own.map(|slot| slot.backend_addr.clone()).collect();
            for master in masters {
                self.think(&format!("{who} (routes)"), group.id, master, None);
            }
        }
        let ready = |slot: &&Slot| !slot.locked && !slot.backend_addr.is_empty();
        let routed = slots.iter().filter(ready).count();
        if routed != 1024 {
            self.trouble(who, format!("routes {routed} of 1024 slots"));
        }
    }

    /// One dashboard leads, and the others know which.
    async fn ask_who_leads(&mut self, control: &Control, layout: &Layout) {
        let mut said = Vec::new();
        for board in layout.dashboards() {
            match control.who(&board.addr).await {
                Ok(who) => said.push((board, who)),
                Err(error) => self.trouble(&board.name(), error),
            }
        }
        let leaders: Vec<_> = said.iter().filter(|(_, who)| who.leading).collect();
        let leader = match leaders.as_slice() {
            [(board, _)] => board.addr.to_string(),
            other => return self.trouble("dashboards", format!("{} lead", other.len())),
        };
        for (board, who) in said.iter().filter(|(_, who)| !who.leading) {
            if who.leader.as_deref() != Some(&leader) {
                let known = who.leader.as_deref().unwrap_or("nobody");
                self.trouble(
                    &board.name(),
                    format!("knows {known} as leader, not {leader}"),
                );
            }
        }
    }

    async fn ask_dashboard(&mut self, control: &Control, layout: &Layout) {
        let stats = match control.stats().await {
            Ok(stats) => stats,
            Err(error) => return self.trouble("dashboard", error),
        };
        for group in &layout.groups {
            let key = group.id.to_string();
            match stats.sentinels.masters.get(&key) {
                None => self.trouble("dashboard", format!("heard nothing of group {key}")),
                Some(master) => self.think("dashboard (sentinels)", group.id, master, None),
            }
            let record = stats
                .group
                .models
                .iter()
                .find(|record| record.id == group.id);
            let master = record.and_then(|record| record.servers.first());
            match master {
                None => self.trouble("dashboard", format!("group {key} has no servers")),
                Some(master) => self.think("dashboard (record)", group.id, &master.addr, None),
            }
            if record.is_some_and(|record| record.out_of_sync) {
                self.trouble("dashboard", format!("group {key} is out of sync"));
            }
        }
        if stats.sentinels.model.out_of_sync {
            self.trouble("dashboard", "sentinels are out of sync");
        }
        let owned = stats.slots.iter().filter(|slot| slot.group_id != 0).count();
        if owned != 1024 {
            self.trouble("dashboard", format!("{owned} of 1024 slots have a group"));
        }
    }

    async fn ask_servers(&mut self, group: u32, servers: &[Addr]) {
        let mut masters = 0;
        for server in servers {
            let who = server.to_string();
            let info = match query::info(server, "replication").await {
                Ok(info) => info,
                Err(error) => {
                    self.trouble(&who, error);
                    continue;
                }
            };
            let of = |key: &str| info.get(key).map_or("?", String::as_str);
            if of("role") == "master" {
                masters += 1;
                self.think(&format!("{who} (its role)"), group, &who, None);
                continue;
            }
            let master = format!("{}:{}", of("master_host"), of("master_port"));
            self.think(&format!("{who} (follows)"), group, master, None);
            if of("master_link_status") != "up" {
                self.trouble(
                    &who,
                    format!("link to its master is {}", of("master_link_status")),
                );
            }
        }
        if masters != 1 {
            self.trouble(
                &format!("group {group}"),
                format!("{masters} servers are masters"),
            );
        }
    }
}

/// One line when the opinions on a group differ in master or epoch, saying who says what.
pub fn disagreements(group: u32, opinions: &[&Opinion]) -> Option<String> {
    let masters: BTreeSet<_> = opinions.iter().map(|opinion| &opinion.master).collect();
    let epochs: BTreeSet<_> = opinions
        .iter()
        .filter_map(|opinion| opinion.epoch)
        .collect();
    if masters.len() == 1 && epochs.len() <= 1 {
        return None;
    }
    let said: Vec<_> = opinions
        .iter()
        .map(|opinion| match opinion.epoch {
            Some(epoch) => format!("{} says {} at {epoch}", opinion.who, opinion.master),
            None => format!("{} says {}", opinion.who, opinion.master),
        })
        .collect();
    Some(match said.as_slice() {
        [] => format!("group {group}: nobody knows a master"),
        _ => format!("group {group}: {}", said.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Net;

    fn opinion(who: &str, master: &str, epoch: Option<u64>) -> Opinion {
        Opinion {
            who: who.to_owned(),
            group: 1,
            master: master.to_owned(),
            epoch: epoch.map(Epoch),
        }
    }

    #[test]
    fn one_that_lags_behind_is_named() {
        let (a, b) = (opinion("a", "h:1", Some(3)), opinion("b", "h:2", None));
        assert_eq!(
            disagreements(1, &[&a, &b]).unwrap(),
            "group 1: a says h:1 at 3, b says h:2"
        );
        assert!(disagreements(1, &[]).is_some());
    }

    #[test]
    fn the_same_master_at_two_epochs_is_no_agreement() {
        let (a, b) = (opinion("a", "h:1", Some(3)), opinion("b", "h:1", Some(4)));
        let silent = opinion("c", "h:1", None);
        assert!(disagreements(1, &[&a, &b]).is_some());
        assert!(disagreements(1, &[&a, &silent]).is_none());
    }

    #[test]
    fn a_group_without_opinions_is_not_agreed() {
        let layout = Layout::six_hosts(Net::STANDARD);
        let views = Views {
            opinions: vec![opinion("a", "h:1", None)],
            troubles: vec![],
        };
        assert_eq!(views.agreed(&layout).unwrap_err().len(), 2);
    }
}
