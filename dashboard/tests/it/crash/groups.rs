//! Groups, their servers and slots, and proxies.

use codis_core::api::Stats;
use codis_core::ha::LeavingProxies;
use codis_core::{json, paths};
use redis::Value;

use super::stage::{KEPT, Stage};
use super::{Operation, Plan};
use crate::bed::Redis;
use crate::doubles::ProxyDouble;

/// A group that comes and goes.
const SPARE: u32 = 9;

pub async fn come_and_go(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    stage.at_each_write("create a group", CreateGroup).await;
    stage.at_each_write("remove a group", RemoveGroup).await;
    let server = stage.bed.redis().await;
    let joins = Joins { server: &server };
    stage.at_each_write("add a server", joins).await;
    let leaves = Leaves { server: &server };
    stage.at_each_write("take a server out", leaves).await;
}

pub async fn promote_and_sync(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    stage.at_each_write("promote", Promote).await;
    stage.at_each_write("sync", Sync).await;
}

pub async fn assign(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    stage.at_each_write("assign slots", Assign).await;
}

pub async fn proxies(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    let proxy = ProxyDouble::start("second").await;
    let joins = ProxyJoins { proxy: &proxy };
    stage.at_each_write("create a proxy", joins).await;
    let leaves = ProxyLeaves { proxy: &proxy };
    stage.at_each_write("remove a proxy", leaves).await;
}

async fn has_spare(stage: &Stage) -> bool {
    let stats = stage.now().await;
    stage.group(&stats, SPARE).is_some()
}

/// A group that was created is there with its data, or not at all.
struct CreateGroup;

impl Operation for CreateGroup {
    async fn prepare(&mut self, stage: &mut Stage) {
        if has_spare(stage).await {
            stage.put(&format!("group/remove/X/{SPARE}")).await;
        }
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        stage.ask(&format!("group/create/X/{SPARE}"), "").await
    }
}

struct RemoveGroup;

impl Operation for RemoveGroup {
    async fn prepare(&mut self, stage: &mut Stage) {
        if !has_spare(stage).await {
            stage.put(&format!("group/create/X/{SPARE}")).await;
        }
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        stage.ask(&format!("group/remove/X/{SPARE}"), "").await
    }
}

async fn is_in(stage: &Stage, stats: &Stats, server: &Redis) -> bool {
    let group = stage.group(stats, 2).unwrap();
    group
        .servers
        .iter()
        .any(|member| member.addr == server.addr)
}

/// Makes the server a replica of group 2, or nobody's.
async fn point(stage: &Stage, server: &Redis, member: bool) {
    let (host, port) = match member {
        true => stage.servers[2].addr.split_once(':').unwrap(),
        false => ("NO", "ONE"),
    };
    let pointed = server.call(&["REPLICAOF", host, port]).await;
    assert_ne!(pointed.unwrap(), Value::Nil);
}

/// A server that is added is in its group once, or in none.
struct Joins<'a> {
    server: &'a Redis,
}

impl Operation for Joins<'_> {
    async fn prepare(&mut self, stage: &mut Stage) {
        let stats = stage.now().await;
        if is_in(stage, &stats, self.server).await {
            let path = format!("group/del/X/2/{}", self.server.addr);
            stage.put(&path).await;
        }
        point(stage, self.server, true).await;
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let path = format!("group/add/X/2/{}", self.server.addr);
        stage.ask(&path, "").await
    }
}

struct Leaves<'a> {
    server: &'a Redis,
}

impl Operation for Leaves<'_> {
    async fn prepare(&mut self, stage: &mut Stage) {
        point(stage, self.server, true).await;
        let stats = stage.now().await;
        if !is_in(stage, &stats, self.server).await {
            let path = format!("group/add/X/2/{}", self.server.addr);
            stage.put(&path).await;
        }
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let path = format!("group/del/X/2/{}", self.server.addr);
        stage.ask(&path, "").await
    }
}

/// The group has one master afterwards, the old one or the new one.
struct Promote;

