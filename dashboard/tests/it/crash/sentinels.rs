//! Sentinels, and promotions through them.

use std::path::Path;

use codis_core::api::Stats;
use codis_core::paths;

use super::groups::in_step;
use super::invariants::{Fields, masters, monitors};
use super::stage::Stage;
use super::{Operation, Plan};
use crate::bed::{Redis, neighbour, until};

/// Three sentinels of ours that watch the product and know the replica of group 1.
async fn watched(stage: &mut Stage) {
    in_step(stage).await;
    let binary = neighbour("codis-sentinel");
    stage.sentinels = stage.bed.sentinels(&binary, &stage.leader, 1).await;
}

pub async fn come_and_go(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    watched(&mut stage).await;
    let spare = stage.bed.sentinel(&neighbour("codis-sentinel")).await;
    let addr = spare.addr.clone();
    stage.sentinels.push(spare);
    let joins = Joins { addr: addr.clone() };
    stage.at_each_write("add a sentinel", joins).await;
    stage
        .at_each_write("remove a sentinel", Leaves { addr })
        .await;
    stage.at_each_write("resync the sentinels", Resync).await;
}

async fn is_known(stage: &Stage, addr: &str) -> bool {
    let stats = stage.now().await;
    stats
        .sentinels
        .model
        .servers
        .iter()
        .any(|known| known == addr)
}

/// A sentinel that is on record watches the product, and another does not.
struct Joins {
    addr: String,
}

impl Operation for Joins {
    async fn prepare(&mut self, stage: &mut Stage) {
        if is_known(stage, &self.addr).await {
            stage.put(&format!("sentinels/del/X/{}/0", self.addr)).await;
        }
        stage.until_quiet("it is gone", async |_| true).await;
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        stage
            .ask(&format!("sentinels/add/X/{}", self.addr), "")
            .await
    }
}

struct Leaves {
    addr: String,
}

impl Operation for Leaves {
    async fn prepare(&mut self, stage: &mut Stage) {
        if !is_known(stage, &self.addr).await {
            stage.put(&format!("sentinels/add/X/{}", self.addr)).await;
        }
        stage.until_quiet("it is there", async |_| true).await;
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        stage
            .ask(&format!("sentinels/del/X/{}/0", self.addr), "")
            .await
    }
}

/// The mark that they are out of step does not stay.
struct Resync;

impl Operation for Resync {
    async fn prepare(&mut self, _: &mut Stage) {}

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        stage.ask("sentinels/resync-all/X", "").await
    }
}

pub async fn promote(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    watched(&mut stage).await;
    stage.at_each_write("promote by sentinels", Promote).await;
}

/// Stock sentinels choose for themselves, so the one that is to be chosen is made their favourite
/// first; what its siblings had before is given back, whoever leads then.
pub async fn promote_by_stock(plan: Plan) {
    let point = plan.points[0];
    let mut stage = Stage::new(plan, "").await;
    in_step(&stage).await;
    let third = stage.bed.redis().await;
    let (host, port) = stage.servers[0].addr.split_once(':').unwrap();
    third.call(&["REPLICAOF", host, port]).await.unwrap();
    stage.put(&format!("group/add/X/1/{}", third.addr)).await;
    let binary = Path::new("redis-sentinel");
    stage.sentinels = stage.bed.sentinels(binary, &stage.leader, 2).await;
    let mut promote = PromoteByStock { third: &third };
    // The note of what they had, the new master, the end of the note; a stock sentinel asks
    // replicas every ten seconds, so each round takes its time.
    for count in 1..=2 {
        stage.at = format!("promote by stock sentinels, {point} {count}");
        let hit = stage.rounds(point, count, &mut promote).await;
        assert!(hit, "{}: it was not passed", stage.at);
    }
}

/// As [`Promote`], and nobody is left with a priority that was given for the occasion.
struct PromoteByStock<'a> {
    third: &'a Redis,
}

impl Operation for PromoteByStock<'_> {
    async fn prepare(&mut self, stage: &mut Stage) {
        let name = paths::monitor_name(&stage.bed.product, 1);
        for sentinel in &stage.sentinels {
            stage
                .until("the sentinel sees both replicas in step", async || {
                    sees_in_step(sentinel, &name, 2).await
                })
                .await;
        }
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let order = stage.order(1).await;
        let next = order.iter().skip(1).find(|addr| **addr != self.third.addr);
        let path = format!("group/promote/X/1/{}", next.unwrap());
        stage.ask(&path, "").await
    }

    async fn has_ended(&self, stage: &Stage, stats: &Stats) -> bool {
        let mut given_back = true;
        for server in stage.servers[..2].iter().chain([self.third]) {
            let told = server.call(&["CONFIG", "GET", "replica-priority"]).await;
            let told: Vec<String> = redis::from_redis_value(told.unwrap()).unwrap();
            given_back &= told[1] == "100";
        }
        given_back && Promote.has_ended(stage, stats).await
    }
}

/// Records, servers and sentinels agree on the old master or on the new one.
struct Promote;

impl Operation for Promote {
    async fn prepare(&mut self, stage: &mut Stage) {
        in_step(stage).await;
        let name = paths::monitor_name(&stage.bed.product, 1);
        for sentinel in &stage.sentinels {
            until("the sentinel sees the replica in step", async || {
                sees_in_step(sentinel, &name, 1).await
            })
            .await;
        }
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let order = stage.order(1).await;
        let path = format!("group/promote/X/1/{}", order[1]);
        stage.ask(&path, "").await
    }

    /// Sentinels go on without any dashboard; it is over when they all say the same.
    async fn has_ended(&self, stage: &Stage, stats: &Stats) -> bool {
        for sentinel in &stage.sentinels {
            let Ok(told) = sentinel.call(&["SENTINEL", "MASTERS"]).await else {
                return false;
            };
            let at_rest = |fields: &Fields| !fields["flags"].contains("failover");
            if masters(told.clone()) != stage.watched(stats, sentinel)
                || !monitors(told).iter().all(at_rest)
            {
                return false;
            }
        }
        true
    }
}

async fn sees_in_step(sentinel: &Redis, name: &str, replicas: usize) -> bool {
    let Ok(told) = sentinel.call(&["SENTINEL", "SLAVES", name]).await else {
        return false;
    };
    let slaves: Vec<Fields> = redis::from_redis_value(told).unwrap();
    let up = |slave: &Fields| {
        slave
            .get("master-link-status")
            .is_some_and(|link| link == "ok")
    };
    slaves.len() == replicas && slaves.iter().all(up)
}
