//! The routes: what they answer and what they leave on record.

use codis_core::model::ActionState;

use crate::bed::{Bed, call, until};

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_queued_listed_and_removed() {
    let mut bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = [bed.redis().await, bed.redis().await];
    for (group, server) in (1..).zip(&servers) {
        dashboard
            .fill_group(group, std::slice::from_ref(server))
            .await;
    }
    dashboard.give(0..=99, 1).await;
    dashboard.put("slots/action/disabled/X/1").await;
    dashboard.put("slots/action/interval/X/9999999").await;
    dashboard.put("slots/action/create/X/5/2").await;
    dashboard.put("slots/action/create-some/X/1/2/2").await;
    dashboard.put("slots/action/create-range/X/8/9/2").await;
    for (path, cause) in [
        (
            "slots/action/create/X/5/2",
            "slot-[5] action already exists",
        ),
        ("slots/action/create/X/x/2", "invalid sid"),
        ("slots/action/create/X/5/9", "group-[9] doesn't exist"),
        (
            "slots/action/create-range/X/9/8/2",
            "invalid slot range [9,8]",
        ),
        (
            "slots/action/create-some/X/1/9/2",
            "group-[9] doesn't exist",
        ),
        ("slots/action/remove/X/6", "slot-[6] action doesn't exist"),
        ("slots/action/cancel/X/6", "slot-[6] action doesn't exist"),
        ("slots/action/interval/X/fast", "invalid value"),
        ("slots/rebalance/X/maybe", "invalid confirm"),
        (
            "slots/rebalance/X/0?by=name",
            "invalid by, expected slots, memory or keys",
        ),
        ("slots/rebalance/X/0?by=keys", "not all slots are online"),
    ] {
        assert_eq!(dashboard.refused(path).await, cause, "{path}");
    }
    let record = bed.record("/codis3/demo/slots/slot-0005").unwrap();
    assert!(record.contains("\"state\": \"pending\""), "{record}");
    dashboard.put("slots/action/remove/X/5").await;
    dashboard.put("slots/action/cancel/X/0").await;
    drop(dashboard);
    bed.settings.clear();
    let dashboard = bed.dashboard().await;
    let stats = dashboard.stats().await;
    let shown = (stats.slot_action.interval, stats.slot_action.disabled);
    assert_eq!(shown, (1_000_000, true));
    let queued = stats
        .slots
        .iter()
        .filter(|slot| slot.action.state == ActionState::Pending);
    assert_eq!(queued.map(|slot| slot.id).collect::<Vec<_>>(), [1, 8, 9]);
    dashboard.put("slots/action/remove/X/1").await;
}

/// A plan is shown first and queued when it is confirmed. Slots without a group have no keys, so
/// they reach their group although the servers know no slots.
#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_cluster_is_cut_in_the_middle_by_rebalance() {
    let bed = Bed::with_settings("migration_parallel_slots = 64\n");
    let dashboard = bed.dashboard().await;
    let none = dashboard.refused("slots/rebalance/X/0").await;
    assert_eq!(none, "no valid group could be found");
    let servers = [bed.redis().await, bed.redis().await];
    for (group, server) in (1..).zip(&servers) {
        dashboard
            .fill_group(group, std::slice::from_ref(server))
            .await;
    }
    // Most slots are assigned by hand: each of the others goes through all states.
    dashboard.give(0..=499, 1).await;
    dashboard.give(512..=1011, 2).await;
    let shown = dashboard.try_put("slots/rebalance/X/0", "").await;
    let plan: serde_json::Value = serde_json::from_str(&shown.body).unwrap();
    let plan = plan.as_object().unwrap();
    assert_eq!(
        (plan.len(), &plan["500"], &plan["1023"]),
        (24, &1.into(), &2.into())
    );
    let before = dashboard.stats().await.slots;
    assert!(
        before
            .iter()
            .all(|slot| slot.action.state == ActionState::Nothing)
    );
    let confirmed = dashboard.try_put("slots/rebalance/X/1", "").await;
    assert_eq!(confirmed.body, shown.body);
    until("all slots are online", async || {
        let slots = dashboard.stats().await.slots;
        let at = |id: usize, group| {
            slots[id].group_id == group && slots[id].action.state == ActionState::Nothing
        };
        (0..512).all(|id| at(id, 1)) && (512..1024).all(|id| at(id, 2))
    })
    .await;
    let nothing = dashboard.try_put("slots/rebalance/X/1", "").await;
    assert_eq!(nothing.body, "{}");
    // Without a limit to memory there is nothing to weigh.
    let why = dashboard.refused("slots/rebalance/X/0?by=memory").await;
    assert!(why.contains("has no maxmemory"), "{why}");
    for (server, limit) in servers.iter().zip(["300mb", "100mb"]) {
        server
            .call(&["CONFIG", "SET", "maxmemory", limit])
            .await
            .unwrap();
    }
    until("memory decides", async || {
        let path = "slots/rebalance/X/0?by=memory";
        let answer = dashboard.try_put(path, "").await;
        let plan: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        plan.as_object()
            .is_some_and(|plan| plan.len() == 256 && plan["1023"] == 1)
    })
    .await;
    servers[0].call(&["SET", "a", "1"]).await.unwrap();
    let answer = dashboard.try_put("slots/rebalance/X/0?by=keys", "").await;
    assert_eq!(answer.body, "{}");
    let metrics = call(&dashboard.addr, "GET", "/metrics", "").await.unwrap();
    assert!(
        metrics.body.contains("slots_moved_total 24"),
        "{}",
        metrics.body
    );
}