impl Operation for Promote {
    async fn prepare(&mut self, stage: &mut Stage) {
        in_step(stage).await;
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let order = stage.order(1).await;
        let path = format!("group/promote/X/1/{}", order[1]);
        stage.ask(&path, "").await
    }

    async fn has_ended(&self, stage: &Stage, stats: &Stats) -> bool {
        stage.group(stats, 1).unwrap().servers.len() == 2
    }
}

/// The replica of group 1 has all that its master has.
pub async fn in_step(stage: &Stage) {
    stage
        .until("the replica is in step", async || {
            let (mut up, mut offsets) = (0, Vec::new());
            for server in &stage.servers[..2] {
                let link = server.info("master_link_status").await;
                up += usize::from(link.as_deref() == Some("up"));
                offsets.push(server.info("master_repl_offset").await);
            }
            up == 1 && offsets[0] == offsets[1]
        })
        .await;
}

/// An order to follow that was asked for is given, or was never asked for.
struct Sync;

impl Operation for Sync {
    async fn prepare(&mut self, _: &mut Stage) {}

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let order = stage.order(1).await;
        let path = format!("group/action/create/X/{}", order[1]);
        stage.ask(&path, "").await
    }
}

/// All slots of a call change hands, or none; more than the store takes in one commit.
struct Assign;

const ASSIGNED: usize = 80;
const _: () = assert!(ASSIGNED <= KEPT as usize);

impl Operation for Assign {
    async fn prepare(&mut self, _: &mut Stage) {}

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let stats = stage.stats().await?;
        let group = 3 - stats.slots[0].group_id;
        stage.assign(0..=ASSIGNED as u16 - 1, group).await
    }

    async fn has_ended(&self, _: &Stage, stats: &Stats) -> bool {
        let slots = &stats.slots[..ASSIGNED];
        slots.iter().all(|slot| slot.group_id == slots[0].group_id)
    }
}

fn is_known(stats: &Stats, proxy: &ProxyDouble) -> bool {
    let mut models = stats.proxy.models.iter();
    models.any(|model| model.token == proxy.token)
}

/// A proxy that joins is registered, filled and started, or unknown.
struct ProxyJoins<'a> {
    proxy: &'a ProxyDouble,
}

impl Operation for ProxyJoins<'_> {
    async fn prepare(&mut self, stage: &mut Stage) {
        let stats = stage.now().await;
        if is_known(&stats, self.proxy) {
            let path = format!("proxy/remove/X/{}/1", self.proxy.token);
            stage.put(&path).await;
        }
        self.proxy.forget();
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let path = format!("proxy/create/X/{}", self.proxy.addr);
        stage.ask(&path, "").await
    }

    async fn has_ended(&self, _: &Stage, stats: &Stats) -> bool {
        let filled = || (0..1024).all(|id| self.proxy.slot(id).is_some());
        !is_known(stats, self.proxy) || self.proxy.started() && filled()
    }
}

/// A proxy that was told to end is on no record; one that was not is as before.
struct ProxyLeaves<'a> {
    proxy: &'a ProxyDouble,
}

impl Operation for ProxyLeaves<'_> {
    async fn prepare(&mut self, stage: &mut Stage) {
        let stats = stage.now().await;
        if !is_known(&stats, self.proxy) {
            stage.create_proxy(&self.proxy.addr).await;
        }
        self.proxy.forget();
        let path = format!("proxy/reinit/X/{}", self.proxy.token);
        stage.put(&path).await;
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let path = format!("proxy/remove/X/{}/1", self.proxy.token);
        stage.ask(&path, "").await
    }

    async fn has_ended(&self, stage: &Stage, stats: &Stats) -> bool {
        let path = paths::ha_proxy_leaving(&stage.bed.product);
        let wishes = stage.records.read(&path).await.unwrap();
        let wishes = wishes.map(|text| json::decode::<LeavingProxies>(&text).unwrap());
        let settled = wishes.is_none_or(|wishes| wishes.proxies.is_empty());
        settled && is_known(stats, self.proxy) != self.proxy.was_ended()
    }
}
