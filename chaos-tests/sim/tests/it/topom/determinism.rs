//! A run is a function of its seed.

use codis_sim::topom::profile::Profile;
use codis_sim::topom::runner;
use codis_sim::topom::sabotage::Sabotage;

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    for profile in Profile::ALL {
        let (first, second) = (runner::run(7, profile), runner::run(7, profile));
        assert_eq!(first.digest, second.digest, "{profile} differs");
        assert!(first.stats.lines > 1_000, "{} lines", first.stats.lines);
        assert_ne!(first.digest, runner::run(8, profile).digest);
    }
}

#[test]
fn a_trace_that_is_written_out_changes_nothing() {
    let (profile, none) = (Profile::Everything, Sabotage::None);
    let sink = Box::new(std::io::sink());
    let written = runner::run_with(5, profile, none, Some(sink));
    assert_eq!(written.digest, runner::run(5, profile).digest);
}
