//! Results, and how they are shown.

mod machine;

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::scenario::table;

use super::contender::{Contender, Programs};
use super::figure::Figure;
use super::measure::Sample;
use super::shape::{Pace, Shape};
use machine::Machine;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Where and when.
    pub machine: Machine,
    /// One for each shape.
    pub shapes: Vec<ShapeResults>,
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
    /// Requests in flight on each connection; none at a fixed rate.
    pub pipeline: Option<usize>,
    /// Requests of each measurement.
    pub requests: u64,
    /// Measurements of each contender.
    pub rounds: usize,
    /// The processor time of a request, at most, as a part of twemproxy's.
    pub cpu_target: Option<f64>,
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
            Pace::Open { .. } => None,
        };
        let lines = samples.iter().map(|(contender, own)| {
            let others = samples.iter().filter(|(other, _)| *other != contender);
            let ratios = others.map(|(other, theirs)| (other.name(), Ratios::of(own, theirs)));
            Line::of(*contender, own, ratios.collect())
        });
        self.shapes.push(ShapeResults {
            name: shape.name,
            about: shape.about,
            connections: shape.connections,
            pipeline,
            requests,
            rounds: samples.values().map(Vec::len).max().unwrap_or(0),
            cpu_target: shape.cpu_target,
            lines: lines.collect(),
        });
    }
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

const HEADER: [&str; 13] = [
    "shape",
    "contender",
    "CPU s per million",
    "/ twemproxy (95 %)",
    "/ haproxy",
    "/ baseline (95 %)",
    "requests/s",
    "/ twemproxy",
    "/ direct",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "MiB",
];

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        let mut table = table(&HEADER);
        for shape in &self.shapes {
            for (index, line) in shape.lines.iter().enumerate() {
                let name = if index == 0 { shape.name } else { "" };
                table.add_row(row(name, line));
            }
        }
        numbers_right(&mut table);
        writeln!(f, "{table}")?;
        for shape in &self.shapes {
            writeln!(f, "{}: {}", shape.name, verdict(shape))?;
        }
        Ok(())
    }
}

fn row(name: &str, line: &Line) -> Vec<String> {
    let ratios = |other| line.ratio(other);
    let twemproxy = ratios(Contender::Twemproxy);
    let median = |figure: Option<Figure>, digits: usize| {
        figure.map_or_else(String::new, |figure| format!("{:.digits$}", figure.median))
    };
    let whole = |figure: Option<Figure>| figure.map_or_else(String::new, |f| f.to_string());
    vec![
        name.to_owned(),
        line.contender.clone(),
        median(line.cpu, 2),
        whole(twemproxy.and_then(|ratios| ratios.cpu)),
        median(ratios(Contender::Haproxy).and_then(|r| r.cpu), 2),
        whole(ratios(Contender::Baseline(1)).and_then(|r| r.cpu)),
        median(line.rate, 0),
        median(twemproxy.and_then(|ratios| ratios.rate), 2),
        median(ratios(Contender::Direct).and_then(|r| r.rate), 2),
        median(line.p50, 0),
        median(line.p99, 0),
        median(line.p999, 0),
        median(line.memory, 1),
    ]
}

/// Whether ours is where it should be.
fn verdict(shape: &ShapeResults) -> String {
    let ours = shape
        .lines
        .iter()
        .find(|line| line.contender == Contender::Ours(1).name());
    let ratio = ours
        .and_then(|line| line.ratio(Contender::Twemproxy))
        .and_then(|ratios| ratios.cpu);
    let rounds = format!("{}, {} rounds", shape.about, shape.rounds);
    match (shape.cpu_target, ratio) {
        (Some(target), Some(ratio)) if ratio.median <= target => {
            format!("{rounds}, CPU {ratio} of twemproxy's: target {target:.2} met")
        }
        (Some(target), Some(ratio)) => {
            let over = ratio.median / target;
            format!("{rounds}, CPU {ratio} of twemproxy's: {over:.2} times the target {target:.2}")
        }
        _ => rounds,
    }
}

fn numbers_right(table: &mut Table) {
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
