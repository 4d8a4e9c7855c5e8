//! Compares what clients were told with what the servers hold in the end.
//!
//! Pure: a history and the final lists in, findings out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::workload::{History, LaneKind, Op, Outcome};

/// What is wrong with the data, added up over all lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Writes that clients were told had happened.
    pub acknowledged: u64,
    /// Of these, the ones that are gone.
    pub lost: u64,
    /// Writes without an answer, or with an error: they may have happened or not.
    pub unknown: u64,
    /// Of these, the ones that did.
    pub unknown_present: u64,
    /// Elements that stand in their list more than once.
    pub doubled: u64,
    /// Elements that nobody wrote.
    pub foreign: u64,
    /// Lists whose elements are out of order.
    pub disordered: u64,
    /// Reads that did not see what was acknowledged before they were sent.
    pub reads_stale: u64,
    /// An example of each kind, for a start.
    pub examples: Vec<String>,
}

/// Judges `history` by `lists`, the final content of every list by key.
pub fn check(history: &History, lists: &BTreeMap<String, Vec<u64>>) -> Findings {
    let mut findings = Findings::default();
    for (lane, ops) in &history.lanes {
        match &lane.kind {
            LaneKind::Writer { key } => {
                let held = lists.get(key).map_or(&[][..], Vec::as_slice);
                findings.check_list(key, ops, held);
            }
            LaneKind::Reader => findings.check_reads(ops),
        }
    }
    findings
}

impl Findings {
    fn check_list(&mut self, key: &str, ops: &[Op], held: &[u64]) {
        let present: BTreeSet<_> = held.iter().copied().collect();
        let mut known = BTreeSet::new();
        for op in ops {
            match &op.outcome {
                Outcome::Written(number) => {
                    known.insert(*number);
                    self.acknowledged += 1;
                    if !present.contains(number) {
                        self.lost += 1;
                        self.example(self.lost, || {
                            format!("{key}: acknowledged {number} is gone")
                        });
                    }
                }
                Outcome::WriteFailed(number, _) => {
                    known.insert(*number);
                    self.unknown += 1;
                    self.unknown_present += u64::from(present.contains(number));
                }
                Outcome::Read | Outcome::ReadStale { .. } | Outcome::ReadFailed(_) => {}
            }
        }
        let doubled = held.len() - present.len();
        if doubled > 0 {
            self.doubled += doubled as u64;
            self.example(1, || format!("{key}: {doubled} elements stand there twice"));
        }
        for number in present.difference(&known) {
            self.foreign += 1;
            self.example(self.foreign, || format!("{key}: nobody wrote {number}"));
        }
        if !held.is_sorted() {
            self.disordered += 1;
            self.example(self.disordered, || format!("{key}: out of order"));
        }
    }

    fn check_reads(&mut self, ops: &[Op]) {
        for op in ops {
            if let Outcome::ReadStale { seen, acked } = op.outcome {
                self.reads_stale += 1;
                let text = || format!("a read saw {seen} after {acked} was acknowledged");
                self.example(self.reads_stale, text);
            }
        }
    }

    fn example(&mut self, count: u64, text: impl FnOnce() -> String) {
        if count == 1 {
            self.examples.push(text());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use codis_core::addr::Addr;

    use super::*;
    use crate::workload::Lane;

    fn history(outcomes: Vec<Outcome>) -> History {
        let now = Instant::now();
        let lane = Lane {
            proxy: Addr::new("p", 1),
            group: 1,
            kind: LaneKind::Writer {
                key: "k".to_owned(),
            },
        };
        let op = |outcome| Op {
            sent: now,
            done: now,
            outcome,
        };
        let mut history = History::default();
        history.add(lane, outcomes.into_iter().map(op).collect());
        history
    }

    fn written(numbers: std::ops::RangeInclusive<u64>) -> Vec<Outcome> {
        numbers.map(Outcome::Written).collect()
    }

    fn judge(history: &History, held: &[u64]) -> Findings {
        check(history, &BTreeMap::from([("k".to_owned(), held.to_vec())]))
    }

    #[test]
    fn nothing_wrong_is_nothing_found() {
        let findings = judge(&history(written(1..=4)), &[1, 2, 3, 4]);
        assert_eq!(
            findings,
            Findings {
                acknowledged: 4,
                ..Findings::default()
            }
        );
    }

    #[test]
    fn a_planted_loss_is_found_although_later_writes_are_there() {
        let findings = judge(&history(written(1..=6)), &[1, 2, 5, 6]);
        assert_eq!((findings.lost, findings.acknowledged), (2, 6));
        assert_eq!(findings.examples, ["k: acknowledged 3 is gone"]);
    }

    #[test]
    fn a_list_that_is_gone_is_all_lost() {
        assert_eq!(check(&history(written(1..=3)), &BTreeMap::new()).lost, 3);
    }

    #[test]
    fn an_unanswered_write_may_be_there_or_not() {
        let mut outcomes = written(1..=2);
        outcomes.push(Outcome::WriteFailed(3, "unknown".to_owned()));
        outcomes.push(Outcome::WriteFailed(4, "unknown".to_owned()));
        outcomes.extend(written(5..=5));
        let findings = judge(&history(outcomes), &[1, 2, 4, 5]);
        assert_eq!(
            (findings.lost, findings.unknown, findings.unknown_present),
            (0, 2, 1)
        );
    }

    #[test]
    fn doubled_foreign_and_disordered_elements_are_found() {
        let findings = judge(&history(written(1..=3)), &[1, 3, 2, 2, 9]);
        assert_eq!(
            (findings.doubled, findings.foreign, findings.disordered),
            (1, 1, 1)
        );
        assert_eq!(findings.lost, 0);
    }
}
