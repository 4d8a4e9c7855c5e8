//! The whole life of a cluster through the tool: every pattern of its table, on each coordinator.
//!
//! After each step the test looks at what the step is for: exit code and output, the dashboard's
//! API, the records in the store, the roles of the servers, the routing of the proxies.

mod bed;
mod birth;
mod changes;
mod end;
mod keys;
mod moves;

use bed::Life;

use crate::stores::{Kind, Store};

async fn a_whole_life(name: &'static str, addr: String) {
    live(Life::begin(name, addr).await).await;
}

async fn live(mut life: Life) {
    birth::dashboard(&life).await;
    birth::groups(&life).await;
    birth::slots(&life).await;
    birth::proxies(&mut life).await;
    life.lose_leader().await;
    moves::slot_actions(&life).await;
    moves::rebalance(&life).await;
    changes::proxy(&life).await;
    changes::replicas(&life).await;
    changes::promotion(&life).await;
    life.lose_leader().await;
    changes::sentinels(&mut life).await;
    changes::shrink(&mut life).await;
    end::backup(&life).await;
    end::legacy(&life).await;
    end::shutdown(&mut life).await;
    life.nothing_was_left_out();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_lives_on_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store").display().to_string();
    a_whole_life("filesystem", root).await;
}

/// The tool knows two dashboards and asks the one first that does not lead. The leader is killed
/// twice in this life, and at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_lives_though_its_leaders_die() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store").display().to_string();
    let mut life = Life::begin("filesystem", root).await;
    life.stand_by().await;
    live(life).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_lives_on_etcd() {
    let server = Store::start(Kind::Etcd);
    a_whole_life("etcd", server.addr()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_lives_on_zookeeper() {
    let server = Store::start(Kind::ZooKeeper);
    a_whole_life("zookeeper", server.addr()).await;
}
