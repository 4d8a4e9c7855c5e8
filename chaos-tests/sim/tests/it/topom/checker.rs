//! The checker under test: a part that is broken must be caught, by the rule that it breaks, within
//! a few seeds.

use codis_sim::topom::check::Rule;
use codis_sim::topom::profile::Profile;
use codis_sim::topom::sabotage::Sabotage;

use crate::runs;

/// Seeds that a broken part may survive.
const SEEDS: u64 = 120;

fn caught(sabotage: Sabotage, profile: Profile, rules: &[Rule]) {
    runs::caught(sabotage, profile, rules, SEEDS);
}

/// What a slot that is served by two routes comes to, by whichever shows first.
const SPLIT: [Rule; 3] = [Rule::Stranded, Rule::TwoOwners, Rule::LostWrite];

#[test]
fn a_commit_without_a_guard_is_caught() {
    caught(Sabotage::NoGuard, Profile::Pause, &[Rule::StaleWrite]);
}

#[test]
fn a_slot_that_moves_without_a_lock_is_caught() {
    caught(Sabotage::NoLock, Profile::Crash, &SPLIT);
}

#[test]
fn a_step_that_waits_for_nobody_is_caught() {
    caught(Sabotage::NoWait, Profile::Cut, &SPLIT);
}

#[test]
fn a_proxy_that_is_believed_whatever_it_does_is_caught() {
    caught(Sabotage::TrustLiars, Profile::Lie, &[Rule::Liveness]);
}

#[test]
fn a_fence_that_is_announced_and_missing_is_caught() {
    caught(Sabotage::NoFence, Profile::Hang, &SPLIT);
}

#[test]
fn a_fill_that_does_not_wait_for_requests_in_flight_is_caught() {
    caught(Sabotage::NoDrain, Profile::Calm, &SPLIT);
}

#[test]
fn fills_in_any_order_are_caught() {
    let rules = [
        Rule::Stranded,
        Rule::TwoOwners,
        Rule::LostWrite,
        Rule::Liveness,
    ];
    caught(Sabotage::NoStamps, Profile::Cut, &rules);
}

#[test]
fn a_proxy_that_takes_orders_of_any_term_is_caught() {
    caught(Sabotage::NoTerms, Profile::Late, &SPLIT);
}

#[test]
fn a_term_that_two_lead_under_is_caught() {
    caught(Sabotage::SameTerm, Profile::Crash, &[Rule::Term]);
}

#[test]
fn a_step_that_is_left_out_is_caught() {
    caught(Sabotage::SkipStep, Profile::Calm, &[Rule::Transition]);
}

#[test]
fn a_promotion_that_waits_for_nothing_is_caught() {
    caught(Sabotage::Rash, Profile::Calm, &[Rule::LostWrite]);
}

#[test]
fn a_promotion_that_takes_silence_for_death_is_caught() {
    caught(Sabotage::Hasty, Profile::Promote, &[Rule::LostWrite]);
}

#[test]
fn an_epoch_that_falls_is_caught() {
    caught(Sabotage::OldEpoch, Profile::Calm, &[Rule::Panic]);
}

#[test]
fn a_slot_that_leaves_its_keys_behind_is_caught() {
    caught(Sabotage::NoSource, Profile::Calm, &SPLIT);
}
