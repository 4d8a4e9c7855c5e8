//! The operations.

use codis_core::api::Stats;
use codis_core::slot::SlotId;

use super::Stage;
use crate::double::Double;
use crate::doubles::ProxyDouble;
use crate::plain::Server;

/// A group that was created is there with its data, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn creating_a_group() {
    let mut stage = Stage::new().await;
    let begin = async |stage: &Stage| {
        let id = 10 + stage.round;
        stage.ask(&format!("group/create/X/{id}"), "").await
    };
    stage.at_each_write(begin, async |_, _| true).await;
}

/// A server that is added to a new group is in it once, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn adding_a_server_and_taking_it_out() {
    let mut stage = Stage::new().await;
    let spare = stage.bed.redis().await;
    let addr = spare.addr.clone();
    let begin = async |stage: &Stage| {
        // In or out by turns, whatever became of the turn before.
        let stats = stage.board.stats().await;
        let servers = &stage.group(&stats, 2).unwrap().servers;
        let is_in = servers.iter().any(|server| server.addr == addr);
        let verb = if is_in { "del" } else { "add" };
        let answer = stage.ask(&format!("group/{verb}/X/2/{addr}"), "").await;
        if verb == "add" {
            let (host, port) = stage.servers[2].addr.split_once(':').unwrap();
            spare.call(&["REPLICAOF", host, port]).await.unwrap();
        } else {
            spare.call(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
        }
        answer
    };
    stage.at_each_write(begin, async |_, _| true).await;
}

/// The group has one master afterwards, the old one or the new one.
#[tokio::test(flavor = "multi_thread")]
async fn promoting_a_replica() {
    let mut stage = Stage::new().await;
    let begin = async |stage: &Stage| {
        let order = stage.board.order(1).await;
        stage
            .ask(&format!("group/promote/X/1/{}", order[1]), "")
            .await
    };
    let ended = async |stage: &Stage, stats: &Stats| {
        let group = stage.group(stats, 1).unwrap();
        group.servers.len() == 2
    };
    stage.at_each_write(begin, ended).await;
}

/// An order to follow that was asked for is given, or was never asked for.
#[tokio::test(flavor = "multi_thread")]
async fn syncing_a_replica() {
    let mut stage = Stage::new().await;
    let begin = async |stage: &Stage| {
        let order = stage.board.order(1).await;
        let path = format!("group/action/create/X/{}", order[1]);
        stage.ask(&path, "").await
    };
    stage.at_each_write(begin, async |_, _| true).await;
}

/// All slots of a call change hands, or none; more than the store takes in one commit.
#[tokio::test(flavor = "multi_thread")]
async fn assigning_slots() {
    const ASSIGNED: usize = 80;
    let mut stage = Stage::new().await;
    let begin = async |stage: &Stage| {
        let stats = stage.board.stats().await;
        let group = 3 - stats.slots[0].group_id;
        let slots = (0..ASSIGNED).map(|id| serde_json::json!({ "id": id, "group_id": group }));
        let body = serde_json::Value::Array(slots.collect()).to_string();
        stage.ask("slots/assign/X", &body).await
    };
    let ended = async |_: &Stage, stats: &Stats| {
        let slots = &stats.slots[..ASSIGNED];
        slots.iter().all(|slot| slot.group_id == slots[0].group_id)
    };
    stage.at_each_write(begin, ended).await;
}

/// A proxy that joins is registered and filled, or unknown; one that leaves is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_joins_and_leaves() {
    let mut stage = Stage::new().await;
    let second = ProxyDouble::start("second").await;
    let (addr, token) = (second.addr.clone(), second.token.clone());
    let begin = async |stage: &Stage| {
        let stats = stage.board.stats().await;
        let mut models = stats.proxy.models.iter();
        let path = match models.any(|proxy| proxy.token == token) {
            true => format!("proxy/remove/X/{token}/1"),
            false => format!("proxy/create/X/{addr}"),
        };
        stage.ask(&path, "").await
    };
    let ended = async |_: &Stage, stats: &Stats| {
        let models = stats.proxy.models.iter();
        let known = models.filter(|proxy| proxy.admin_addr == addr).count();
        known == 0 || known == 1 && second.started()
    };
    stage.at_each_write(begin, ended).await;
}

/// A slot that moves is at its new group with its keys, or still at the old one with them.
#[tokio::test(flavor = "multi_thread")]
async fn moving_a_slot() {
    const SLOT: u16 = 1000;
    let mut stage = Stage::new().await;
    let sites = [3, 4].map(|group| {
        let data = Server::start(&[]);
        let double = Double::before(&data);
        (group, data, double)
    });
    for (group, _, double) in &sites {
        stage.board.put(&format!("group/create/X/{group}")).await;
        let path = format!("group/add/X/{group}/{}", double.addr);
        stage.board.put(&path).await;
    }
    assert_eq!(stage.board.assign(SLOT..=SLOT, 3).await.status, 200);
    let of_slot = |key: &String| SlotId::of_key(key.as_bytes()).get() == SLOT;
    let mut keys = (0_u32..).map(|number| format!("key-{number}"));
    let keys: Vec<String> = keys.by_ref().filter(of_slot).take(5).collect();
    for key in &keys {
        sites[0].1.client().text(&["SET", key, "value"]);
    }
    let begin = async |stage: &Stage| {
        let stats = stage.board.stats().await;
        let target = 7 - stats.slots[usize::from(SLOT)].group_id;
        let path = format!("slots/action/create/X/{SLOT}/{target}");
        stage.ask(&path, "").await
    };
    let ended = async |_: &Stage, stats: &Stats| {
        let owner = stats.slots[usize::from(SLOT)].group_id;
        let has = |data: &Server, key: &String| data.client().text(&["EXISTS", key]) == "1";
        let right = |(group, data, _): &(u32, Server, Double)| {
            keys.iter().all(|key| has(data, key) == (*group == owner))
        };
        assert!(sites.iter().all(right), "the keys are where the slot is");
        true
    };
    stage.at_each_write(begin, ended).await;
}
