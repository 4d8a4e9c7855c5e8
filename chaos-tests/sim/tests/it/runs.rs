//! What is asked of the runs of either world.

use codis_sim::family::{Family, Figures as _, Outcome};
use codis_sim::runner;

/// Asserts that no run of the first seeds breaks a rule; the sum of what they did.
pub fn hold<P: Family>(profile: P, seeds: u64) -> P::Stats {
    let mut failures = Vec::new();
    let mut sum = P::Stats::default();
    runner::run_many(0, seeds, Some(profile), 1, |outcome| {
        sum.add(&outcome.stats);
        if let Some(violation) = &outcome.violation {
            let (seed, replay) = (outcome.seed, outcome.replay());
            failures.push(format!("seed {seed}: {violation}\n  {replay}"));
        }
    });
    let (number, list) = (failures.len(), failures.join("\n"));
    assert!(failures.is_empty(), "{number} seeds failed\n{list}");
    sum
}

/// Asserts that the run of one seed breaks no rule.
pub fn holds<P: Family>(seed: u64, profile: P) -> Outcome<P> {
    let outcome = runner::run(seed, profile);
    let violation = outcome.violation.as_ref().map(ToString::to_string);
    assert_eq!(violation, None, "seed {seed} of {profile}");
    outcome
}

/// Asserts that a run of the first seeds breaks one of the rules, because of what is broken.
pub fn caught<P: Family>(sabotage: P::Sabotage, profile: P, rules: &[P::Rule], seeds: u64) {
    let found = (0..seeds).any(|seed| {
        let violation = runner::run_with(seed, profile, sabotage, None).violation;
        violation.is_some_and(|violation| rules.contains(&violation.rule))
    });
    assert!(found, "{sabotage:?} survived {seeds} seeds of {profile}");
}

/// Asserts that a seed gives the same run twice, and that writing it out changes nothing.
pub fn repeats<P: Family>(seed: u64, profile: P) -> Outcome<P> {
    let first = runner::run(seed, profile);
    let sink = Box::new(std::io::sink());
    let written = runner::run_with(seed, profile, P::Sabotage::default(), Some(sink));
    assert_eq!(
        first.digest, written.digest,
        "seed {seed} of {profile} differs"
    );
    assert_ne!(first.digest, runner::run(seed + 1, profile).digest);
    first
}
