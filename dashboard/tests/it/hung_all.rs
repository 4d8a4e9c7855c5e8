//! One proxy, one server and one sentinel that answer nothing: whatever is not about them goes on,
//! and says within a second what became of it.

mod calls;
mod command;
mod world;

use std::time::{Duration, Instant};

use codis_core::api::Stats;
use codis_core::model::ActionState;

use crate::bed::{Hang, Net, until};
use calls::Calls;
use world::{HELD, World};

/// What every call is allowed that is not about what hangs.
const CALL_MAX: Duration = Duration::from_secs(1);
/// How often a busy machine may try to show that.
const TRIES: usize = 8;

/// Whether the proxy that hangs so is known to hold its clients when it goes on, so that nothing
/// waits for it. The clients of one that is out of reach may reach it.
fn is_fenced(hang: Hang) -> bool {
    hang != Hang::Behind(Net::Dark)
}

/// Ages of the peers that hang, in milliseconds, when nobody else has one: a busy machine may be
/// late once with one that is well.
fn ages(world: &World, stats: &Stats) -> Option<Vec<u64>> {
    let servers = stats
        .group
        .stats
        .iter()
        .map(|(addr, s)| (addr, s.age_ms, s.last.is_some()));
    let proxies = stats
        .proxy
        .stats
        .iter()
        .map(|(token, s)| (token, s.age_ms, s.last.is_some()));
    let sentinels = stats
        .sentinels
        .stats
        .iter()
        .map(|(addr, s)| (addr, s.age_ms, s.last.is_some()));
    let mut ages = Vec::new();
    for (name, age, has_last) in servers.chain(proxies).chain(sentinels) {
        let hangs = world.hung().contains(&name.as_str());
        assert_eq!(has_last, age.is_some(), "{name} is shown as it was");
        if age.is_some() != hangs {
            return None;
        }
        ages.extend(age);
    }
    Some(ages)
}

/// Those that hang are marked wherever figures are shown, and get older.
async fn are_stale_and_age(world: &World) {
    let mut before = Vec::new();
    until("all that hang are marked, and they alone", async || {
        let marked = ages(world, &world.board.stats().await);
        before = marked.unwrap_or_default();
        !before.is_empty()
    })
    .await;
    until("they get older", async || {
        let overview = world.board.get("/topom").await;
        let overview: Stats = serde_json::from_value(overview["stats"].clone()).unwrap();
        let now = ages(world, &overview).unwrap_or_default();
        now.len() == before.len()
            && now
                .iter()
                .zip(&before)
                .all(|(now, before)| *now > before + 1000)
    })
    .await;
    for kind in ["server", "proxy"] {
        let name = format!("codis_dashboard_peers_stale{{kind=\"{kind}\"}}");
        until("one of each kind is counted", async || {
            crate::bed::figure(&world.board.addr, &name).await == Some(1.0)
        })
        .await;
    }
}

/// Slots between two groups that are well move, as long as no proxy that may serve is behind.
async fn slots_move(world: &World, hang: Hang) {
    world
        .board
        .put("slots/action/create-range/X/330/333/5")
        .await;
    let slots = async || world.board.stats().await.slots[330..=333].to_vec();
    if is_fenced(hang) {
        until("the slots have moved", async || {
            let idle = ActionState::Nothing;
            slots()
                .await
                .iter()
                .all(|s| s.group_id == 5 && s.action.state == idle)
        })
        .await;
        return;
    }
    until("it is told what the slots wait for", async || {
        let section = world.board.stats().await.slot_action;
        let names_it = |error: &str| error.contains(&world.bad_token) && error.contains("remove");
        section.slots.iter().any(|slot| names_it(&slot.error))
    })
    .await;
    assert!(
        slots().await.iter().all(|slot| slot.group_id == 4),
        "it might serve"
    );
    for slot in 330..=333 {
        world
            .board
            .put(&format!("slots/action/cancel/X/{slot}"))
            .await;
    }
    until("nothing is under way", async || {
        slots()
            .await
            .iter()
            .all(|slot| slot.action.state == ActionState::Nothing)
    })
    .await;
}

