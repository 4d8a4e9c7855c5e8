//! Sentinels, and promotions through them.

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

/// Records, servers and sentinels agree on the old master or on the new one.
struct Promote;

impl Operation for Promote {
    async fn prepare(&mut self, stage: &mut Stage) {
        in_step(stage).await;
        let name = paths::monitor_name(&stage.bed.product, 1);
        for sentinel in &stage.sentinels {
            until("the sentinel sees the replica in step", async || {
                sees_one_in_step(sentinel, &name).await
            })
            .await;
        }
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let order = stage.leader.order(1).await;
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

async fn sees_one_in_step(sentinel: &Redis, name: &str) -> bool {
    let Ok(told) = sentinel.call(&["SENTINEL", "SLAVES", name]).await else {
        return false;
    };
    let slaves: Vec<Fields> = redis::from_redis_value(told).unwrap();
    let up = |slave: &Fields| {
        slave
            .get("master-link-status")
            .is_some_and(|link| link == "ok")
    };
    slaves.len() == 1 && slaves.iter().all(up)
}
