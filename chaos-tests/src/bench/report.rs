//! Results, and how they are shown.

mod machine;
mod markdown;
mod tables;

use std::collections::BTreeMap;

use serde::Serialize;

use super::contender::{Contender, Programs};
use super::figure::Figure;
use super::idle::Idle;
use super::measure::Sample;
use super::shape::{Pace, Shape};
use super::target::{Metric, Target};
use machine::Machine;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Where and when.
    pub machine: Machine,
    /// One for each shape.
    pub shapes: Vec<ShapeResults>,
    /// What idle connections cost, one for each contender that was asked.
    pub idle: Vec<Idle>,
}

/// A target and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The target in words.
    pub target: String,
    /// The limit of the ratio.
    pub limit: f64,
    /// The ratio.
    pub found: Figure,
    /// Whether the median keeps to the limit.
    pub is_met: bool,
}

/// All contenders in one shape.
#[derive(Clone, Debug, Serialize)]
pub struct ShapeResults {
    /// The shape's name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each connection, where that is fixed.
    pub pipeline: Option<usize>,
    /// Requests of each measurement.
    pub requests: u64,
    /// Measurements of each contender.
    pub rounds: usize,
    /// What it is held to.
    pub verdicts: Vec<Verdict>,
    /// One for each contender.
    pub lines: Vec<Line>,
}

/// One contender in one shape.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its name.
    pub contender: String,
    /// CPU seconds of the proxy for a million requests.
    pub cpu: Option<Figure>,
    /// CPU seconds of both servers for a million requests.
    pub cpu_servers: Option<Figure>,
    /// Requests a second.
    pub rate: Option<Figure>,
    /// Latency in microseconds.
    pub p50: Option<Figure>,
    /// Latency in microseconds.
    pub p99: Option<Figure>,
    /// Latency in microseconds.
    pub p999: Option<Figure>,
    /// MiB of the proxy.
    pub memory: Option<Figure>,
    /// The part of the time in which the load generator was busy.
    pub load_busy: Option<Figure>,
    /// By the name of the other contender.
    pub ratios: BTreeMap<String, Ratios>,
}

/// One contender's figures, divided by those of another in the same round.
#[derive(Clone, Debug, Serialize)]
pub struct Ratios {
    /// Of the CPU seconds of the proxy.
    pub cpu: Option<Figure>,
    /// Of the requests a second.
    pub rate: Option<Figure>,
    /// Of the latency that half of the requests stay below.
    pub p50: Option<Figure>,
    /// Of the latency that 99 of 100 stay below.
    pub p99: Option<Figure>,
    /// Of the latency that 999 of 1000 stay below.
    pub p999: Option<Figure>,
    /// Of the memory of the proxy.
    pub memory: Option<Figure>,
}

impl Results {
    /// Nothing measured yet.
    ///
    /// # Errors
    /// A program does not tell its version.
    pub fn new(programs: &Programs) -> anyhow::Result<Self> {
        Ok(Self {
            machine: Machine::here(programs)?,
            shapes: Vec::new(),
            idle: Vec::new(),
        })
    }

    /// Adds the rounds of one shape.
    pub fn add(
        &mut self,
        shape: &Shape,
        requests: u64,
        samples: &BTreeMap<Contender, Vec<Sample>>,
    ) {
        let pipeline = match shape.pace {
            Pace::Closed { pipeline } => Some(pipeline),
            Pace::Open { .. } | Pace::Churn | Pace::Idle => None,
        };
        let lines = samples.iter().map(|(contender, own)| {
            let others = samples.iter().filter(|(other, _)| *other != contender);
            let ratios = others.map(|(other, theirs)| (other.name(), Ratios::of(own, theirs)));
            Line::of(*contender, own, ratios.collect())
        });
        let lines: Vec<_> = lines.collect();
        self.shapes.push(ShapeResults {
            name: shape.name,
            about: shape.about,
            connections: shape.connections,
            pipeline,
            requests,
            rounds: samples.values().map(Vec::len).max().unwrap_or(0),
            verdicts: verdicts(shape.targets, &lines),
            lines,
        });
    }
}

impl ShapeResults {
    /// The line of a contender that took part.
    fn line(&self, contender: Contender) -> Option<&Line> {
        let name = contender.name();
        self.lines.iter().find(|line| line.contender == name)
    }
}

/// What can be said of each target; one whose contenders did not take part is left out.
fn verdicts(targets: &[Target], lines: &[Line]) -> Vec<Verdict> {
    let verdict = |target: &Target| {
        let name = target.contender.name();
        let line = lines.iter().find(|line| line.contender == name)?;
        let ratios = line.ratio(target.beside)?;
        let found = match target.metric {
            Metric::Cpu => ratios.cpu,
            Metric::Rate => ratios.rate,
            Metric::P99 => ratios.p99,
        }?;
        Some(Verdict {
            target: target.to_string(),
            limit: target.limit,
            found,
            is_met: target.is_met(found.median),
        })
    };
    targets.iter().filter_map(verdict).collect()
}

fn some(samples: &[Sample], of: impl Fn(&Sample) -> Option<f64>) -> Vec<f64> {
    samples.iter().filter_map(of).collect()
}

impl Line {
    fn of(contender: Contender, samples: &[Sample], ratios: BTreeMap<String, Ratios>) -> Self {
        let figure = |of: fn(&Sample) -> Option<f64>| Figure::of(some(samples, of));
        Self {
            contender: contender.name(),
            cpu: figure(|sample| sample.cpu),
            cpu_servers: figure(|sample| Some(sample.cpu_servers)),
            rate: figure(|sample| Some(sample.rate)),
            p50: figure(|sample| Some(sample.p50)),
            p99: figure(|sample| Some(sample.p99)),
            p999: figure(|sample| Some(sample.p999)),
            memory: figure(|sample| sample.memory),
            load_busy: figure(|sample| Some(sample.load_busy)),
            ratios,
        }
    }

    fn ratio(&self, other: Contender) -> Option<&Ratios> {
        self.ratios.get(&other.name())
    }
}

impl Ratios {
    fn of(own: &[Sample], theirs: &[Sample]) -> Self {
        let figure =
            |of: fn(&Sample) -> Option<f64>| Figure::of_ratios(&some(own, of), &some(theirs, of));
        Self {
            cpu: figure(|sample| sample.cpu),
            rate: figure(|sample| Some(sample.rate)),
            p50: figure(|sample| Some(sample.p50)),
            p99: figure(|sample| Some(sample.p99)),
            p999: figure(|sample| Some(sample.p999)),
            memory: figure(|sample| sample.memory),
        }
    }
}
