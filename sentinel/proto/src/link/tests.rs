//! Connections and PING of one link, step by step.

use super::*;
use crate::timing::Timing;

const NO_STALL: Duration = Duration::ZERO;

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn data_link(down_after: u64) -> (Link, Outbox) {
    let auth = Auth::Data {
        user: None,
        pass: None,
    };
    let pace = Pace::of(Duration::from_millis(down_after), &Timing::default());
    let link = Link::new(LinkId(1), Addr::new("h", 1), auth, pace);
    (link, Outbox::default())
}

fn drain(out: &mut Outbox) -> Vec<String> {
    let name = |effect: Effect| format!("{effect:?}");
    let short = |text: String| text.split([' ', '{']).next().unwrap_or_default().to_owned();
    std::iter::from_fn(|| out.pop())
        .map(name)
        .map(short)
        .collect()
}

#[test]
fn ping_follows_down_after_within_limits() {
    for (down_after, period) in [(200, 50), (1000, 100), (5000, 500), (30_000, 1000)] {
        let pace = Pace::of(Duration::from_millis(down_after), &Timing::default());
        assert_eq!(pace.ping_period, Duration::from_millis(period));
    }
}

#[test]
fn a_lost_connection_is_tried_at_once_and_then_less_and_less_often() {
    let (mut link, mut out) = data_link(1000);
    link.sweep(ms(1000), NO_STALL, &mut out);
    assert_eq!(drain(&mut out), ["Connect", "Connect"]);
    link.connected(ms(1001), Channel::Command, "ip".into());
    link.connected(ms(1001), Channel::PubSub, String::new());
    assert!(link.is_whole());
    link.lost(ms(5000), Channel::Command, DisconnectReason::Closed);
    link.sweep(ms(5000), NO_STALL, &mut out);
    assert_eq!(drain(&mut out), ["Connect"], "at once");
    link.lost(ms(5001), Channel::Command, DisconnectReason::Closed);
    let (next, _) = link.sweep(ms(5001), NO_STALL, &mut out);
    assert!(drain(&mut out).is_empty());
    assert_eq!(next, Some(ms(5020)));
    link.sweep(ms(5020), NO_STALL, &mut out);
    assert_eq!(drain(&mut out), ["Connect"]);
    let pace = Pace::of(Duration::from_secs(30), &Timing::default());
    for (down, gap) in [
        (0, 20),
        (400, 100),
        (2000, 250),
        (29_999, 250),
        (30_000, 1000),
    ] {
        let down = Duration::from_millis(down);
        assert_eq!(pace.retry_gap(down), Duration::from_millis(gap), "{down:?}");
    }
}

#[test]
fn a_connection_that_does_not_open_is_given_up() {
    let (mut link, mut out) = data_link(1000);
    link.sweep(ms(1000), NO_STALL, &mut out);
    drain(&mut out);
    let (_, closed) = link.sweep(ms(1500), NO_STALL, &mut out);
    assert!(closed);
    let expected = ["Disconnect", "Connect", "Disconnect", "Connect"];
    assert_eq!(drain(&mut out), expected);
    link.lost(ms(1501), Channel::Command, DisconnectReason::Closed);
    link.connected(ms(1502), Channel::Command, "late".into());
    assert!(!link.is_up(), "the report of an attempt that was given up");
}

#[test]
fn one_ping_is_in_flight_and_silence_closes_an_old_connection() {
    let (mut link, mut out) = data_link(1000);
    link.sweep(ms(1000), NO_STALL, &mut out);
    link.connected(ms(1000), Channel::Command, "ip".into());
    link.sweep(ms(1000), NO_STALL, &mut out);
    let sent: Vec<CommandId> = link.pending.keys().copied().collect();
    link.sweep(ms(3000), NO_STALL, &mut out);
    assert_eq!(link.pending.len(), 1, "no second one");
    link.pending.remove(&sent[0]);
    assert!(link.pinged(ms(3001), sent[0], PingReply::Pong));
    let (next, _) = link.sweep(ms(3001), NO_STALL, &mut out);
    assert!(link.ping.in_flight.is_some());
    assert_eq!(
        next,
        Some(ms(3500)),
        "the pub/sub connection is still opening"
    );
    drain(&mut out);
    // Four down-afters old, and half a down-after silent.
    let (_, closed) = link.sweep(ms(5000), NO_STALL, &mut out);
    assert!(closed && !link.is_up() && link.pending.is_empty());
}

#[test]
fn only_some_answers_prove_life() {
    let (mut link, _) = data_link(1000);
    for (reply, alive) in [
        (PingReply::Pong, true),
        (PingReply::Loading, true),
        (PingReply::MasterDown, true),
        (PingReply::Busy, false),
        (PingReply::Other, false),
    ] {
        link.ping.proof = None;
        assert_eq!(link.pinged(ms(5), CommandId(1), reply), alive);
        assert_eq!(link.ping.proof.is_some(), alive);
        assert!(link.ping.replied.is_some());
    }
}

#[test]
fn a_young_connection_is_not_closed_for_its_silence() {
    for (age_min, closes_at) in [(15_000, 5000), (1000, 2000)] {
        let (mut link, mut out) = data_link(1000);
        let timing = Timing {
            min_link_reconnect_period: Duration::from_millis(age_min),
            ..Timing::default()
        };
        link.pace = Pace::of(Duration::from_millis(1000), &timing);
        link.sweep(ms(1000), NO_STALL, &mut out);
        link.connected(ms(1000), Channel::Command, "ip".into());
        link.sweep(ms(1000), NO_STALL, &mut out);
        let (_, closed) = link.sweep(ms(closes_at - 1), NO_STALL, &mut out);
        assert!(!closed, "{age_min}");
        let (_, closed) = link.sweep(ms(closes_at), NO_STALL, &mut out);
        assert!(closed, "{age_min}");
    }
}

/// Only refusals that go on for the whole span tell of a dead process, and a proof of life ends
/// them.
#[test]
fn refusals_count_from_the_first_to_one_that_comes_late_enough() {
    let (mut link, mut out) = data_link(30_000);
    let span = Duration::from_millis(300);
    let mut refuse = |link: &mut Link, at, reason| {
        link.sweep(ms(at), NO_STALL, &mut out);
        link.lost(ms(at), Channel::Command, reason);
    };
    let lasted = |link: &Link| link.refusals.and_then(|it| it.lasted(span));
    refuse(&mut link, 1000, DisconnectReason::Refused);
    refuse(&mut link, 1250, DisconnectReason::Refused);
    assert_eq!(lasted(&link), None);
    refuse(&mut link, 1500, DisconnectReason::Refused);
    assert_eq!(lasted(&link), Some(ms(1300)));
    link.pinged(ms(1600), CommandId(1), PingReply::Pong);
    assert_eq!(lasted(&link), None);
    refuse(&mut link, 2000, DisconnectReason::Refused);
    refuse(&mut link, 2250, DisconnectReason::TimedOut);
    refuse(&mut link, 2500, DisconnectReason::Refused);
    assert_eq!(lasted(&link), None, "a silent network is no dead process");
}
