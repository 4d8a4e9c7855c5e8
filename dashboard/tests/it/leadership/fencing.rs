//! A leader that is stopped for longer than its lease, and goes on: nothing that it does counts.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinSet;

use super::bed::{Boards, Writer, pair, until_leads, until_stands_by, who};
use crate::bed::{Dashboard, PRODUCT, call, figure, until};
use crate::doubles::ProxyDouble;
use crate::stores::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_stores_nothing_on_a_directory() {
    stopped(Boards::on_directory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_stores_nothing_on_etcd() {
    stopped(Boards::on(Kind::Etcd)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_stores_nothing_on_zookeeper() {
    stopped(Boards::on(Kind::ZooKeeper)).await;
}

/// Calls that wait in the sockets of a stopped process: it reads them as soon as it goes on.
fn queue(board: &Dashboard, ids: std::ops::Range<u32>) -> JoinSet<(u16, String)> {
    let mut calls = JoinSet::new();
    for id in ids {
        let addr = board.addr.clone();
        let xauth = codis_core::xauth::dashboard(PRODUCT);
        calls.spawn(async move {
            let path = format!("/api/topom/group/create/{xauth}/{id}");
            let answer = call(&addr, "PUT", &path, "").await.unwrap();
            (answer.status, answer.body)
        });
    }
    calls
}

async fn stopped(boards: Boards) {
    let (old, new) = pair(&boards).await;
    let proxy = ProxyDouble::start("p").await;
    old.put(&format!("proxy/create/X/{}", proxy.addr)).await;
    old.put("group/create/X/1").await;
    let first = boards.last_leader().await.term;

    old.process.signal(Signal::STOP);
    let mut queued = queue(&old, 9_000..9_020);
    until_leads(&new).await;
    let second = boards.last_leader().await.term;
    assert_eq!(second, first.next());
    new.put("group/create/X/2").await;
    until("the proxy hears of the new term", async || {
        proxy.terms().contains(&(second.0, false))
    })
    .await;
    let (before, told) = (boards.fingerprint().await, proxy.terms().len());

    old.process.signal(Signal::CONT);
    until_stands_by(&old, &new).await;
    let mut passed_on = 0;
    while let Some(call) = queued.join_next().await {
        let (status, body) = call.unwrap();
        match status {
            // It stood by already, and passed the call on to the one that leads.
            200 => passed_on += 1,
            // It noticed, or the store refused what it wrote behind its fence.
            _ => {
                let refused = ["lead", "store: create group"];
                let is_refused = refused.iter().any(|words| body.contains(words));
                assert!(status == 800 && is_refused, "{status} {body}");
            }
        }
    }
    // What the new leader was asked for is there, and nothing else.
    let after = boards.fingerprint().await;
    assert_eq!(after.len(), before.len() + passed_on);
    assert!(before.iter().all(|record| after.contains(record)));
    assert_eq!(boards.last_leader().await.term, second);
    let late = proxy.terms().split_off(told);
    let stale = |(term, is_change): &&(u64, bool)| *is_change && *term < second.0;
    assert_eq!(late.iter().find(stale), None, "no order under the old term");
    let log = old.process.log();
    assert!(log.contains("not leading any more"), "{log}");

    // It is a standby like any other, and leads again when it is its turn.
    let mut new = new;
    let mut writer = Writer::new();
    writer.next = 100;
    writer.until_acknowledged(&old).await;
    new.process.kill();
    writer.until_acknowledged(&old).await;
    writer.check(&old).await;
    assert_eq!(boards.last_leader().await.term, second.next());
}

/// Not between two changes but in the middle of one, where nobody else may be: before it is made,
/// and after.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_inside_a_directory_is_replaced() {
    for point in ["store.directory.entered", "store.directory.journal"] {
        let boards = Boards::on_directory();
        let (old, new) = pair(&boards).await;
        let servers = [boards.bed.redis().await, boards.bed.redis().await];
        for (group, server) in [1, 2].into_iter().zip(&servers) {
            old.put(&format!("group/create/X/{group}")).await;
            old.put(&format!("group/add/X/{group}/{}", server.addr))
                .await;
        }
        let first = boards.last_leader().await.term;
        let port = old.addr.rsplit_once(':').unwrap().1.parse().unwrap();
        let faults = boards.bed.fault(port);
        let fresh = faults.with_extension("new");
        std::fs::write(&fresh, format!("{point} 1 stop")).unwrap();
        std::fs::rename(&fresh, &faults).unwrap();
        let slots = serde_json::json!([{"id": 7, "group_id": 1}, {"id": 8, "group_id": 2}]);
        let asked = {
            let addr = old.addr.clone();
            let xauth = codis_core::xauth::dashboard(PRODUCT);
            let path = format!("/api/topom/slots/assign/{xauth}");
            tokio::spawn(async move { call(&addr, "PUT", &path, &slots.to_string()).await })
        };
        until("it is stopped there", async || !faults.exists()).await;
        until_leads(&new).await;
        assert_eq!(boards.last_leader().await.term, first.next(), "{point}");
        new.put("group/create/X/3").await;
        let before = boards.fingerprint().await;

        old.process.signal(Signal::CONT);
        until_stands_by(&old, &new).await;
        let answer = asked.await.unwrap().unwrap();
        let after = boards.fingerprint().await;
        assert_eq!(before, after, "{point}: {}", answer.body);
        assert_eq!(boards.last_leader().await.term, first.next(), "{point}");
    }
}

/// Somebody put back an older copy of the records: the proxies were told of a higher term than
/// the next one. The leader goes above it by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_term_is_older_than_what_a_proxy_was_told_goes_above_it() {
    let boards = Boards::on_directory();
    let leader = boards.start();
    until_leads(&leader).await;
    let (proxy, admin, _) = boards.bed.proxy().await;
    leader.put(&format!("proxy/create/X/{admin}")).await;
    let model: codis_core::model::Proxy = {
        let answer = call(&admin, "GET", "/api/proxy/model", "").await.unwrap();
        codis_core::json::decode(answer.body.as_bytes()).unwrap()
    };
    let xauth = codis_core::xauth::proxy(PRODUCT, "", &model.token);
    let path = format!("/api/proxy/xping/{xauth}");
    let line = "x-codis-term: 70\r\n";
    let told = crate::bed::call_with(&admin, "GET", &path, line, "").await;
    assert_eq!(told.unwrap().status, 200);
    // Somebody who does not know the secret shuts nobody out.
    let line = "x-codis-term: 900\r\n";
    let path = "/api/proxy/xping/wrong";
    let told = crate::bed::call_with(&admin, "GET", path, line, "").await;
    assert_eq!(told.unwrap().status, 800);

    // It is refused, unless a poll of the proxy was first and has raised the term already.
    let answer = leader
        .try_put(&format!("proxy/reinit/X/{}", model.token), "")
        .await;
    until("the proxy refused a call of the old term", async || {
        proxy.log().contains("stale dashboard, term 1 < 70")
    })
    .await;
    let refusals = "codis_dashboard_stale_leader_refusals_total{by=\"proxy\"}";
    until("the dashboard has counted that", async || {
        figure(&leader.addr, refusals).await > Some(0.0)
    })
    .await;
    let is_above = who(&leader).await.is_some_and(|who| who["term"] == 71);
    assert!(answer.status == 800 || is_above, "{}", answer.body);
    let calls = "codis_proxy_stale_dashboard_calls_total";
    assert!(figure(&admin, calls).await > Some(0.0));
    until("it leads above that", async || {
        who(&leader).await.is_some_and(|who| who["term"] == 71)
    })
    .await;
    until("and the proxy takes orders again", async || {
        let path = format!("proxy/reinit/X/{}", model.token);
        leader.try_put(&path, "").await.status == 200
    })
    .await;
}

/// The process is killed while a large edit is carried out: it is there whole, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_all_slots_is_not_left_half_done() {
    let boards = Boards::on_directory();
    let mut leader = boards.start();
    until_leads(&leader).await;
    let mut servers = Vec::new();
    for group in [1, 2] {
        leader.put(&format!("group/create/X/{group}")).await;
        let server = boards.bed.redis().await;
        leader
            .put(&format!("group/add/X/{group}/{}", server.addr))
            .await;
        servers.push(server);
    }
    for round in 0..6u32 {
        let group = 1 + round % 2;
        let addr = leader.addr.clone();
        let slots = (0..1024).map(|id| serde_json::json!({ "id": id, "group_id": group }));
        let body = serde_json::Value::Array(slots.collect()).to_string();
        let xauth = codis_core::xauth::dashboard(PRODUCT);
        let asked = tokio::spawn(async move {
            let path = format!("/api/topom/slots/assign/{xauth}");
            call(&addr, "PUT", &path, &body).await
        });
        // Each round dies at another point of the work.
        let edit = boards.bed.path("store/data/codis3/demo/ha/edit");
        until("the edit is under way, or done", async || {
            edit.exists() || asked.is_finished()
        })
        .await;
        tokio::time::sleep(Duration::from_millis(u64::from(round) * 15)).await;
        leader.process.kill();
        let acknowledged = asked
            .await
            .unwrap()
            .is_ok_and(|answer| answer.status == 200);
        leader = boards.start();
        until_leads(&leader).await;
        let owners: std::collections::BTreeSet<u32> = leader
            .stats()
            .await
            .slots
            .iter()
            .map(|slot| slot.group_id)
            .collect();
        assert_eq!(owners.len(), 1, "round {round}: {owners:?}");
        assert!(!acknowledged || owners.contains(&group), "round {round}");
        assert!(!edit.exists(), "round {round}");
    }
}
