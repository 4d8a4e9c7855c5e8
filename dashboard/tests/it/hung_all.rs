//! One proxy stopped and one server that answers nothing: whatever is not about them goes on.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bed::{Bed, Dashboard, Redis, until};
use crate::doubles::{ProxyDouble, SentinelDouble};

/// What every call is allowed that is not about what hangs.
const CALL_MAX: Duration = Duration::from_secs(1);

/// Changes that are not about what hangs, in an order in which each may succeed again and again.
/// Group 9 is empty, group 2 has one server, group 1 two.
fn changes(servers: &[Redis], spare: &Redis, good: &ProxyDouble) -> Vec<String> {
    let replica = &servers[1].addr;
    vec![
        "group/create/X/9".to_owned(),
        format!("group/add/X/9/{}", spare.addr),
        format!("group/replica-groups/X/9/{}/1", spare.addr),
        "group/replica-groups-all/X/0".to_owned(),
        "group/resync/X/1".to_owned(),
        "group/resync/X/9".to_owned(),
        format!("group/action/create/X/{replica}"),
        format!("group/action/remove/X/{replica}"),
        format!("group/del/X/9/{}", spare.addr),
        "group/remove/X/9".to_owned(),
        format!("proxy/online/X/{}", good.addr),
        format!("proxy/reinit/X/{}", good.token),
        "reload/X".to_owned(),
    ]
}

/// Pages that show everything.
const PAGES: [&str; 8] = [
    "/topom",
    "/topom/model",
    "/topom/stats",
    "/topom/slots",
    "/api/topom/model",
    "/metrics",
    "/live",
    "/ready",
];

async fn within_the_limit(board: &Dashboard, changes: &[String], must_succeed: bool) {
    for page in PAGES {
        let begun = Instant::now();
        let answer = crate::bed::call(&board.addr, "GET", page, "")
            .await
            .unwrap();
        let took = begun.elapsed();
        assert_eq!(answer.status, 200, "{page}");
        assert!(took < CALL_MAX, "{page}: {took:?}");
    }
    for change in changes {
        let begun = Instant::now();
        let answer = board.try_put(change, "").await;
        let took = begun.elapsed();
        assert!(took < CALL_MAX, "{change}: {took:?}");
        let names_it = answer.body.contains("resync slots failed");
        let right = answer.status == 200 || (names_it && !must_succeed);
        assert!(right, "{change}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_about_others_answers_within_a_second() {
    let bed = Bed::new();
    let board = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    board.fill_group(1, &servers).await;
    let (second, hung, spare) = (bed.redis().await, bed.redis().await, bed.redis().await);
    board.fill_group(2, std::slice::from_ref(&second)).await;
    board.fill_group(3, std::slice::from_ref(&hung)).await;
    assert_eq!(board.assign(0..=99, 1).await.status, 200);
    assert_eq!(board.assign(100..=199, 3).await.status, 200);
    let good = ProxyDouble::start("good").await;
    let (bad, admin, _) = bed.proxy().await;
    for addr in [&good.addr, &admin] {
        board.put(&format!("proxy/create/X/{addr}")).await;
    }
    until("the fence is armed", async || {
        bad.log().contains("stall fence armed")
    })
    .await;
    bad.signal(Signal::STOP);
    hung.process.signal(Signal::STOP);
    let changes = changes(&servers, &spare, &good);
    within_the_limit(&board, &changes, false).await;

    // The proxy is known to be stopped: changes of others succeed.
    let mut group = 1;
    until("slots of other groups move", async || {
        group = 3 - group;
        let begun = Instant::now();
        let answer = board.assign(0..=0, group).await;
        assert!(begun.elapsed() < CALL_MAX, "{:?}", begun.elapsed());
        answer.status == 200 && group == 2
    })
    .await;
    assert_eq!(good.slot(0).unwrap().backend_addr, second.addr);
    within_the_limit(&board, &changes, true).await;

    // And so does a failover.
    let sentinel = SentinelDouble::start().await;
    sentinel.say(1, 0, &servers[0].addr);
    board
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    until("the sentinel is heard", async || {
        board.stats().await.sentinels.masters.contains_key("1")
    })
    .await;
    let begun = Instant::now();
    sentinel.say(1, 3, &servers[1].addr);
    until("the proxy follows", async || {
        good.slot(1).unwrap().backend_addr == servers[1].addr
    })
    .await;
    assert!(begun.elapsed() < CALL_MAX, "{:?}", begun.elapsed());
    for process in [&bad, &hung.process] {
        process.signal(Signal::CONT);
    }
}
