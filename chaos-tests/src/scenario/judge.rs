//! The limits that a run is held to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use codis_core::addr::Addr;

use crate::checker::Findings;
use crate::workload::{History, Lane, Op, Outcome};

/// How much later than down-after writes may resume.
pub const RESUME_MARGIN: Duration = Duration::from_secs(1);
/// How long the returned master may take to follow the new one, all parts agreeing.
pub const REJOIN_MAX: Duration = Duration::from_secs(15);
/// The name of the promise about errors.
pub const ERRORS: &str = "client errors on requests not in flight";
/// The name of what makes a fault in the middle of a move one.
pub const UNDER_WAY: &str = "slots on their way at the fault";
/// In a series of runs, the part of them that may lose acknowledged writes: one in ten.
const LOSSY_RUNS_ONE_IN: usize = 10;

/// One promise and whether it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The promise.
    pub name: String,
    /// What is allowed.
    pub limit: String,
    /// What was seen.
    pub measured: String,
    /// Whether it was kept.
    pub pass: bool,
    /// Whether a series may miss it once in ten runs: replication is asynchronous.
    pub once_in_ten: bool,
}

impl Limit {
    /// A promise that every run must keep.
    pub fn new(name: &str, limit: impl ToString, measured: impl ToString, pass: bool) -> Self {
        Self {
            name: name.to_owned(),
            limit: limit.to_string(),
            measured: measured.to_string(),
            pass,
            once_in_ten: false,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            limit,
            measured,
            ..
        } = self;
        write!(f, "{name}: {measured}, allowed {limit}")
    }
}

/// In a series of `runs`, how many must lose nothing.
pub const fn zero_loss_runs_min(runs: usize) -> usize {
    runs - runs / LOSSY_RUNS_ONE_IN
}

/// Client errors of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ErrorLine {
    /// As the client got it.
    pub text: String,
    /// How often.
    pub count: usize,
    /// How many of them answered requests that were in flight to the lost master.
    pub in_flight: usize,
}

/// Until when a request may count as in flight to the lost master.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    /// The lanes whose requests may have been there.
    pub groups: Vec<u32>,
    /// Just before the fault.
    pub from: Option<Instant>,
    /// The moment from which no request can have been on its way to the lost master, by proxy.
    pub until: BTreeMap<Addr, Instant>,
    /// The lanes of slots that a lost dashboard may have locked: a request waits until the next one
    /// leads, and is refused when that takes longer than proxies let it wait.
    pub held: Option<u32>,
}

impl Exposure {
    /// Whether `op` failed because the fault caught it on its way: sent before the end of the
    /// exposure and not yet answered at the fault. A write must say that its outcome is unknown.
    /// Also one that was refused, and not sent, for a slot that stayed locked.
    pub fn excuses(&self, lane: &Lane, op: &Op) -> bool {
        let until = self.until.get(&lane.proxy);
        let caught = until.is_some_and(|until| op.sent <= *until)
            && self.from.is_some_and(|from| op.done >= from);
        let in_flight = self.groups.contains(&lane.group) && caught && says_unknown(op);
        in_flight || (self.held == Some(lane.group) && says_locked(op))
    }
}

fn says_unknown(op: &Op) -> bool {
    match &op.outcome {
        Outcome::WriteFailed(_, text) => text.contains("unknown"),
        Outcome::ReadFailed(_) => true,
        Outcome::Written(_) | Outcome::Read | Outcome::ReadStale { .. } => false,
    }
}

fn says_locked(op: &Op) -> bool {
    op.error()
        .is_some_and(|text| text.contains("slot is locked for too long"))
}

/// All client errors, by text.
pub fn errors(history: &History, exposure: &Exposure) -> Vec<ErrorLine> {
    let mut lines: BTreeMap<&str, ErrorLine> = BTreeMap::new();
    for (lane, op) in history.ops() {
        if let Some(text) = op.error() {
            let line = lines.entry(text).or_default();
            line.text = text.to_owned();
            line.count += 1;
            line.in_flight += usize::from(exposure.excuses(lane, op));
        }
    }
    lines.into_values().collect()
}

