//! A leader that the network keeps from its coordinator, and from nobody else.

use std::time::{Duration, Instant};

use super::bed::{Boards, LEASE, leads, until_leads, until_stands_by, who};
use crate::bed::{Dashboard, PRODUCT, call, free_port, once_within, until};
use crate::doubles::ProxyDouble;
use crate::shim::{Mode, Shim};
use crate::stores::Kind;

/// What a look may take on a busy machine, beside what is measured. That it does not lead for too
/// long is shown by the other one, too, which may lead only then.
const SLACK: Duration = Duration::from_secs(3);
/// How late everything arrives: when the other one has led for a while.
const LATE: Duration = Duration::from_secs(8);
/// What it takes from the network to the records.
const ARRIVES: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_cut_off_from_etcd_steps_down_in_time() {
    cut_off(Kind::Etcd, Mode::Swallow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_cut_off_from_zookeeper_steps_down_in_time() {
    cut_off(Kind::ZooKeeper, Mode::Swallow).await;
}

/// What was sent before arrives in the middle of the next one's term, and is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_reaches_etcd_late_is_refused() {
    cut_off(Kind::Etcd, Mode::Delay(LATE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_reaches_zookeeper_late_is_refused() {
    cut_off(Kind::ZooKeeper, Mode::Delay(LATE)).await;
}

async fn cut_off(kind: Kind, mode: Mode) {
    let attempt = async || is_cut_off(kind, mode).await;
    once_within(LEASE + SLACK, "it steps down", attempt).await;
}

/// Gives how long the old one led, or could be believed to lead.
async fn is_cut_off(kind: Kind, mode: Mode) -> Duration {
    let boards = Boards::on(kind);
    let shim = Shim::before(boards.place().1).await;
    let old = boards.start_on(shim.addr(), free_port(), &[]);
    until_leads(&old).await;
    let mut new = boards.start();
    until_stands_by(&new, &old).await;
    let proxy = ProxyDouble::start("p").await;
    old.put(&format!("proxy/create/X/{}", proxy.addr)).await;
    let first = boards.last_leader().await.term;

    shim.set(mode);
    let cut = Instant::now();
    let write = late_write(&old);
    let mut stepped_down = None;
    until("the other one leads", async || {
        // In this order: one that leads is not followed by one that led before.
        let (new_leads, old_leads) = (leads(&new).await, leads(&old).await);
        assert!(!(new_leads && old_leads), "both lead");
        if !old_leads {
            stepped_down.get_or_insert(cut.elapsed());
        }
        new_leads
    })
    .await;
    let second = boards.last_leader().await.term;
    assert_eq!(second, first.next());
    assert_eq!(write.await.unwrap(), 800, "nobody says that it was done");
    new.put("group/create/X/2").await;
    until("the proxy hears of the new term", async || {
        proxy.terms().contains(&(second.0, false))
    })
    .await;
    let (before, told) = (boards.fingerprint().await, proxy.terms().len());
    until("what was on its way has arrived", async || {
        cut.elapsed() > LATE + ARRIVES
    })
    .await;
    shim.set(Mode::Pass);
    until_stands_by(&old, &new).await;
    assert_eq!(
        boards.fingerprint().await,
        before,
        "the old one wrote nothing"
    );
    let late = proxy.terms().split_off(told);
    let stale = late
        .iter()
        .find(|(term, is_change)| *is_change && *term < second.0);
    assert_eq!(stale, None, "no order under the old term");

    // It takes calls like any other, and its turn comes again.
    old.put("group/create/X/3").await;
    new.process.kill();
    until_leads(&old).await;
    assert_eq!(who(&old).await.unwrap()["term"], second.next().0);
    stepped_down.unwrap()
}

/// A change that the leader is asked for when its coordinator does not hear it any more.
fn late_write(board: &Dashboard) -> tokio::task::JoinHandle<u16> {
    let addr = board.addr.clone();
    let xauth = codis_core::xauth::dashboard(PRODUCT);
    tokio::spawn(async move {
        let path = format!("/api/topom/group/create/{xauth}/900");
        call(&addr, "PUT", &path, "").await.unwrap().status
    })
}
