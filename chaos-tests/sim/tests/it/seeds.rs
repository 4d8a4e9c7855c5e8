//! Every profile over many seeds: what `make test` runs. `sim run` runs more of the same.

use codis_sim::profile::Profile;

use crate::runs;

/// Seeds of each profile.
const SEEDS: u64 = 90;

fn hold(profile: Profile) {
    let promotions = runs::hold(profile, SEEDS).failovers;
    // A simulator in which nothing happens proves nothing.
    assert!(
        promotions >= SEEDS,
        "only {promotions} promotions in {SEEDS} runs"
    );
}

#[test]
fn a_lone_failure_is_failed_over_in_time() {
    hold(Profile::Calm);
}

#[test]
fn crashes_between_any_two_effects_lose_no_vote() {
    hold(Profile::Crash);
}

#[test]
fn partitions_never_make_two_leaders() {
    hold(Profile::Partition);
}

#[test]
fn a_disk_that_refuses_keeps_a_sentinel_from_voting() {
    hold(Profile::Disk);
}

#[test]
fn processes_that_stop_and_continue_do_no_harm() {
    hold(Profile::Freeze);
}

#[test]
fn lost_doubled_and_reordered_messages_do_no_harm() {
    hold(Profile::Lossy);
}

#[test]
fn operators_do_no_harm() {
    hold(Profile::Operator);
}

#[test]
fn everything_at_once_does_no_harm() {
    hold(Profile::Everything);
}

#[test]
fn peers_that_behave_like_stock_do_no_harm() {
    hold(Profile::Mixed);
}

#[test]
fn votes_that_split_are_decided() {
    hold(Profile::Votes);
}

#[test]
fn processes_that_stop_in_the_midst_and_bad_clocks_do_no_harm() {
    hold(Profile::Stall);
}

#[test]
fn masters_that_restart_at_once_do_no_harm() {
    hold(Profile::Restart);
}

#[test]
fn servers_that_answer_and_do_not_work_do_no_harm() {
    hold(Profile::Sick);
}

#[test]
fn a_state_that_is_lost_costs_no_second_vote() {
    hold(Profile::Amnesia);
}

#[test]
fn whoever_is_forgotten_and_returns_does_no_harm() {
    hold(Profile::Forget);
}