/// The promise about errors.
pub fn errors_limit(errors: &[ErrorLine]) -> Limit {
    let unexcused: usize = errors.iter().map(|line| line.count - line.in_flight).sum();
    Limit::new(ERRORS, 0, unexcused, unexcused == 0)
}

/// The promise about the time without writes; `resumed` is that of the slower proxy.
pub fn resume_limit(down_after: Duration, resumed: Option<Duration>) -> Limit {
    let limit = down_after + RESUME_MARGIN;
    let measured = resumed.map_or_else(|| "never".to_owned(), millis);
    let pass = resumed.is_some_and(|resumed| resumed <= limit);
    let name = "writes resume through every proxy";
    Limit::new(
        name,
        format!("{} (down-after + 1 s)", millis(limit)),
        measured,
        pass,
    )
}

/// The promises about data.
pub fn data_limits(findings: &Findings) -> Vec<Limit> {
    let gone = findings.lost + findings.reads_stale;
    let mut lost = Limit::new(
        "acknowledged writes lost",
        0,
        format!(
            "{} (and {} reads too old)",
            findings.lost, findings.reads_stale
        ),
        gone == 0,
    );
    lost.once_in_ten = true;
    let odd = findings.doubled + findings.foreign + findings.disordered;
    vec![
        lost,
        Limit::new("writes doubled, foreign or out of order", 0, odd, odd == 0),
    ]
}

/// The promise about the old master.
pub fn rejoin_limit(rejoined: Result<Duration, String>) -> Limit {
    let name = "old master follows, all parts agree";
    let (measured, pass) = match rejoined {
        Ok(after) => (millis(after), after <= REJOIN_MAX),
        Err(text) => (text, false),
    };
    Limit::new(name, millis(REJOIN_MAX), measured, pass)
}

/// A time in whole milliseconds.
pub fn millis(span: Duration) -> String {
    format!("{} ms", span.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::LaneKind;

    fn lane(group: u32) -> Lane {
        Lane {
            proxy: Addr::new("p", 1),
            group,
            kind: LaneKind::Writer {
                key: "k".to_owned(),
            },
        }
    }

    fn failed(sent: Instant, done: Instant, text: &str) -> Op {
        Op {
            sent,
            done,
            outcome: Outcome::WriteFailed(1, text.to_owned()),
        }
    }

    #[test]
    fn only_what_the_fault_caught_is_excused() {
        let fault = Instant::now();
        let at = |ms: u64| fault + Duration::from_millis(ms);
        let exposure = Exposure {
            groups: vec![1],
            from: Some(at(10)),
            until: BTreeMap::from([(Addr::new("p", 1), at(20))]),
            held: Some(3),
        };
        let unknown = "ERR the outcome is unknown";
        let excused = |group, sent, done, text: &str| {
            exposure.excuses(&lane(group), &failed(at(sent), at(done), text))
        };
        assert!(excused(1, 5, 11, unknown));
        assert!(!excused(2, 5, 11, unknown), "another group lost nothing");
        assert!(!excused(1, 5, 9, unknown), "answered before the fault");
        assert!(
            !excused(1, 21, 30, unknown),
            "sent when the fault was known"
        );
        assert!(!excused(1, 5, 11, "ERR no"), "must say that nobody knows");
        let locked = "ERR handle request, slot is locked for too long";
        assert!(excused(3, 5, 50, locked) && !excused(1, 5, 50, locked));
    }

    #[test]
    fn one_run_in_ten_may_lose() {
        assert_eq!(zero_loss_runs_min(1), 1);
        assert_eq!(zero_loss_runs_min(9), 9);
        assert_eq!(zero_loss_runs_min(10), 9);
        assert_eq!(zero_loss_runs_min(20), 18);
    }

    #[test]
    fn errors_are_counted_by_text() {
        let now = Instant::now();
        let mut history = History::default();
        let ops = vec![
            failed(now, now, "a"),
            failed(now, now, "b"),
            failed(now, now, "a"),
        ];
        history.add(lane(1), ops);
        let exposure = Exposure::default();
        let lines = errors(&history, &exposure);
        let counts: Vec<_> = lines
            .iter()
            .map(|line| (line.text.as_str(), line.count))
            .collect();
        assert_eq!(counts, [("a", 2), ("b", 1)]);
        assert!(!errors_limit(&lines).pass);
    }
}
