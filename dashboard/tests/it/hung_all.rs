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

/// Whether the proxy that hangs so is known to hold its clients when it goes on, so that nothing
/// waits for it. The clients of one that is out of reach may reach it.
fn is_fenced(hang: Hang) -> bool {
    hang != Hang::Behind(Net::Dark)
}

/// Ages of the peers that hang, in milliseconds; nobody else has one.
fn ages(world: &World, stats: &Stats) -> Vec<u64> {
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
        assert_eq!(age.is_some(), hangs, "{name}: {age:?}");
        assert_eq!(has_last, hangs, "{name} is shown as it was");
        ages.extend(age);
    }
    ages
}

/// Those that hang are marked wherever figures are shown, and get older.
async fn are_stale_and_age(world: &World) {
    until("all that hang are marked", async || {
        let stats = world.board.stats().await;
        let marked = stats
            .group
            .stats
            .values()
            .filter(|s| s.age_ms.is_some())
            .count()
            + stats
                .proxy
                .stats
                .values()
                .filter(|s| s.age_ms.is_some())
                .count()
            + stats
                .sentinels
                .stats
                .values()
                .filter(|s| s.age_ms.is_some())
                .count();
        marked == world.hung().len()
    })
    .await;
    let before = ages(world, &world.board.stats().await);
    until("they get older", async || {
        let overview = world.board.get("/topom").await;
        let overview: Stats = serde_json::from_value(overview["stats"].clone()).unwrap();
        let now = ages(world, &overview);
        now.iter()
            .zip(&before)
            .all(|(now, before)| *now > before + 1000)
    })
    .await;
    let metrics = crate::bed::call(&world.board.addr, "GET", "/metrics", "").await;
    let metrics = metrics.unwrap().body;
    for kind in ["server", "proxy"] {
        let line = format!("codis_dashboard_peers_stale{{kind=\"{kind}\"}} 1");
        assert!(metrics.lines().any(|shown| shown == line), "{line}");
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

/// A group of the dashboard alone changes its master when all that may serve hold its slots.
async fn is_promoted_alone(world: &World, is_held: bool) -> Duration {
    let before = world.board.order(2).await;
    let begun = Instant::now();
    let path = format!("group/promote/X/2/{}", before[1]);
    let answer = world.board.try_put(&path, "").await;
    let took = begun.elapsed();
    let after = world.board.order(2).await;
    if is_held {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(after[0], before[1]);
        world.replica_follows(2).await;
        return took;
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
    took
}

/// Makes all hang; a promotion right after that is refused in time. On a busy machine one of three
/// tries shows that.
async fn hang(world: &World, hang: Hang) {
    let mut slow = Vec::new();
    for _ in 0..3 {
        world.hang(hang).await;
        // In the first moments nobody knows yet that the proxy does not serve.
        let took = is_promoted_alone(world, false).await;
        if took < CALL_MAX {
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
    for _ in 0..3 {
        let took = is_promoted_alone(world, is_fenced(hang)).await;
        if took < CALL_MAX {
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
    let before = world.board.order(2).await;
    calls
        .promotion_through_sentinels(&before[1], is_fenced(hang))
        .await;
    assert_eq!(world.board.order(2).await[0], before[1]);
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
