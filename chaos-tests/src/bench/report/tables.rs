//! Results as tables for a terminal.

use std::fmt;

use comfy_table::{CellAlignment, Table};

use crate::bench::contender::Contender;
use crate::bench::figure::Figure;
use crate::bench::idle::Idle;
use crate::scenario::table;

use super::{Line, Ratios, Results};

const HEADER: [&str; 14] = [
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
    "load busy",
];

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        if !self.shapes.is_empty() {
            writeln!(f, "{}", self.figures())?;
        }
        if !self.idle.is_empty() {
            writeln!(f, "{}", self.idle())?;
        }
        write!(f, "{}", self.targets())
    }
}

impl Results {
    fn figures(&self) -> Table {
        let mut table = table(&HEADER);
        for shape in &self.shapes {
            for (index, line) in shape.lines.iter().enumerate() {
                let name = if index == 0 { shape.name } else { "" };
                table.add_row(row(name, line));
            }
        }
        numbers_right(&mut table, 2);
        table
    }

    fn idle(&self) -> Table {
        let mut table = table(&[
            "idle connections",
            "of",
            "KiB each",
            "MiB without them",
            "CPU ms a second without",
            "with them",
        ]);
        for idle in &self.idle {
            table.add_row([
                idle.connections.to_string(),
                idle.contender.clone(),
                format!("{:.2}", idle.memory_each),
                format!("{:.1}", idle.memory_before),
                format!("{:.2}", idle.cpu_before),
                format!("{:.2}", idle.cpu_with),
            ]);
        }
        numbers_right(&mut table, 2);
        table
    }

    fn targets(&self) -> Table {
        let mut table = table(&["shape", "rounds", "target", "found (95 %)", "met"]);
        let word = |is_met: bool| if is_met { "yes" } else { "NO" };
        for shape in &self.shapes {
            for verdict in &shape.verdicts {
                table.add_row([
                    shape.name.to_owned(),
                    shape.rounds.to_string(),
                    verdict.target.clone(),
                    verdict.found.to_string(),
                    word(verdict.is_met).to_owned(),
                ]);
            }
        }
        for verdict in self.idle.iter().flat_map(Idle::verdicts) {
            table.add_row([
                "idle".to_owned(),
                "1".to_owned(),
                verdict.target,
                format!("{:.2}", verdict.found),
                word(verdict.is_met).to_owned(),
            ]);
        }
        table
    }
}

fn row(name: &str, line: &Line) -> Vec<String> {
    let twemproxy = line.ratio(Contender::Twemproxy);
    let cpu = |other| line.ratio(other).and_then(|ratios: &Ratios| ratios.cpu);
    let rate = |other| line.ratio(other).and_then(|ratios: &Ratios| ratios.rate);
    let whole = |figure: Option<Figure>| figure.map_or_else(String::new, |f| f.to_string());
    vec![
        name.to_owned(),
        line.contender.clone(),
        median(line.cpu, 2),
        whole(twemproxy.and_then(|ratios| ratios.cpu)),
        median(cpu(Contender::Haproxy), 2),
        whole(cpu(Contender::Baseline(1))),
        median(line.rate, 0),
        median(twemproxy.and_then(|ratios| ratios.rate), 2),
        median(rate(Contender::Direct), 2),
        median(line.p50, 0),
        median(line.p99, 0),
        median(line.p999, 0),
        median(line.memory, 1),
        median(line.load_busy, 2),
    ]
}

/// The median with so many digits; nothing where there is no figure.
pub fn median(figure: Option<Figure>, digits: usize) -> String {
    figure.map_or_else(String::new, |figure| format!("{:.digits$}", figure.median))
}

fn numbers_right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
