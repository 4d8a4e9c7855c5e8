//! The state of the cluster as figures, read from the newest snapshot at each scrape. A dashboard
//! that does not lead has none: it says so by `codis_dashboard_leader` 0 and leaves the rest out,
//! so that a sum over all dashboards counts nothing twice.

use std::collections::BTreeMap;
use std::fmt;

use codis_core::model::ActionState;
use codis_runtime::metrics::put;
use codis_topom::Cluster;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::api::App;
use crate::core::Core;
use crate::poll::Silence;

/// The states of a slot, in the order that it goes through them.
const SLOT_STATES: [&str; 7] = [
    "offline",
    "open",
    "pending",
    "preparing",
    "prepared",
    "migrating",
    "finished",
];
/// The states of sync actions.
const SYNC_STATES: [&str; 4] = ["pending", "syncing", "synced", "synced_failed"];

/// Reads the cluster of a dashboard.
#[derive(Debug)]
pub struct Figures {
    app: App,
}

type Encoded = Result<(), fmt::Error>;

impl Figures {
    /// The figures of `app`.
    pub const fn new(app: App) -> Self {
        Self { app }
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Encoded {
        let out = &mut encoder;
        let core = self.app.leading();
        let leader = u64::from(core.is_some());
        put(out, "leader", "Whether it leads", &gauge(leader))?;
        let Some(core) = core else {
            return Ok(());
        };
        put(out, "term", "Its term", &gauge(core.lease.term().0))?;
        let left = ConstGauge::new(core.lease.left().as_secs_f64());
        put(
            out,
            "lease_left_seconds",
            "What is left of its lease",
            &left,
        )?;
        let cluster = core.state.cluster();
        plain(out, &core, &cluster)?;
        let help = "Slots by state of their migration";
        by_state(out, "slots", help, &SLOT_STATES, slots(&cluster))?;
        let help = "Sync actions by state";
        by_state(out, "sync_actions", help, &SYNC_STATES, syncs(&cluster))?;
        peers(out, &core, &cluster)?;
        stalls(out, &core, &cluster)?;
        epochs(out, &cluster)
    }
}

/// Figures without labels.
fn plain(out: &mut DescriptorEncoder<'_>, core: &Core, cluster: &Cluster) -> Encoded {
    let revision = core.state.view().revision;
    let statuses = core.fleet.statuses();
    let behind = statuses.values().filter(|s| s.acked < revision).count();
    let failing = statuses.values().filter(|s| s.failing.is_some()).count();
    let of_groups = |is: fn(&codis_core::model::Group) -> bool| {
        cluster.groups().filter(|group| is(group)).count()
    };
    let rows = [
        (
            "revision",
            "Changes of the records that it has made or seen since it leads",
            usize::try_from(revision).unwrap_or(usize::MAX),
        ),
        ("groups", "Groups", cluster.groups().count()),
        (
            "groups_empty",
            "Groups without a server",
            of_groups(|group| group.servers.is_empty()),
        ),
        (
            "groups_out_of_sync",
            "Groups that not all proxies are known to hold as they are",
            of_groups(|group| group.out_of_sync),
        ),
        (
            "groups_promoting",
            "Groups with a promotion under way",
            of_groups(|group| group.promoting.state != ActionState::Nothing),
        ),
        (
            "groups_in_conflict",
            "Groups whose sentinels name another master at no higher epoch",
            core.belief.conflicts().len(),
        ),
        (
            "sentinels_out_of_sync",
            "Whether sentinels are yet to be told of a change",
            usize::from(cluster.sentinel().out_of_sync),
        ),
        (
            "proxies_behind",
            "Proxies that do not hold the newest slots yet",
            behind,
        ),
        (
            "proxies_failing",
            "Proxies that did not take the last slots sent",
            failing,
        ),
    ];
    for (name, help, value) in rows {
        put(out, name, help, &gauge(value as u64))?;
    }
    Ok(())
}

fn slots(cluster: &Cluster) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for slot in cluster.slots() {
        let state = match slot.action.state {
            ActionState::Nothing if slot.group_id == 0 => "offline",
            state => slot_state(state),
        };
        *counts.entry(state).or_default() += 1;
    }
    counts
}

