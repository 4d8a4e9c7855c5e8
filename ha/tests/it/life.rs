//! What is done to a product, and what never is.

use rustix::process::Signal;

use crate::bed::{Bed, says, sees, until};
use codis_bed::process::{free_port, neighbour};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_is_replaced_and_follows_when_it_returns() {
    let bed = Bed::new().await;
    let [mut master, replica] = bed.pair().await;
    master.call(&["SET", "k", "v"]).await.unwrap();
    until("the write is replicated", async || {
        replica.call(&["DBSIZE"]).await.unwrap() == redis::Value::Int(1)
    })
    .await;
    let ha = bed.ha(&[]);
    sees(&ha, &format!("[ ] group-1 [0] {}", master.addr), 2).await;
    master.process.kill();
    until("the replica leads", async || {
        bed.order().await == [replica.addr.clone(), master.addr.clone()]
            && replica.info("role").await.as_deref() == Some("master")
    })
    .await;
    let promote = format!("group/promote/1/{} forced", replica.addr);
    let promoted = bed.audited(&promote).await;
    let agent = promoted["agent"].as_str().unwrap();
    assert!(agent.starts_with("codis-ha/"), "{promoted}");
    let kept = replica.call(&["GET", "k"]).await.unwrap();
    assert_eq!(kept, redis::Value::BulkString(b"v".to_vec()));
    let returned = bed.redis_at(master.port).await;
    until("the old master follows", async || {
        returned.follows(&replica).await
    })
    .await;
    let order = bed.order().await;
    assert_eq!(order, [replica.addr.clone(), returned.addr.clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_master_with_data_follows_because_it_was_seen_before() {
    let bed = Bed::new().await;
    let [master, replica] = bed.pair().await;
    master.call(&["SET", "k", "v"]).await.unwrap();
    let ha = bed.ha(&[]);
    sees(&ha, &format!("[ ] group-1 [0] {}", master.addr), 2).await;
    // As a stopped master is: not seen by anybody, its replica cut off, its data there.
    master.process.signal(Signal::STOP);
    let path = format!("group/promote/X/1/{}?force=1", replica.addr);
    bed.put(&path).await;
    master.process.signal(Signal::CONT);
    until("the old master follows", async || {
        master.follows(&replica).await
    })
    .await;
    assert_eq!(bed.order().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_for_a_product_with_sentinels() {
    let bed = Bed::new().await;
    let [mut master, replica] = bed.pair().await;
    let (port, config) = (free_port(), bed.path("sentinel.conf"));
    let text = format!("bind 127.0.0.1\nport {port}\nprotected-mode no\n");
    std::fs::write(&config, text).unwrap();
    let mut command = std::process::Command::new(neighbour("codis-sentinel"));
    command.arg(&config).current_dir(bed.path(""));
    let log = bed.path("sentinel.log");
    let _sentinel = codis_bed::process::Process::start(command, &log);
    let sentinel = bed.sentinel_at(port).await;
    // One of a quorum of two decides nothing: whatever happens would be our doing.
    bed.put(&format!("sentinels/add/X/{sentinel}")).await;
    let ha = bed.ha(&[]);
    sees(&ha, &format!("[ ] group-1 [0] {}", master.addr), 2).await;
    master.process.kill();
    says(&ha, "the product has sentinels").await;
    sees(&ha, &format!("[E] group-1 [0] {}", master.addr), 3).await;
    assert_eq!(bed.order().await[0], master.addr);
    assert_eq!(replica.info("role").await.as_deref(), Some("slave"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_and_a_replica_that_hang_stay() {
    let bed = Bed::new().await;
    let [master, replica] = bed.pair().await;
    let proxy = bed.proxy().await;
    let ha = bed.ha(&[]);
    sees(&ha, "[ ] proxy-1 ", 1).await;
    proxy.signal(Signal::STOP);
    replica.process.signal(Signal::STOP);
    sees(&ha, "[T] proxy-1 ", 4).await;
    sees(&ha, &format!("[T] group-1 [1] {}", replica.addr), 4).await;
    proxy.signal(Signal::CONT);
    replica.process.signal(Signal::CONT);
    sees(&ha, "[ ] proxy-1 ", 2).await;
    sees(&ha, &format!("[ ] group-1 [1] {}", replica.addr), 2).await;
    assert_eq!(bed.stats().await.proxy.models.len(), 1);
    assert_eq!(
        bed.order().await,
        [master.addr.clone(), replica.addr.clone()]
    );
    assert!(!ha.log().contains("done act"), "{}", ha.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_restarts_is_waited_for() {
    let mut bed = Bed::new().await;
    let [mut master, replica] = bed.pair().await;
    bed.dashboard.signal(Signal::STOP);
    let ha = bed.ha(&[]);
    says(&ha, "dashboard not read").await;
    bed.dashboard.signal(Signal::CONT);
    for _ in 0..3 {
        sees(&ha, &format!("[ ] group-1 [0] {}", master.addr), 1).await;
        bed.restart_dashboard().await;
    }
    sees(&ha, &format!("[ ] group-1 [0] {}", master.addr), 2).await;
    assert!(!ha.log().contains("done act"), "{}", ha.log());
    // Every observer starts anew, the one on the other side too.
    master.process.kill();
    bed.restart_dashboard().await;
    until("the replica leads", async || {
        bed.order().await[0] == replica.addr
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_maintenance_it_only_tells() {
    let bed = Bed::new().await;
    let [mut master, replica] = bed.pair().await;
    let ha = bed.ha(&["--no-maintains"]);
    sees(&ha, &format!("[ ] group-1 [0] {}", master.addr), 1).await;
    master.process.kill();
    says(&ha, "left undone: --no-maintains").await;
    let told = format!("candidate: \"{}\"", replica.addr);
    assert!(ha.log().contains(&told), "{}", ha.log());
    assert_eq!(bed.order().await[0], master.addr);
    assert_eq!(replica.info("role").await.as_deref(), Some("slave"));
}
