//! The proxy beside twemproxy, haproxy and a direct server, in one run: what a request costs.
//!
//! The figure that counts is the processor time that a proxy spends on a request: unlike requests
//! a second it does not depend on how many processors the load and the servers leave over. Each
//! figure is the median of rounds, in which all contenders take turns, and each ratio is the median
//! of the ratios of single rounds, so that a machine that slows down for a while misleads nobody.

mod arena;
mod contender;
mod figure;
mod idle;
mod load;
mod measure;
mod report;
mod shape;
mod target;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::preflight;
use crate::scenario;
use crate::talk::Talk;

use arena::{Arena, Entrant};
use idle::Idle;
use measure::Sample;
use shape::Pace;

pub use contender::{Contender, Programs};
pub use figure::Figure;
pub use report::Results;
pub use shape::{SHAPES, Shape};

/// Requests of one measurement in the smallest form.
const REQUESTS_SMALLEST: u64 = 300;

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
    /// Enough to see that everything works; the figures mean nothing.
    Smallest,
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
        all.filter(|one| match shape.pace {
            Pace::Idle => idle::is_asked(*one),
            // It dials a server for each client, and the kernel has no ports for so many.
            Pace::Churn if *one == Contender::Haproxy => false,
            _ => shape.two_workers || !one.has_many_workers(),
        })
        .collect()
    }

    fn rounds(&self, shape: &Shape) -> usize {
        match self.size {
            _ if shape.pace == Pace::Idle => 1,
            Size::Quick => shape.rounds.div_ceil(3),
            Size::Smallest => 1,
            Size::Fixed { rounds, .. } => rounds.unwrap_or(shape.rounds),
        }
    }

    fn requests(&self, shape: &Shape) -> u64 {
        match self.size {
            Size::Quick if shape.pace == Pace::Idle => shape.requests,
            Size::Quick => shape.requests / 2,
            Size::Smallest => REQUESTS_SMALLEST.min(shape.requests),
            Size::Fixed { requests, .. } => requests.unwrap_or(shape.requests),
        }
    }

    /// How long idle connections are watched, without and with them.
    const fn idle_watch(&self) -> Duration {
        match self.size {
            Size::Quick => Duration::from_secs(3),
            Size::Smallest => Duration::from_millis(300),
            Size::Fixed { .. } => Duration::from_secs(10),
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
    works.sort_by_key(|work| work.value_bytes);
    works.dedup_by_key(|work| work.value_bytes);
    let arena = Arena::up(plan.programs.clone(), &state, &works).await?;
    talk.rest();
    let progress = talk.progress(plan.measurements() as u64);
    let mut results = Results::new(&plan.programs)?;
    for shape in &plan.shapes {
        talk.note(&progress, shape.about);
        if shape.pace == Pace::Idle {
            results.idle = measure_idle(&arena, plan, shape, &progress).await?;
        } else {
            let samples = measure_shape(&arena, plan, shape, &progress).await?;
            results.add(shape, plan.requests(shape), &samples);
        }
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

/// Idle connections, one contender after the other.
async fn measure_idle(
    arena: &Arena,
    plan: &Plan,
    shape: &Shape,
    progress: &indicatif::ProgressBar,
) -> anyhow::Result<Vec<Idle>> {
    let (wanted, watch) = (plan.requests(shape) as usize, plan.idle_watch());
    let mut found = Vec::new();
    for contender in plan.contenders(shape) {
        let entrant = arena.enter(contender, &shape.work).await?;
        let measured = idle::measure(arena, &entrant, shape.work, wanted, watch).await;
        let named = || format!("{} of {}", shape.name, contender.name());
        found.push(measured.with_context(named)?);
        progress.inc(1);
    }
    Ok(found)
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