/// A group of the dashboard alone changes its master when all that may serve hold its slots. Gives
/// how long that took, or nothing when it was known too soon who hangs, or one that is well was
/// late.
async fn is_promoted_alone(world: &World, is_held: bool) -> Option<Duration> {
    let before = world.board.order(2).await;
    let begun = Instant::now();
    let path = format!("group/promote/X/2/{}", before[1]);
    let answer = world.board.try_put(&path, "").await;
    let took = begun.elapsed();
    let after = world.board.order(2).await;
    let is_late = answer.body.contains(&world.good_token);
    if is_late && answer.status == 800 {
        // The proxy that is well, on a machine that is busy.
        return None;
    }
    if is_held {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(after[0], before[1]);
        world.replica_follows(2).await;
        return Some(took);
    }
    if answer.status == 200 {
        world.replica_follows(2).await;
        return None;
    }
    let cause = answer.cause();
    let named = format!("proxy-[{}] resync slots failed: ", world.bad_token);
    assert!(cause.starts_with(&named), "{cause}");
    assert_eq!(after, before, "its clients may write to the old master");
    let group = world.board.group(2).await;
    assert_eq!(group.promoting.state, ActionState::Nothing);
    until("the slots are given free", async || {
        let held = world.held_by_good().await;
        HELD.iter().all(|id| !held[usize::from(*id)].locked)
    })
    .await;
    Some(took)
}

/// Makes all hang; a promotion right after that is refused in time. On a busy machine one of some
/// tries shows that.
async fn hang(world: &World, hang: Hang) {
    let mut slow = Vec::new();
    for _ in 0..TRIES {
        world.hang(hang).await;
        // In the first moments nobody knows yet that the proxy does not serve.
        let took = is_promoted_alone(world, false).await;
        if took.is_some_and(|took| took < CALL_MAX) {
            return;
        }
        slow.push(took);
        world.go_on().await;
        world.all_in_step().await;
    }
    panic!("a refusal took {slow:?}");
}

/// A promotion while it is known who hangs ends in time.
async fn is_promoted_soon(world: &World, hang: Hang) {
    let mut slow = Vec::new();
    for _ in 0..TRIES {
        let took = is_promoted_alone(world, is_fenced(hang)).await;
        if took.is_some_and(|took| took < CALL_MAX) {
            return;
        }
        slow.push(took);
    }
    panic!("a promotion took {slow:?}");
}

async fn without_sentinels(how: Hang) {
    let world = World::new().await;
    let term = world.term().await;
    hang(&world, how).await;
    let mut calls = Calls::new(&world);
    calls.all_may_fail_for_the_proxy().await;
    if is_fenced(how) {
        world.until_the_proxy_is_not_waited_for().await;
        calls.all_succeed().await;
    } else {
        calls.all_may_fail_for_the_proxy().await;
    }
    is_promoted_soon(&world, how).await;
    slots_move(&world, how).await;
    are_stale_and_age(&world).await;
    assert_eq!(world.term().await, term, "the lead was kept");
    world.go_on().await;
    world.all_in_step().await;
}

async fn with_sentinels(hang: Hang) {
    let mut world = World::new().await;
    world.add_sentinels().await;
    let term = world.term().await;
    world.hang(hang).await;
    let mut calls = Calls::new(&world);
    calls.all_may_fail_for_the_proxy().await;
    if is_fenced(hang) {
        world.until_the_proxy_is_not_waited_for().await;
        calls.all_succeed().await;
    }
    calls.promotion_through_sentinels(is_fenced(hang)).await;
    are_stale_and_age(&world).await;
    assert_eq!(world.term().await, term, "the lead was kept");
    calls.last().await;
    calls.assert_that_no_route_is_missing();
    world.process_ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_peers_that_are_stopped() {
    without_sentinels(Hang::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_peers_that_accept_and_say_nothing() {
    without_sentinels(Hang::Behind(Net::Mute)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_peers_whose_packets_are_dropped() {
    without_sentinels(Hang::Behind(Net::Dark)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_sentinel_that_is_stopped_either() {
    with_sentinels(Hang::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_sentinel_that_accepts_and_says_nothing_either() {
    with_sentinels(Hang::Behind(Net::Mute)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_sentinel_whose_packets_are_dropped_either() {
    with_sentinels(Hang::Behind(Net::Dark)).await;
}
