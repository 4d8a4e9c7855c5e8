//! Runs seeds, one or many, on one thread or many.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::family::{Family, Outcome, Sink, Violation};
use crate::moment::Moment;

/// Runs one seed. A machine that panics has broken a rule.
pub fn run<P: Family>(seed: u64, profile: P) -> Outcome<P> {
    run_with(seed, profile, P::Sabotage::default(), None)
}

/// Runs one seed with a part that is broken, or with its trace written out.
pub fn run_with<P: Family>(seed: u64, profile: P, sabotage: P::Sabotage, sink: Sink) -> Outcome<P> {
    let work = AssertUnwindSafe(|| profile.simulate(seed, sabotage, sink));
    panic::catch_unwind(work).unwrap_or_else(|cause| Outcome {
        seed,
        profile,
        digest: 0,
        stats: P::Stats::default(),
        violation: Some(Violation {
            at: Moment::default(),
            rule: P::PANIC,
            text: text_of(&cause),
        }),
    })
}

/// Runs `seeds` seeds from `start` on `jobs` threads, each with `profile` or with the profile of
/// the seed, and hands every outcome to `each` in no particular order.
pub fn run_many<P: Family>(
    start: u64,
    seeds: u64,
    profile: Option<P>,
    jobs: usize,
    each: impl FnMut(Outcome<P>) + Send,
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
                    let outcome = run(seed, profile.unwrap_or_else(|| P::of_seed(seed)));
                    let mut each = each.lock().unwrap_or_else(|broken| broken.into_inner());
                    each(outcome);
                }
            });
        }
    });
}

/// What a machine that panicked said.
fn text_of(cause: &Box<dyn Any + Send>) -> String {
    let text = cause.downcast_ref::<String>().cloned();
    let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "no message".to_owned())
}
