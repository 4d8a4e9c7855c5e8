//! A run is a function of its seed.

use codis_sim::family::Family as _;
use codis_sim::profile::Profile;

use crate::runs::repeats;

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    for profile in Profile::ALL {
        for seed in [1, 77] {
            let lines = repeats(seed, *profile).stats.lines;
            assert!(lines > 1_000, "{lines} lines");
        }
    }
}
