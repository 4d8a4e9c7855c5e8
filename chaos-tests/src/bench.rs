//! The proxy beside twemproxy, haproxy and a direct server, in one run: what a request costs.
//!
//! The figure that counts is the processor time that a proxy spends on a request: unlike requests
//! a second it does not depend on how many processors the load and the servers leave over. Each
//! figure is the median of rounds, in which all contenders take turns, and each ratio is the median
//! of the ratios of single rounds, so that a machine that slows down for a while misleads nobody.

mod arena;
mod contender;
mod figure;
mod load;
mod measure;
mod report;
mod shape;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::preflight;
use crate::scenario;
use crate::talk::Talk;

use arena::{Arena, Entrant};
use measure::Sample;

pub use contender::{Contender, Programs};
pub use figure::Figure;
pub use report::Results;
pub use shape::{SHAPES, Shape};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The programs.
    pub programs: Programs,
    /// Where configs and logs are kept; emptied at the start, removed at the end.
    pub state: PathBuf,
    /// The shapes.
    pub shapes: Vec<Shape>,
    /// Who takes part; with more than one worker thread only in the shapes that say so.
    pub contenders: Vec<Contender>,
    /// How much of it.
    pub size: Size,
}

/// How often each contender is measured, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A third of the rounds and half of the requests that each shape needs.
    Quick,
    /// As each shape needs, or so many.
    Fixed {
        /// Measurements of each contender.
        rounds: Option<usize>,
        /// Requests of one measurement.
        requests: Option<u64>,
    },
}

impl Plan {
    fn contenders(&self, shape: &Shape) -> Vec<Contender> {
        let all = self.contenders.iter().copied();
        all.filter(|one| shape.two_workers || !one.has_many_workers())
            .collect()
    }

    fn rounds(&self, shape: &Shape) -> usize {
        match self.size {
            Size::Quick => shape.rounds.div_ceil(3),
            Size::Fixed { rounds, .. } => rounds.unwrap_or(shape.rounds),
        }
    }

    fn requests(&self, shape: &Shape) -> u64 {
        match self.size {
            Size::Quick => shape.requests / 2,
            Size::Fixed { requests, .. } => requests.unwrap_or(shape.requests),
        }
    }

    /// Measurements of the whole run.
    fn measurements(&self) -> usize {
        let of = |shape: &Shape| self.rounds(shape) * self.contenders(shape).len();
        self.shapes.iter().map(of).sum()
    }
}

/// Measures everything that `plan` says.
///
/// # Errors
/// A program is missing or does not come up, a connection breaks, or a reply is wrong.
pub async fn run(plan: &Plan, talk: &Talk) -> anyhow::Result<Results> {
    scenario::clear(&plan.state)?;
    let _lock = preflight::lock_state(&plan.state).map_err(anyhow::Error::msg)?;
    let state = std::path::absolute(&plan.state)?;
    raise_file_limit();
    talk.step("start the servers and load their keys");
    let mut works: Vec<_> = plan.shapes.iter().map(|shape| shape.work).collect();
    works.dedup_by_key(|work| work.value_bytes);
    let arena = Arena::up(plan.programs.clone(), &state, &works).await?;
    talk.rest();
    let progress = talk.progress(plan.measurements() as u64);
    let mut results = Results::new(&plan.programs)?;
    for shape in &plan.shapes {
        talk.note(&progress, shape.about);
        let samples = measure_shape(&arena, plan, shape, &progress).await?;
        results.add(shape, plan.requests(shape), &samples);
    }
    progress.finish_and_clear();
    drop(arena);
    std::fs::remove_dir_all(&plan.state)?;
    Ok(results)
}

/// All rounds of one shape, with processes of their own.
async fn measure_shape(
    arena: &Arena,
    plan: &Plan,
    shape: &Shape,
    progress: &indicatif::ProgressBar,
) -> anyhow::Result<BTreeMap<Contender, Vec<Sample>>> {
    let requests = plan.requests(shape);
    let mut entrants = Vec::new();
    for contender in plan.contenders(shape) {
        entrants.push(arena.enter(contender, &shape.work).await?);
    }
    let mut samples = BTreeMap::<_, Vec<_>>::new();
    for round in 0..plan.rounds(shape) {
        for entrant in in_turn(&entrants, round) {
            let sample = measure::measure(arena, entrant, shape, requests).await?;
            samples.entry(entrant.contender).or_default().push(sample);
            progress.inc(1);
        }
    }
    Ok(samples)
}

/// Another order in each round, so that nobody always follows the same one.
fn in_turn(entrants: &[Entrant], round: usize) -> Vec<&Entrant> {
    let mut order: Vec<_> = entrants.iter().collect();
    if !order.is_empty() {
        let places = order.len();
        order.rotate_left(round % places);
    }
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Lets this process and those that it starts open as many files as the system allows.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it cannot be raised, a connection fails with a clear error.
    let _refused = setrlimit(Resource::Nofile, raised);
}
