//! What was measured, as a table for people or as JSON.

use std::time::Duration;

use serde::Serialize;

/// How far off its aim a figure may be before the run fails: no noise explains more.
const TOLERANCE: f64 = 20.0;

/// A figure, and below what it should be, where that is said.
#[derive(Clone, Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aim: Option<f64>,
}

/// All figures of a run.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    processors: usize,
    servers: usize,
    groups: usize,
    proxies: usize,
    figures: Vec<Figure>,
}

impl Figures {
    /// None yet, of such a fleet.
    pub fn of(scale: &super::Scale) -> Self {
        Self {
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            servers: scale.servers,
            groups: scale.groups,
            proxies: scale.proxies,
            figures: Vec::new(),
        }
    }

    pub fn take(&mut self, name: &'static str, value: f64, unit: &'static str, aim: Option<f64>) {
        self.figures.push(Figure {
            name,
            value,
            unit,
            aim,
        });
    }

    /// The middle and the slowest but one in a hundred of these times.
    pub fn take_times(&mut self, names: [&'static str; 2], mut times: Vec<Duration>, aim: f64) {
        times.sort();
        let millis = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
        let (middle, last) = (times.len() / 2, times.len() * 99 / 100);
        let [p50, p99] = names;
        self.take(p50, millis(middle), "ms", None);
        self.take(p99, millis(last.saturating_sub(1)), "ms", Some(aim));
    }

    /// Prints them.
    pub fn print(&self, as_json: bool) {
        if as_json {
            let text = codis_core::json::encode(self);
            println!("{}", String::from_utf8_lossy(&text));
            return;
        }
        println!(
            "{:<34} {:>10}  {:<12} {:>8}",
            "figure", "value", "unit", "aim"
        );
        for figure in &self.figures {
            let Figure {
                name, value, unit, ..
            } = figure;
            let aim = figure.aim.map_or(String::new(), |aim| format!("< {aim}"));
            let missed = figure.aim.is_some_and(|aim| *value >= aim);
            let mark = if missed { "  missed" } else { "" };
            println!("{name:<34} {value:>10.2}  {unit:<12} {aim:>8}{mark}");
        }
    }

    /// How many are far off what they should be.
    pub fn absurd(&self) -> usize {
        let is_absurd =
            |figure: &&Figure| figure.aim.is_some_and(|aim| figure.value > aim * TOLERANCE);
        self.figures.iter().filter(is_absurd).count()
    }
}
