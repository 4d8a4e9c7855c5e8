//! Runs seeds, one or many, on one thread or many.

use std::any::Any;
use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::check::{Rule, Violation};
use crate::moment::Moment;
use crate::outcome::{Outcome, Stats};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::world::{Sabotage, World};

/// Runs one seed. A machine that panics has broken a rule.
pub fn run(seed: u64, profile: Profile) -> Outcome {
    run_with(seed, profile, Sabotage::None, None)
}

/// Runs one seed with a broken shell, or with its trace written out.
pub fn run_with(
    seed: u64,
    profile: Profile,
    sabotage: Sabotage,
    sink: Option<Box<dyn Write>>,
) -> Outcome {
    let plan = Plan::draw(seed, profile);
    let done = panic::catch_unwind(AssertUnwindSafe(|| World::run(plan, sabotage, sink)));
    done.unwrap_or_else(|cause| {
        let text = text_of(&cause);
        let violation = Violation {
            at: Moment::default(),
            rule: Rule::Panic,
            text,
        };
        let stats = Stats::default();
        Outcome {
            seed,
            profile,
            digest: 0,
            stats,
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

/// What a machine that panicked said.
pub(crate) fn text_of(cause: &Box<dyn Any + Send>) -> String {
    let text = cause.downcast_ref::<String>().cloned();
    let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "no message".to_owned())
}

/// Runs `one` for so many seeds on `jobs` threads, and hands every outcome to `each`.
pub(crate) fn spread<T>(
    (start, seeds): (u64, u64),
    jobs: usize,
    one: impl Fn(u64) -> T + Sync,
    each: impl FnMut(T) + Send,
) {
    let next = AtomicU64::new(start);
    let each = Mutex::new(each);
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= start.saturating_add(seeds) {
                        break;
                    }
                    let outcome = one(seed);
                    let mut each = each.lock().unwrap_or_else(|broken| broken.into_inner());
                    each(outcome);
                }
            });
        }
    });
}
