//! The checker under test: a shell that breaks its contract must be caught, by the rule that it
//! breaks, within a few seeds.

use codis_sim::check::Rule;
use codis_sim::profile::Profile;
use codis_sim::runner;
use codis_sim::world::Sabotage;

/// Seeds that a broken shell may survive.
const SEEDS: u64 = 60;

/// Asserts that a run of the first seeds breaks one of the rules.
fn caught(sabotage: Sabotage, profile: Profile, rules: &[Rule]) {
    let found = (0..SEEDS).find_map(|seed| {
        let violation = runner::run_with(seed, profile, sabotage, None).violation?;
        rules.contains(&violation.rule).then_some(violation)
    });
    assert!(
        found.is_some(),
        "{sabotage:?} survived {SEEDS} seeds of {profile}"
    );
}

#[test]
fn a_vote_answered_before_it_is_on_disk_is_caught() {
    caught(Sabotage::LyingDisk, Profile::Crash, &[Rule::DurableVote]);
}

#[test]
fn a_sentinel_that_forgets_its_votes_is_caught() {
    caught(
        Sabotage::Amnesia,
        Profile::Crash,
        &[Rule::OneVote, Rule::EpochFell],
    );
}

#[test]
fn a_sentinel_that_votes_for_everybody_is_caught() {
    caught(
        Sabotage::YesMan,
        Profile::Crash,
        &[Rule::OneVote, Rule::OneLeader],
    );
}

#[test]
fn a_question_that_is_never_answered_is_caught() {
    caught(
        Sabotage::DropQuestions,
        Profile::Calm,
        &[Rule::Contract, Rule::Liveness],
    );
}

#[test]
fn an_order_that_never_arrives_is_caught() {
    caught(
        Sabotage::DropOrders,
        Profile::Calm,
        &[Rule::Liveness, Rule::Slow],
    );
}

#[test]
fn a_failover_that_is_slower_than_promised_is_caught() {
    caught(Sabotage::SlowDisk, Profile::Calm, &[Rule::Slow]);
}

#[test]
fn a_failover_on_the_word_of_one_is_caught() {
    caught(Sabotage::Hearsay, Profile::Partition, &[Rule::Quorum]);
}
