//! Records in etcd and in ZooKeeper.

use codis_core::json;
use codis_core::model::{Group, Topom};
use codis_runtime::coordinator;

use crate::bed::{Bed, free_port, until};
use crate::leadership::{leads, until_leads, who};
use crate::stores::{Kind, Store};

const LOCK: &str = "/codis3/demo/topom";

async fn a_dashboard_keeps_its_records_in(kind: Kind) {
    // A lease runs out twice.
    let bed = Bed::with_settings("leader_lease = \"4s\"\n");
    let mut server = Store::start(kind);
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
    until_leads(&second).await;
    let told = second.refused("group/create/X/1").await;
    assert_eq!(told, "group-[1] already exists");
    second.put("shutdown/X").await;
    assert!(second.process.ended().await.success());
    assert_eq!(topom().await, None, "an orderly stop removes it");

    // Who has lost the lock stands by, and leads again.
    let third = bed.dashboard_offline("127.0.0.1", free_port(), &[&flag]);
    until_leads(&third).await;
    let term = who(&third).await.unwrap()["term"].as_u64();
    store.delete(LOCK).await.unwrap();
    until("it leads under another term", async || {
        who(&third)
            .await
            .is_some_and(|who| who["term"].as_u64() > term)
    })
    .await;
    let log = third.process.log();
    assert!(log.contains("lock is lost: it was deleted"), "{log}");
    assert_eq!(topom().await.unwrap().admin_addr, third.addr);

    // One whose coordinator dies says so, and leads again when it is back.
    server.kill();
    until("the lease runs out", async || !leads(&third).await).await;
    assert!(
        third
            .refused("group/create/X/2")
            .await
            .starts_with("topom is not online, no leader since")
    );
    let stats = third.stats().await;
    assert_eq!(stats.group.models[0].id, 1, "from its own records");
    server.restart();
    until_leads(&third).await;
    third.put("group/create/X/2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_keeps_its_records_in_etcd() {
    a_dashboard_keeps_its_records_in(Kind::Etcd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_keeps_its_records_in_zookeeper() {
    a_dashboard_keeps_its_records_in(Kind::ZooKeeper).await;
}
