//! Results as tables for a README.

use std::fmt::Write as _;

use crate::bench::contender::Contender;
use crate::bench::figure::Figure;

use super::tables::median;
use super::{Line, Ratios, Results, ShapeResults};

const OURS: Contender = Contender::Ours(1);
const TWEMPROXY: Contender = Contender::Twemproxy;

impl Results {
    /// The tables, below a line that says where and when.
    pub fn markdown(&self) -> String {
        let mut out = format!("{}\n", self.machine);
        self.write_cpu(&mut out);
        self.write_speed(&mut out);
        self.write_idle(&mut out);
        out
    }

    fn write_cpu(&self, out: &mut String) {
        let header = [
            "CPU seconds for a million requests",
            "ours",
            "twemproxy",
            "haproxy",
            "ours / twemproxy (95 %)",
            "ours / haproxy",
            "two workers / one",
            "targets",
        ];
        write_header(out, &header);
        for shape in &self.shapes {
            let cpu = |one| median(shape.line(one).and_then(|line| line.cpu), 2);
            let ratio = |one, other| figure(shape, one, other, |ratios| ratios.cpu);
            let targets = shape.verdicts.iter().map(|verdict| {
                let word = if verdict.is_met { "met" } else { "missed" };
                format!("{} {word}", verdict.target)
            });
            let beside = ratio(OURS, TWEMPROXY);
            let cells = [
                shape.about.to_owned(),
                cpu(OURS),
                cpu(TWEMPROXY),
                cpu(Contender::Haproxy),
                beside.map_or_else(String::new, |figure| figure.to_string()),
                median(ratio(OURS, Contender::Haproxy), 2),
                median(ratio(Contender::Ours(2), OURS), 2),
                targets.collect::<Vec<_>>().join("; "),
            ];
            write_row(out, &cells);
        }
    }

    fn write_speed(&self, out: &mut String) {
        let header = [
            "requests a second; latency in us",
            "ours",
            "/ twemproxy",
            "/ haproxy",
            "/ direct",
            "p50: ours, twemproxy, direct",
            "p99",
            "p99.9",
            "MiB: ours, twemproxy",
        ];
        write_header(out, &header);
        for shape in &self.shapes {
            let rate = |other| median(figure(shape, OURS, other, |ratios| ratios.rate), 2);
            let of = |ones: &[Contender], digits, what: fn(&Line) -> Option<Figure>| {
                let cells = ones.iter().filter_map(|one| shape.line(*one).map(what));
                cells
                    .map(|figure| median(figure, digits))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let three = [OURS, TWEMPROXY, Contender::Direct];
            let cells = [
                shape.about.to_owned(),
                of(&[OURS], 0, |line| line.rate),
                rate(TWEMPROXY),
                rate(Contender::Haproxy),
                rate(Contender::Direct),
                of(&three, 0, |line| line.p50),
                of(&three, 0, |line| line.p99),
                of(&three, 0, |line| line.p999),
                of(&three[..2], 1, |line| line.memory),
            ];
            write_row(out, &cells);
        }
    }

    fn write_idle(&self, out: &mut String) {
        if self.idle.is_empty() {
            return;
        }
        let header = ["idle connections", "of", "KiB each", "CPU ms a second"];
        write_header(out, &header);
        for idle in &self.idle {
            let cells = [
                idle.connections.to_string(),
                idle.contender.clone(),
                format!("{:.2}", idle.memory_each),
                format!("{:.2} ({:.2} without)", idle.cpu_with, idle.cpu_before),
            ];
            write_row(out, &cells);
        }
    }
}

/// A ratio of two contenders, where both took part.
fn figure(
    shape: &ShapeResults,
    one: Contender,
    other: Contender,
    of: fn(&Ratios) -> Option<Figure>,
) -> Option<Figure> {
    shape.line(one)?.ratio(other).and_then(of)
}

fn write_row(out: &mut String, cells: &[String]) {
    // Writing into a string does not fail.
    let _never = writeln!(out, "| {} |", cells.join(" | "));
}

/// The first row of a table, after an empty line.
fn write_header(out: &mut String, cells: &[&str]) {
    let (row, rule) = (cells.join(" | "), "---|".repeat(cells.len()));
    let _never = writeln!(out, "\n| {row} |\n|{rule}");
}
