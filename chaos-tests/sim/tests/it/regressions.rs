//! Seeds that found a bug in the machines. Each failed before the bug was mended; a change to what
//! a plan draws takes the teeth out of them, so such a change looks for new ones.

use codis_sim::profile::Profile;

use crate::runs::holds;

/// A late answer about the old address was counted against the new one: O_DOWN on one's own word.
#[test]
fn seed_8_an_answer_about_the_address_before_the_switch() {
    holds(8, Profile::Partition);
}

/// A peer that wanted votes for an ordered failover was counted as one that saw the master down.
#[test]
fn seed_171_a_vote_asked_for_is_no_opinion() {
    holds(171, Profile::Operator);
}

/// REMOVE and MONITOR gave the epoch of an election to an address that nobody had elected.
#[test]
fn seed_77_an_elected_epoch_for_an_address_of_the_operator() {
    holds(77, Profile::Operator);
    holds(95, Profile::Operator);
}

/// A sentinel that had just started took the replica under promotion for the deposed master that
/// it had been, and made it follow the dead one.
#[test]
fn seed_356_a_promotion_undone_by_a_sentinel_that_was_not_asked() {
    assert_eq!(holds(356, Profile::Crash).stats.demoted, 0);
}

/// The same by a sentinel back from a partition, on hellos that were older than the promotion.
#[test]
fn seed_28_a_promotion_undone_on_stale_hellos() {
    assert_eq!(holds(28, Profile::Partition).stats.demoted, 0);
    assert_eq!(holds(1077, Profile::Partition).stats.demoted, 0);
}

/// A master restarted without its data, its replicas took over what was left, and it died before
/// it had said that nobody has more any longer: all were refused for ever.
#[test]
fn seed_254_no_way_out_of_data_that_is_lost() {
    holds(254, Profile::Restart);
}

/// A replica had restarted, which a sentinel did not see, before it was promoted: as a master it
/// was accused of having lost what another server had written in vain.
#[test]
fn seed_102_a_restart_from_before_the_promotion() {
    holds(102, Profile::Lossy);
}

/// After a partition a write probe that had just been sent was taken for one that hangs, since PING
/// was answered first: the master was down in the moment in which it was reached again.
#[test]
fn seed_126_a_write_that_had_no_time_to_be_answered() {
    holds(126, Profile::Sick);
    holds(48, Profile::Sick);
}

/// Only one sentinel knew the replica that had more than the restarted master: it held the master
/// down alone for ever.
#[test]
fn seed_724_a_verdict_that_nobody_shares() {
    holds(724, Profile::Forget);
    holds(455, Profile::Operator);
}
