//! Tells the dashboard what the layout is, as an operator would, leaving out what it already knows.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use codis_core::addr::Addr;
use codis_core::api::Stats;
use codis_core::model::{self, SlotMapping};
use codis_runtime::http::ClientError;

use crate::control::Control;
use crate::layout::{Group, Layout};
use crate::query;
use crate::talk::Talk;

use super::Cluster;

/// How long the parts may take to agree after everything was said. A replica that the sentinels
/// have to point at its master takes the longest.
pub const AGREE_MAX: Duration = Duration::from_secs(60);
/// How long a change may be refused: a machine that has just started all of this is busy, and a
/// proxy or a server may be too late to be counted on.
const CHANGE_MAX: Duration = Duration::from_secs(45);
/// What a change that is asked for again is refused with when the first one was carried out.
const DONE: &str = "already exist";
/// How long a sync action may take.
const SYNC_MAX: Duration = Duration::from_secs(30);

/// Brings the dashboard's records to the layout.
pub async fn run(cluster: &Cluster, talk: &Talk) -> anyhow::Result<()> {
    let (control, layout) = (cluster.control(), cluster.layout());
    let stats = read(control).await.context("read the dashboard")?;
    talk.step("creating groups");
    for group in &layout.groups {
        create_group(control, &stats, group).await?;
    }
    talk.step("starting replication");
    follow_masters(control, &stats, layout).await?;
    talk.step("bringing proxies online");
    for proxy in layout.proxies() {
        let done = insist(async || control.online_proxy(&proxy.admin).await).await;
        done.with_context(|| format!("bring {} online", proxy.name()))?;
    }
    talk.step("assigning slots");
    assign_slots(control, &stats, layout).await?;
    talk.step("registering sentinels");
    register_sentinels(cluster, &stats).await
}

/// Makes a change, again while it is refused: as an operator would who reads why.
async fn insist(change: impl AsyncFn() -> Result<(), ClientError>) -> Result<(), ClientError> {
    let deadline = Instant::now() + CHANGE_MAX;
    let mut again = false;
    loop {
        match change().await {
            Err(error) if again && error.to_string().contains(DONE) => return Ok(()),
            Err(_) if Instant::now() < deadline => {}
            done => return done,
        }
        again = true;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The dashboard's records, from the first answer.
async fn read(control: &Control) -> Result<Stats, ClientError> {
    let deadline = Instant::now() + CHANGE_MAX;
    loop {
        match control.stats().await {
            Err(_) if Instant::now() < deadline => {}
            told => return told,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn record(stats: &Stats, id: u32) -> Option<&model::Group> {
    stats.group.models.iter().find(|group| group.id == id)
}

async fn create_group(control: &Control, stats: &Stats, group: &Group) -> anyhow::Result<()> {
    let known = record(stats, group.id);
    if known.is_none() {
        let done = insist(async || control.create_group(group.id).await).await;
        done.with_context(|| format!("create group {}", group.id))?;
    }
    for server in &group.servers {
        let text = server.to_string();
        if !known.is_some_and(|known| known.servers.iter().any(|s| s.addr == text)) {
            let done = insist(async || control.add_server(group.id, server).await).await;
            done.with_context(|| format!("add {server} to group {}", group.id))?;
        }
    }
    Ok(())
}

/// Points replicas at their masters where no sentinel will: in groups that are new to the
/// dashboard. In a known group the sentinels have the last word.
async fn follow_masters(control: &Control, stats: &Stats, layout: &Layout) -> anyhow::Result<()> {
    for group in &layout.groups {
        let known = record(stats, group.id).map_or(0, |known| known.servers.len());
        if known >= group.servers.len() {
            continue;
        }
        for replica in &group.servers[1..] {
            let done = insist(async || control.sync_server(replica).await).await;
            done.with_context(|| format!("make {replica} follow"))?;
            wait_following(replica, &group.servers[0]).await?;
        }
    }
    Ok(())
}

async fn wait_following(replica: &Addr, master: &Addr) -> anyhow::Result<()> {
    let deadline = Instant::now() + SYNC_MAX;
    loop {
        // The order closes the replica's connections, this one too.
        let info = query::info(replica, "replication")
            .await
            .unwrap_or_default();
        let of = |key: &str| info.get(key).map_or("", String::as_str);
        let follows = of("master_host") == master.host()
            && of("master_port") == master.port().to_string()
            && of("master_link_status") == "up";
        if follows {
            return Ok(());
        }
        if Instant::now() >= deadline {
            anyhow::bail!(
                "{replica} does not follow {master} {} s after the order",
                SYNC_MAX.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Gives every slot without an owner the one of the layout.
async fn assign_slots(control: &Control, stats: &Stats, layout: &Layout) -> anyhow::Result<()> {
    let owned = |id: u16| {
        stats
            .slots
            .iter()
            .any(|slot| slot.id == id && (slot.group_id != 0 || slot.action != Default::default()))
    };
    let mut wanted = Vec::new();
    for group in &layout.groups {
        let free = (group.slots.0..=group.slots.1).filter(|id| !owned(*id));
        wanted.extend(free.map(|id| SlotMapping {
            id,
            group_id: group.id,
            ..SlotMapping::default()
        }));
    }
    if !wanted.is_empty() {
        let done = insist(async || control.assign_slots(&wanted).await).await;
        done.context("assign slots")?;
    }
    let done = insist(async || control.resync_groups().await).await;
    done.context("resync groups")
}

async fn register_sentinels(cluster: &Cluster, stats: &Stats) -> anyhow::Result<()> {
    let mut changed = stats.sentinels.model.out_of_sync;
    for sentinel in cluster.layout().sentinels() {
        let text = sentinel.addr.to_string();
        if !stats.sentinels.model.servers.contains(&text) {
            let add = async || cluster.control().add_sentinel(&sentinel.addr).await;
            let done = insist(add).await;
            done.with_context(|| format!("add {}", sentinel.name()))?;
            changed = true;
        }
        changed |= !watches_as_wanted(cluster, &sentinel.addr).await;
    }
    if changed {
        let done = insist(async || cluster.control().resync_sentinels().await).await;
        done.context("resync sentinels")?;
    }
    Ok(())
}

/// Whether the sentinel watches every group with the wanted down-after.
async fn watches_as_wanted(cluster: &Cluster, sentinel: &Addr) -> bool {
    let wanted = cluster.planner().settings().down_after.as_millis();
    for group in &cluster.layout().groups {
        let fields = query::sentinel_master(sentinel, &group.monitor()).await;
        let down_after = fields
            .ok()
            .and_then(|mut fields| fields.remove("down-after-milliseconds"));
        if down_after != Some(wanted.to_string()) {
            return false;
        }
    }
    true
}
