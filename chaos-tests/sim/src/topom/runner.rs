//! Runs seeds, one or many, on one thread or many.

use std::io::Write;
use std::panic::{self, AssertUnwindSafe};

use super::check::{Rule, Violation};
use super::outcome::{Outcome, Stats};
use super::plan::Plan;
use super::profile::Profile;
use super::sabotage::Sabotage;
use super::world::World;
use crate::moment::Moment;
use crate::runner::spread;

/// Runs one seed. A machine that panics has broken a rule.
pub fn run(seed: u64, profile: Profile) -> Outcome {
    run_with(seed, profile, Sabotage::None, None)
}

/// Runs one seed with a part that is broken, or with its trace written out.
pub fn run_with(
    seed: u64,
    profile: Profile,
    sabotage: Sabotage,
    sink: Option<Box<dyn Write>>,
) -> Outcome {
    let plan = Plan::draw(seed, profile);
    let done = panic::catch_unwind(AssertUnwindSafe(|| World::run(plan, sabotage, sink)));
    done.unwrap_or_else(|cause| {
        let violation = Violation {
            at: Moment::default(),
            rule: Rule::Panic,
            text: crate::runner::text_of(&cause),
        };
        Outcome {
            seed,
            profile,
            digest: 0,
            stats: Stats::default(),
            violation: Some(violation),
        }
    })
}

/// Runs `seeds` seeds from `start` on `jobs` threads, each with `profile` or with the profile of
/// the seed, and hands every outcome to `each` in no particular order.
pub fn run_many(
    start: u64,
    seeds: u64,
    profile: Option<Profile>,
    jobs: usize,
    each: impl FnMut(Outcome) + Send,
) {
    let one = |seed| run(seed, profile.unwrap_or_else(|| Profile::of_seed(seed)));
    spread((start, seeds), jobs, one, each);
}