const fn slot_state(state: ActionState) -> &'static str {
    match state {
        ActionState::Pending => "pending",
        ActionState::Preparing => "preparing",
        ActionState::Prepared => "prepared",
        ActionState::Migrating => "migrating",
        ActionState::Finished => "finished",
        // The last three are no states of slots.
        ActionState::Nothing
        | ActionState::Syncing
        | ActionState::Synced
        | ActionState::SyncedFailed => "open",
    }
}

fn syncs(cluster: &Cluster) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for server in cluster.groups().flat_map(|group| &group.servers) {
        let state = match server.action.state {
            ActionState::Pending => "pending",
            ActionState::Syncing => "syncing",
            ActionState::Synced => "synced",
            ActionState::SyncedFailed => "synced_failed",
            // The rest are no states of servers.
            ActionState::Nothing
            | ActionState::Preparing
            | ActionState::Prepared
            | ActionState::Migrating
            | ActionState::Finished => continue,
        };
        *counts.entry(state).or_default() += 1;
    }
    counts
}

/// Servers, proxies and sentinels, and how many of them do not answer.
fn peers(out: &mut DescriptorEncoder<'_>, core: &Core, cluster: &Cluster) -> Encoded {
    let servers: usize = cluster.groups().map(|group| group.servers.len()).sum();
    let kinds = [
        ("server", servers),
        ("proxy", cluster.proxies().count()),
        ("sentinel", cluster.sentinel().servers.len()),
    ];
    let mut all = out.encode_descriptor("peers", "Peers by kind", None, MetricType::Gauge)?;
    for (kind, count) in kinds {
        gauge(count as u64).encode(all.encode_family(&[("kind", kind)])?)?;
    }
    let silence = core.polls.silence();
    let help = "Peers that do not answer, by kind";
    let mut stale = out.encode_descriptor("peers_stale", help, None, MetricType::Gauge)?;
    for Silence {
        kind, stale: count, ..
    } in silence
    {
        gauge(count as u64).encode(stale.encode_family(&[("kind", kind)])?)?;
    }
    let help = "How long ago the peer that answered longest ago did, by kind";
    let name = "peer_age_seconds_max";
    let mut ages = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for Silence { kind, oldest, .. } in silence {
        let age = ConstGauge::new(oldest.unwrap_or_default().as_secs_f64());
        age.encode(ages.encode_family(&[("kind", kind)])?)?;
    }
    Ok(())
}

/// How often proxies stood still; only those that say so.
fn stalls(out: &mut DescriptorEncoder<'_>, core: &Core, cluster: &Cluster) -> Encoded {
    let help = "Times that a worker of a proxy stood still, since the proxy started";
    let mut family = out.encode_descriptor("proxy_stalls", help, None, MetricType::Gauge)?;
    for (token, stalls) in core.polls.stalls() {
        let Ok(proxy) = cluster.proxy(&token) else {
            continue;
        };
        let labels = [("proxy", proxy.admin_addr.as_str())];
        gauge(stalls).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn epochs(out: &mut DescriptorEncoder<'_>, cluster: &Cluster) -> Encoded {
    let help = "Epoch of a group's master; only groups that have one";
    let mut family = out.encode_descriptor("group_epoch", help, None, MetricType::Gauge)?;
    for group in cluster.groups() {
        let epoch = cluster.epoch(group.id).0;
        if epoch > 0 {
            gauge(epoch).encode(family.encode_family(&[("group", group.id)])?)?;
        }
    }
    Ok(())
}

fn by_state(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    states: &[&'static str],
    counts: BTreeMap<&'static str, u64>,
) -> Encoded {
    let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for state in states {
        let count = counts.get(state).copied().unwrap_or_default();
        gauge(count).encode(family.encode_family(&[("state", *state)])?)?;
    }
    Ok(())
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}
