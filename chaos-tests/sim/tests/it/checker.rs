//! The checker under test: a shell that breaks its contract must be caught, by the rule that it
//! breaks, within a few seeds.

use codis_sim::check::Rule;
use codis_sim::profile::Profile;
use codis_sim::world::Sabotage;

use crate::runs;

/// Seeds that a broken shell may survive.
const SEEDS: u64 = 60;

fn caught(sabotage: Sabotage, profile: Profile, rules: &[Rule]) {
    runs::caught(sabotage, profile, rules, SEEDS);
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
fn a_lost_state_that_nobody_notices_is_caught() {
    caught(Sabotage::Unmarked, Profile::Amnesia, &[Rule::OneVote]);
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
    caught(
        Sabotage::SlowDisk,
        Profile::Calm,
        &[Rule::Slow, Rule::Undecided],
    );
}

#[test]
fn a_failover_on_the_word_of_one_is_caught() {
    caught(Sabotage::Hearsay, Profile::Partition, &[Rule::Quorum]);
}

#[test]
fn a_vote_of_a_sentinel_whose_disk_refuses_is_caught() {
    caught(Sabotage::Deny, Profile::Disk, &[Rule::DurableVote]);
}

#[test]
fn a_server_called_down_too_soon_is_caught() {
    caught(Sabotage::Deaf, Profile::Calm, &[Rule::EarlyDown]);
}

#[test]
fn a_judgement_in_tilt_is_caught() {
    caught(Sabotage::Blind, Profile::Freeze, &[Rule::Tilt]);
}

#[test]
fn a_failover_that_another_one_caused_is_caught() {
    caught(Sabotage::DropPings, Profile::Calm, &[Rule::Again]);
}

#[test]
fn a_master_that_lost_its_data_and_is_followed_is_caught() {
    caught(Sabotage::HideData, Profile::Restart, &[Rule::LostData]);
}

#[test]
fn a_master_that_refuses_writes_and_stays_is_caught() {
    caught(Sabotage::HideRefusals, Profile::Sick, &[Rule::Refusal]);
}

#[test]
fn votes_that_are_never_decided_are_caught() {
    caught(Sabotage::Mute, Profile::Calm, &[Rule::Undecided]);
}
