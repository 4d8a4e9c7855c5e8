//! Locks that are removed by hand, and who is ready without one.

use std::process::Command;

use codis_core::model::Topom;
use codis_core::{json, paths};
use codis_runtime::http;
use codis_runtime::shutdown::Shutdown;
use rustix::process::Signal;

use super::bed::{Boards, Writer, leads, pair, until_leads, until_stands_by};
use crate::bed::{Dashboard, PRODUCT, call, free_port, neighbour, until};
use crate::stores::Kind;

/// `codis-admin --remove-lock`, as an operator has it from the days of the original.
fn remove_lock(boards: &Boards) {
    let (name, addr) = boards.place();
    let mut command = Command::new(neighbour("codis-admin"));
    command.arg(format!("--{name}={addr}"));
    command.args(["--remove-lock", &format!("--product={PRODUCT}")]);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

async fn ready(board: &Dashboard) -> (u16, String) {
    let answer = call(&board.addr, "GET", "/ready", "").await.unwrap();
    (answer.status, answer.body)
}

/// The leader notices and lets go; the next term is another one's or its own, and no write of two
/// leaders counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_living_leader_whose_lock_is_removed_lets_go() {
    let boards = Boards::on_directory();
    let (one, two) = pair(&boards).await;
    let mut writer = Writer::new();
    for _ in 0..5 {
        writer.until_acknowledged(&one).await;
        let term = boards.last_leader().await.term;
        remove_lock(&boards);
        // The old leader may not have noticed when the next one leads; what it says is done, is.
        until("another term begins", async || {
            writer.write(&one).await;
            writer.write(&two).await;
            boards.last_leader().await.term > term
        })
        .await;
        writer.until_acknowledged(&one).await;
        until("one of them leads", async || {
            leads(&one).await != leads(&two).await
        })
        .await;
    }
    writer.check(&one).await;
    writer.check(&two).await;
    let logs = one.process.log() + &two.process.log();
    // A busy machine may let a lease run out besides.
    assert!(logs.matches("not leading any more").count() >= 5, "{logs}");
}

/// The flag in a unit file, from the days when a crash left a lock behind, deposes nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_starts_with_remove_lock_leaves_a_living_leader_alone() {
    for boards in [Boards::on_directory(), Boards::on(Kind::Etcd)] {
        let leader = boards.start();
        until_leads(&leader).await;
        let term = boards.last_leader().await.term;
        let other = boards.start_at(free_port(), &["--remove-lock"]);
        until_stands_by(&other, &leader).await;
        assert_eq!(boards.last_leader().await.term, term);
        let log = other.process.log();
        assert!(log.contains("lock not removed"), "{log}");
        assert!(!leader.process.log().contains("not leading any more"));
    }
}

/// An original that lives keeps ours from the lead, until an operator decides.
#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_a_living_original_is_removed_by_hand() {
    let boards = Boards::on_directory();
    let listener = http::bind("127.0.0.1:0").await.unwrap();
    let original = Topom {
        token: "0".repeat(32),
        start_time: "then".to_owned(),
        admin_addr: listener.local_addr().unwrap().to_string(),
        product_name: PRODUCT.to_owned(),
        pid: 1,
        ..Topom::default()
    };
    let (stop, answer) = (Shutdown::new(), original.clone());
    let routes = axum::Router::new().route(
        "/topom/model",
        axum::routing::get(async move || http::json(&answer)),
    );
    let served = tokio::spawn(http::serve(listener, routes, stop.clone()));
    let records = boards.records().await;
    let record = json::encode(&original);
    records
        .create(&paths::topom(PRODUCT), &record)
        .await
        .unwrap();
    let board = boards.start();
    until("the original is noticed", async || {
        board.process.log().contains("an original dashboard")
    })
    .await;
    assert!(!leads(&board).await);
    remove_lock(&boards);
    until_leads(&board).await;
    stop.request("the test ends");
    served.await.unwrap().unwrap();
}

async fn until_ready(board: &Dashboard) {
    until("it is ready", async || ready(board).await.0 == 200).await;
}

/// Ready means that a call reaches a leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_ready_while_somebody_leads() {
    let mut boards = Boards::on(Kind::Etcd);
    let (leader, standby) = pair(&boards).await;
    assert_eq!(ready(&leader).await.0, 200);
    until_ready(&standby).await;

    // The store is gone, and with it the right to lead; the record of the leader stands.
    boards.server().kill();
    for board in [&leader, &standby] {
        until("nobody leads", async || ready(board).await.0 == 503).await;
    }
    let (_, why) = ready(&standby).await;
    assert!(why.contains("not said"), "{why}");
    boards.server().restart();
    for board in [&leader, &standby] {
        until_ready(board).await;
    }

    let (hanging, other) = match leads(&leader).await {
        true => (leader, standby),
        false => (standby, leader),
    };
    hanging.process.signal(Signal::STOP);
    until("the leader hangs", async || {
        // Long before its lease is over; by then the other one leads.
        ready(&other).await.0 == 503 || leads(&other).await
    })
    .await;
    until_leads(&other).await;
    assert_eq!(ready(&other).await.0, 200);
}
