//! A run is a function of its seed.

use codis_sim::profile::Profile;
use codis_sim::runner;

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    for profile in Profile::ALL {
        for seed in [1, 77] {
            let (first, second) = (runner::run(seed, profile), runner::run(seed, profile));
            assert_eq!(
                first.digest, second.digest,
                "seed {seed} of {profile} differs"
            );
            assert_eq!(first.stats.lines, second.stats.lines);
            assert!(first.stats.lines > 1_000, "{} lines", first.stats.lines);
            assert_ne!(first.digest, runner::run(seed + 1, profile).digest);
        }
    }
}

#[test]
fn a_trace_that_is_written_out_changes_nothing() {
    let sink = Box::new(std::io::sink());
    let sabotage = codis_sim::world::Sabotage::None;
    let written = runner::run_with(5, Profile::Everything, sabotage, Some(sink));
    assert_eq!(written.digest, runner::run(5, Profile::Everything).digest);
}
