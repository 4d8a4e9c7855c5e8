//! Seeds that found a bug in the machines. Each failed before the bug was mended; a change to what
//! a plan draws takes the teeth out of them, so such a change looks for new ones.

use codis_sim::topom::profile::Profile;

use crate::runs::holds;

/// A proxy said twice that it took a new master, and showed the one before: it was left alone, and
/// served by a replica for ever.
#[test]
fn seed_525_a_proxy_that_keeps_a_master_of_an_epoch_that_is_over() {
    holds(525, Profile::Lie);
}

/// The same before it had shown any epoch: it was taken for an original, which knows none.
#[test]
fn seed_30037_a_proxy_that_lies_before_it_has_shown_an_epoch() {
    holds(30037, Profile::Lie);
}

/// A master whose answer came late was taken for dead, while a proxy without the lock wrote to it.
#[test]
fn seed_6242_a_master_that_answers_others_and_not_the_dashboard() {
    holds(6242, Profile::Late);
}
