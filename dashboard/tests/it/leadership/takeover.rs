//! The leader dies, or stops: a standby takes over, and calls go through it all the time.

use std::time::Duration;

use codis_core::ha::Term;
use codis_core::model::Topom;
use codis_core::{json, paths};
use rustix::process::Signal;

use super::bed::{Boards, LEASE, Writer, leads, pair, until_leads, until_stands_by, who};
use crate::bed::{Dashboard, PRODUCT, call, call_with, free_port, until};
use crate::stores::Kind;

/// What a call may take on a busy machine, beside what is measured.
const SLACK: Duration = Duration::from_secs(1);
/// How often a busy machine may try to show that it takes no longer.
const TRIES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_on_a_directory() {
    killed(Boards::on_directory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_on_etcd() {
    killed(Boards::on(Kind::Etcd)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_on_zookeeper() {
    killed(Boards::on(Kind::ZooKeeper)).await;
}

/// A client calls through the standby before, during and after; it sees errors that say what to do
/// for no longer than the lease and a second.
async fn killed(boards: Boards) {
    let (mut leader, mut standby) = pair(&boards).await;
    let mut writer = Writer::new();
    let mut slow = Vec::new();
    for _ in 0..TRIES {
        let (back, took) = replaced(&boards, leader, &standby, &mut writer).await;
        if took < LEASE + Duration::from_secs(1) + SLACK {
            return;
        }
        slow.push(took);
        (leader, standby) = (standby, back);
    }
    panic!("it took {slow:?}");
}

/// Gives the leader back that was killed, as a standby, and how long nobody led.
async fn replaced(
    boards: &Boards,
    mut leader: Dashboard,
    standby: &Dashboard,
    writer: &mut Writer,
) -> (Dashboard, Duration) {
    for _ in 0..5 {
        writer.until_acknowledged(standby).await;
    }
    let term = boards.last_leader().await.term;
    leader.process.kill();
    let took = writer.until_acknowledged(standby).await;
    assert!(leads(standby).await);
    for why in &writer.refused {
        assert!(why.contains("lead"), "no next step: {why}");
    }
    writer.check(standby).await;
    let last = boards.last_leader().await;
    assert_eq!(
        (last.term, last.admin_addr),
        (term.next(), standby.addr.clone())
    );

    // The one that was killed comes back on its address and stands by.
    let back = boards.start_at(leader.port, &[]);
    until_stands_by(&back, standby).await;
    writer.until_acknowledged(&back).await;
    writer.check(standby).await;
    (back, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_the_leaders_and_without_one_the_own_ones_marked_as_old() {
    let boards = Boards::on(Kind::Etcd);
    let (mut leader, standby) = pair(&boards).await;
    leader.put("group/create/X/1").await;
    let read = async |path: &str| call(&standby.addr, "GET", path, "").await.unwrap();
    until("what the leader tells is passed on", async || {
        let fresh = read("/topom").await;
        assert_eq!(fresh.status, 200);
        let overview: serde_json::Value = serde_json::from_str(&fresh.body).unwrap();
        let is_old = fresh.head.contains("x-codis-stale");
        // A busy leader may be late; what comes instead is marked.
        assert_ne!(is_old, overview["model"]["admin_addr"] == leader.addr);
        !is_old
    })
    .await;
    until("the standby has read the group", async || {
        leader.process.signal(Signal::STOP);
        let stale = read("/topom/stats").await;
        leader.process.signal(Signal::CONT);
        stale.head.contains("x-codis-stale") && stale.body.contains("\"id\": 1,")
    })
    .await;
    leader.process.kill();
    for path in ["/topom", "/topom/stats", "/topom/slots"] {
        let answer = read(path).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let xauth = codis_core::xauth::dashboard(PRODUCT);
    for (xauth, status) in [(xauth.as_str(), 200), ("wrong", 800)] {
        let answer = read(&format!("/api/topom/stats/{xauth}")).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let model: Topom = json::decode(read("/topom/model").await.body.as_bytes()).unwrap();
    assert_eq!(
        model.admin_addr, standby.addr,
        "a model is always the own one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_through_a_standby_is_known_to_the_leader() {
    let boards = Boards::on_directory();
    let (leader, standby) = pair(&boards).await;
    standby.put("group/create/X/7").await;
    until("the leader logs the change with its origin", async || {
        let log = leader.process.log();
        let mut lines = log.lines().filter(|line| line.contains(" changed "));
        lines.any(|line| line.contains("origin=\"127.0.0.1\""))
    })
    .await;
}

/// A standby whose leader passes calls on to it would send them in a circle.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_passed_on_once() {
    let boards = Boards::on_directory();
    let (_leader, standby) = pair(&boards).await;
    let line = "X-Codis-Forwarded: 1\r\n";
    let answer = call_with(&standby.addr, "GET", "/topom", line, "").await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 800);
    let why = answer.cause();
    assert!(why.contains("took this one for the leader"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_dashboards_lead_in_turn_and_no_acknowledged_write_is_lost() {
    let boards = Boards::on(Kind::Etcd);
    in_turn(&boards, 12, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_change_under_writes_on_a_directory() {
    let boards = Boards::on_directory();
    in_turn(&boards, 30, true).await;
}

/// The leader is told to stop, killed, or robbed of its lock, again and again, while clients write
/// through all of them.
async fn in_turn(boards: &Boards, rounds: u32, removes: bool) {
    let mut all = vec![boards.start()];
    until_leads(&all[0]).await;
    all.push(boards.start());
    all.push(boards.start());
    let records = boards.records().await;
    let mut writer = Writer::new();
    let mut term = Term(0);
    for round in 0..rounds {
        for board in &all {
            writer.until_acknowledged(board).await;
        }
        let last = boards.last_leader().await;
        assert!(last.term > term, "{} after {term}", last.term);
        term = last.term;
        let at = all
            .iter()
            .position(|board| board.addr == last.admin_addr)
            .unwrap();
        match round % 3 {
            0 if removes => records.delete(&paths::topom(PRODUCT)).await.unwrap(),
            kind => {
                if kind == 1 {
                    all[at].process.signal(Signal::TERM);
                    assert!(all[at].process.ended().await.success());
                } else {
                    all[at].process.kill();
                }
                let port = all[at].port;
                all[at] = boards.start_at(port, &[]);
            }
        }
        until("another term begins", async || {
            boards.last_leader().await.term > term
        })
        .await;
    }
    let mut leading = 0;
    for board in &all {
        until("it answers", async || who(board).await.is_some()).await;
        writer.until_acknowledged(board).await;
        writer.check(board).await;
        leading += u32::from(leads(board).await);
    }
    assert_eq!(leading, 1);
}

/// The record of an original outlives it. It is cleared by the flag; the term goes on.
#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_an_original_is_removed_and_the_term_is_not() {
    let boards = Boards::on(Kind::ZooKeeper);
    let first = boards.start();
    until_leads(&first).await;
    let term = boards.last_leader().await.term;
    drop(first);
    let records = boards.records().await;
    let path = paths::topom(PRODUCT);
    until("the lock ends with its lease", async || {
        records.read(&path).await.unwrap().is_none()
    })
    .await;
    let original = Topom {
        token: "0".repeat(32),
        admin_addr: format!("127.0.0.1:{}", free_port()),
        ..Topom::default()
    };
    records
        .create(&path, &json::encode(&original))
        .await
        .unwrap();
    let second = boards.start_at(free_port(), &["--remove-lock"]);
    until_leads(&second).await;
    assert!(second.process.log().contains("lock removed"));
    assert_eq!(boards.last_leader().await.term, term.next());
}
