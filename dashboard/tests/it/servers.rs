//! Records in etcd and in ZooKeeper.

use codis_core::json;
use codis_core::model::{Group, Topom};
use codis_runtime::coordinator;

use crate::bed::{Bed, free_port, until};
use crate::stores::{Kind, Store};

const LOCK: &str = "/codis3/demo/topom";

async fn a_dashboard_keeps_its_records_in(kind: Kind) {
    let bed = Bed::new();
    let server = Store::start(kind);
    let flag = format!("--{}={}", server.name(), server.addr());
    let store = coordinator::open(server.name(), &server.addr(), "").await;
    let store = store.unwrap();
    let topom = async || -> Option<Topom> {
        let record = store.read(LOCK).await.unwrap()?;
        Some(json::decode(&record).unwrap())
    };

    let port = free_port();
    let mut first = bed.dashboard_offline("127.0.0.1", port, &[&flag]);
    first.online().await;
    first.put("group/create/X/1").await;
    let record = store.read("/codis3/demo/group/group-0001").await.unwrap();
    let group: Group = json::decode(&record.unwrap()).unwrap();
    assert_eq!(group.id, 1);
    assert_eq!(topom().await.unwrap().admin_addr, first.addr);

    // A crash leaves a record that is locked until the session ends, and no longer.
    first.process.kill();
    let mut second = bed.dashboard_offline("127.0.0.1", port, &[&flag]);
    until("the killed one is replaced", async || {
        topom()
            .await
            .is_some_and(|found| found.pid == second.process.pid())
    })
    .await;
    second.online().await;
    let told = second.refused("group/create/X/1").await;
    assert_eq!(told, "group-[1] already exists");
    second.put("shutdown/X").await;
    assert!(second.process.ended().await.success());
    assert_eq!(topom().await, None, "an orderly stop removes it");

    // Who has lost the lock stores nothing more.
    let mut third = bed.dashboard_offline("127.0.0.1", free_port(), &[&flag]);
    third.online().await;
    store.delete(LOCK).await.unwrap();
    assert_eq!(third.process.ended().await.code(), Some(1));
    let log = third.process.log();
    assert!(log.contains("topom lost: it was deleted"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_keeps_its_records_in_etcd() {
    a_dashboard_keeps_its_records_in(Kind::Etcd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_keeps_its_records_in_zookeeper() {
    a_dashboard_keeps_its_records_in(Kind::ZooKeeper).await;
}
