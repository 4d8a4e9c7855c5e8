//! Sync orders to servers that hang, refuse, or cannot keep them.

use codis_core::model::ActionState;
use rustix::process::Signal;

use crate::bed::{Bed, Dashboard, until};

async fn state(dashboard: &Dashboard, group: u32, addr: &str) -> ActionState {
    let group = dashboard.group(group).await;
    let found = group.servers.iter().find(|server| server.addr == addr);
    found.unwrap().action.state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_holds_up_nobody_else() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let (hung, good) = (
        [bed.redis().await, bed.redis().await],
        [bed.redis().await, bed.redis().await],
    );
    dashboard.fill_group(1, &hung).await;
    dashboard.fill_group(2, &good).await;
    hung[1].process.signal(Signal::STOP);
    for server in [&hung[1], &good[1]] {
        dashboard
            .put(&format!("group/action/create/X/{}", server.addr))
            .await;
    }
    until("the other server follows", async || {
        state(&dashboard, 2, &good[1].addr).await == ActionState::Synced
    })
    .await;
    assert_eq!(
        state(&dashboard, 1, &hung[1].addr).await,
        ActionState::Syncing,
        "the other order waited for the one that hangs"
    );
    assert_eq!(good[1].info("role").await.as_deref(), Some("slave"));
    hung[1].process.signal(Signal::CONT);
    until("the order ends", async || {
        state(&dashboard, 1, &hung[1].addr).await != ActionState::Syncing
    })
    .await;
}

/// Each part of the order counts: a server that has no file to write must not hide that it refused
/// to follow.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_refused_is_never_recorded_as_done() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let master = bed.redis().await;
    let refusing = bed
        .redis_without_file("--rename-command SLAVEOF refused")
        .await;
    let without_file = bed.redis_without_file("").await;
    dashboard.fill_group(1, std::slice::from_ref(&master)).await;
    for server in [&refusing, &without_file] {
        dashboard
            .put(&format!("group/add/X/1/{}", server.addr))
            .await;
        dashboard
            .put(&format!("group/action/create/X/{}", server.addr))
            .await;
    }
    until("one refused, the other took it", async || {
        state(&dashboard, 1, &refusing.addr).await == ActionState::SyncedFailed
            && state(&dashboard, 1, &without_file.addr).await == ActionState::Synced
    })
    .await;
    assert_eq!(refusing.info("role").await.as_deref(), Some("master"));
    assert_eq!(without_file.info("role").await.as_deref(), Some("slave"));
}

/// The whole transaction runs, and the part that fails is one in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_middle_of_the_transaction_counts() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let master = bed.redis().await;
    // A node of a group may not write its file here: the order was carried out and is not kept.
    let unkept = bed.redis().await;
    dashboard.fill_group(1, &[master]).await;
    dashboard
        .put(&format!("group/add/X/1/{}", unkept.addr))
        .await;
    std::fs::remove_dir_all(bed.redis_dir(&unkept)).unwrap();
    dashboard
        .put(&format!("group/action/create/X/{}", unkept.addr))
        .await;
    until("it is marked", async || {
        state(&dashboard, 1, &unkept.addr).await == ActionState::SyncedFailed
    })
    .await;
    assert_eq!(unkept.info("role").await.as_deref(), Some("slave"));
}
