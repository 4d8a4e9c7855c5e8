//! Slots move from nobody to a group, and are spread evenly.

use super::bed::{Life, until};
use crate::tool::stdout;

const CREATE: [&str; 4] = ["--slot-action", "--create", "--sid=1008", "--gid=1"];

/// Slots are queued, taken back, cancelled, and then they move.
pub async fn slot_actions(life: &Life) {
    settings(life);
    pending(life).await;
    moving(life).await;
}

/// Nothing moves while actions are disabled.
fn settings(life: &Life) {
    life.done(&["--slot-action", "--disabled=1"]);
    life.done(&["--slot-action", "--interval=5"]);
    let section = life.asked(&["stats"])["slot_action"].clone();
    assert_eq!(section["disabled"], true);
    assert_eq!(section["interval"], 5);
    life.done(&["--slot-action", "--interval=-1"]);
    assert_eq!(life.asked(&["stats"])["slot_action"]["interval"], 0);
}

/// What has not started is taken back in two ways.
async fn pending(life: &Life) {
    life.done(&CREATE);
    life.refused(&CREATE, "slot-[1008] action already exists");
    life.refused(
        &["--slot-action", "--create", "--sid=0", "--gid=1"],
        "slot-[0] already in group-[1]",
    );
    assert_eq!(state(life, 1008).await, "pending");
    life.refused(
        &[
            "--slots-assign",
            "--beg=1008",
            "--end=1008",
            "--gid=2",
            "--confirm",
        ],
        "slot-[1008]",
    );
    life.done(&["--slot-action", "--remove", "--sid=1008"]);
    assert_eq!(state(life, 1008).await, "");
    life.refused(
        &["--slot-action", "--remove", "--sid=1008"],
        "slot-[1008] action doesn't exist",
    );
    life.done(&CREATE);
    life.done(&["--slot-action", "--cancel", "--sid=1008"]);
    until("the cancelled action is gone", async || {
        state(life, 1008).await.is_empty()
    })
    .await;
    assert_eq!(life.owner(1008).await, 0);
}

/// What is queued moves when it may.
async fn moving(life: &Life) {
    life.done(&CREATE);
    life.done(&[
        "--slot-action",
        "--create-some",
        "--gid-from=0",
        "--gid-to=2",
        "--num-slots=2",
    ]);
    life.done(&["--slot-action", "--disabled=0"]);
    // 1008 is taken, so that the first two idle ones are the next.
    life.done(&[
        "--slot-action",
        "--create-range",
        "--beg=1011",
        "--end=1012",
        "--gid=1",
        "--wait",
    ]);
    for (slot, group) in [(1008, 1), (1009, 2), (1010, 2), (1011, 1), (1012, 1)] {
        until("the slot has moved", async || {
            life.owner(slot).await == group && state(life, slot).await.is_empty()
        })
        .await;
    }
    life.refused(
        &[
            "--slot-action",
            "--create-range",
            "--beg=1012",
            "--end=1013",
            "--gid=1",
        ],
        "slot-[1012] already in group-[1]",
    );
    assert_eq!(state(life, 1013).await, "", "all or nothing");
    life.proxies_in_step().await;
}

/// The plan is shown, carried out, and then there is nothing left to do.
pub async fn rebalance(life: &Life) {
    let plan = stdout(&life.on_board(&["--rebalance"]));
    assert_eq!(plan, "[1013,1017] => 1\n[1018,1023] => 2\ndone\n");
    assert_eq!(life.owner(1013).await, 0, "it was only shown");
    let carried_out = stdout(&life.on_board(&["--rebalance", "--confirm", "--wait"]));
    assert_eq!(carried_out, plan);
    for (slot, group) in [(1013, 1), (1017, 1), (1018, 2), (1023, 2)] {
        assert_eq!(life.owner(slot).await, group);
    }
    assert_eq!(
        stdout(&life.on_board(&["--rebalance"])),
        "nothing changes\n"
    );
    life.proxies_in_step().await;
}

/// The state of a slot's action by its record.
async fn state(life: &Life, slot: u16) -> String {
    let record = life.record(&codis_core::paths::slot("demo", slot)).await;
    let state = record.and_then(|record| Some(record["action"]["state"].as_str()?.to_owned()));
    state.unwrap_or_default()
}
