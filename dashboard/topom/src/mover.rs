//! Slots on their way from group to group: one small machine a slot.
//!
//! ```text
//! pending --> preparing --> prepared --> migrating --> finished --> none
//!               hold, all     (locked)     keys          all
//!               are locked                 move          know
//!                                |           |             |
//!                                +-----------+-------------+--cancel--> prepared, turned round
//! ```
//!
//! The records are the state. A machine adds what a restart may forget: how often the slot failed,
//! in which database it is, whether the proxies confirmed the form that they were sent last. After
//! each result it asks the records what comes next, so a restart between any two effects, a record
//! moved on by another dashboard and a cancel are no cases of their own.
//!
//! A slot has one effect out at a time. Whatever a machine waits for, no other slot waits for it,
//! but for two things: how many slots may be under way ([`Limits`]), and the part that a group has
//! in migrate commands ([`Command`]).

mod plan;
mod progress;
mod step;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use codis_core::model::{ActionState, SlotMapping};
use codis_core::time::Time;

use crate::Cluster;

pub use progress::Progress;
pub use step::{Act, Step};

/// The pause after the first failure of a slot; it doubles with each further one.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How many slots may be under way. One that was under way at start counts, but is never refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all. A slot whose last try failed is not counted.
    pub slots: usize,
    /// From one group to another.
    pub slots_of_pair: usize,
}

/// What the shell must do; each ends in [`Mover::handle_done`] for its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store a step.
    Store(Step),
    /// Wait until the proxies that can serve hold the newest form of a slot, for a bounded time.
    Push {
        /// The slot.
        slot: u16,
    },
    /// Move some keys.
    Migrate(Command),
    /// Make sure that no migrate command given before is alive at the source.
    Quiesce {
        /// The slot.
        slot: u16,
        /// The master of the source.
        source: String,
    },
}

/// One migrate command. A group that sends keys has one command out, and does not receive: codis
/// servers refuse or block each other otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The slot.
    pub slot: u16,
    /// The database.
    pub db: u32,
    /// The master that sends.
    pub source: String,
    /// The master that receives.
    pub target: String,
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// Keys were moved.
    Moved {
        /// Keys of the slot that are left in the database.
        left: u64,
        /// When none are, the next database that has keys at all.
        next_db: Option<u32>,
    },
    /// It is not done, for this reason.
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The records say what comes next.
    Open,
    Storing(Act),
    Pushing,
    Moving {
        source: u32,
        target: u32,
    },
    Quiescing,
    Waiting {
        until: Time,
    },
}

/// One slot.
#[derive(Debug)]
struct Move {
    state: State,
    /// The proxies confirmed the form that they were sent last.
    confirmed: bool,
    /// A hold is to end before anything else is tried.
    releasing: bool,
    /// The source whose databases were walked, and how far.
    source: String,
    db: u32,
    /// That source has no key left.
    drained: bool,
    /// No command given before can be alive.
    quiet: bool,
    failures: u32,
    left: Option<u64>,
    error: String,
}

impl Default for Move {
    fn default() -> Self {
        Self {
            state: State::Open,
            confirmed: false,
            releasing: false,
            source: String::new(),
            db: 0,
            drained: false,
            quiet: false,
            failures: 0,
            left: None,
            error: String::new(),
        }
    }
}

/// All slots that are under way.
#[derive(Debug)]
pub struct Mover {
    limits: Limits,
    moves: BTreeMap<u16, Move>,
    effects: VecDeque<Effect>,
    status: String,
}

impl Mover {
    /// Nothing is under way.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            moves: BTreeMap::new(),
            effects: VecDeque::new(),
            status: String::new(),
        }
    }

    /// Looks at the records for what there is to do.
    pub fn handle_cluster(&mut self, now: Time, cluster: &Cluster) {
        self.handle_timeout(now);
        self.sweep(cluster);
    }

    /// What came of the effect of a slot; `cluster` has what it stored.
    pub fn handle_done(&mut self, now: Time, cluster: &Cluster, slot: u16, outcome: Outcome) {
        self.handle_all_done(now, cluster, [(slot, outcome)]);
    }

    /// What came of the effects of several slots, which then go on together: what they store next
    /// may become one commit, and what proxies are told next one call.
    pub fn handle_all_done(
        &mut self,
        now: Time,
        cluster: &Cluster,
        done: impl IntoIterator<Item = (u16, Outcome)>,
    ) {
        for (slot, outcome) in done {
            self.take(now, cluster, slot, outcome);
        }
        self.sweep(cluster);
    }

    fn take(&mut self, now: Time, cluster: &Cluster, slot: u16, outcome: Outcome) {
        let interval = Duration::from_micros(u64::from(cluster.slot_actions().interval));
        if let Some(one) = self.moves.get_mut(&slot) {
            match outcome {
                Outcome::Failed(why) => {
                    self.status = format!("[ERROR] Slot[{slot:04}]: {why}");
                    one.failed(now, why, cluster.is_held(slot));
                }
                Outcome::Moved { left, next_db } => {
                    self.status = format!("[OK] Slot[{slot:04}]@DB[{}]={left}", one.db);
                    one.moved(now, left, next_db, interval);
                }
                Outcome::Done => one.done(now),
            }
        }
    }

    /// Ends pauses that are over.
    pub fn handle_timeout(&mut self, now: Time) {
        for one in self.moves.values_mut() {
            if matches!(one.state, State::Waiting { until } if until <= now) {
                one.state = State::Open;
            }
        }
    }

    /// When to call [`Mover::handle_cluster`] again at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        let until = |one: &Move| match one.state {
            State::Waiting { until } => Some(until),
            State::Open
            | State::Storing(_)
            | State::Pushing
            | State::Moving { .. }
            | State::Quiescing => None,
        };
        self.moves.values().filter_map(until).min()
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The one line about all slots that the original shows.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Migrate commands that are out.
    pub fn commands(&self) -> usize {
        let moving = |one: &&Move| matches!(one.state, State::Moving { .. });
        self.moves.values().filter(moving).count()
    }

    /// How far each slot is that is under way.
    pub fn progress(&self) -> Vec<Progress> {
        let progress = |(slot, one): (&u16, &Move)| Progress {
            slot: *slot,
            db: one.db,
            left: one.left,
            failures: one.failures,
            error: one.error.clone(),
        };
        self.moves.iter().map(progress).collect()
    }

    /// Starts what may be started, in order: what is under way, then pending slots as far as there
    /// is room, then migrate commands as far as the parts of their groups allow.
    fn sweep(&mut self, cluster: &Cluster) {
        for slot in cluster.slots() {
            if is_under_way(slot) {
                self.moves.entry(slot.id).or_default();
            }
        }
        for slot in plan::startable(&self.moves, self.limits, cluster) {
            self.moves.entry(slot).or_default();
        }
        let mut ended = Vec::new();
        for (id, one) in &mut self.moves {
            let Ok(record) = cluster.slot(*id) else {
                continue;
            };
            if one.state != State::Open {
                continue;
            }
            match one.next(cluster, record) {
                Next::Do(effect) => self.effects.push_back(effect),
                Next::Command => {}
                Next::End => ended.push(*id),
            }
        }
        for id in ended {
            self.moves.remove(&id);
            if !self.status.starts_with("[ERROR]") || self.moves.is_empty() {
                self.status.clear();
            }
        }
        for command in plan::commands(&self.moves, cluster) {
            if let (Some(one), Ok(record)) = (
                self.moves.get_mut(&command.slot),
                cluster.slot(command.slot),
            ) {
                one.quiet = false;
                one.state = State::Moving {
                    source: record.group_id,
                    target: record.action.target_id,
                };
                self.effects.push_back(Effect::Migrate(command));
            }
        }
    }
}

/// What a slot does next.
enum Next {
    Do(Effect),
    /// A migrate command, when its groups have a part for it.
    Command,
    End,
}

impl Move {
    /// Asks the record what comes next. Everything but a migrate command begins here.
    fn next(&mut self, cluster: &Cluster, record: &SlotMapping) -> Next {
        let held = cluster.is_held(record.id);
        if self.releasing && held {
            return self.store(record, Act::Release);
        }
        self.releasing = false;
        let cancelled = cluster.is_cancelled(record);
        match record.action.state {
            ActionState::Nothing => Next::End,
            ActionState::Pending if plan::may_start(cluster, record) => {
                self.store(record, Act::Prepare)
            }
            ActionState::Pending => Next::End,
            ActionState::Preparing => self.locked(record, held, Act::Prepared),
            ActionState::Prepared if cancelled => self.store(record, Act::TurnRound),
            ActionState::Prepared => self.store(record, Act::Migrate),
            ActionState::Migrating | ActionState::Finished if cancelled => {
                self.turn_round(cluster, record, held)
            }
            ActionState::Migrating if held => self.store(record, Act::Release),
            ActionState::Migrating => {
                self.look_at_source(cluster.master(record.group_id));
                if self.drained {
                    self.store(record, Act::Finish)
                } else {
                    Next::Command
                }
            }
            ActionState::Finished if held => self.store(record, Act::Release),
            ActionState::Finished if self.confirmed => self.store(record, Act::Clear),
            ActionState::Finished => self.push(record),
            // They never stand in a slot's record; there is nothing that would be safe to do.
            ActionState::Syncing | ActionState::Synced | ActionState::SyncedFailed => Next::End,
        }
    }

    /// Keys may be on both sides, so between two directions all proxies are locked.
    fn turn_round(&mut self, cluster: &Cluster, record: &SlotMapping, held: bool) -> Next {
        let source = cluster.master(record.group_id);
        if !self.quiet && !source.is_empty() {
            self.state = State::Quiescing;
            return Next::Do(Effect::Quiesce {
                slot: record.id,
                source: source.to_owned(),
            });
        }
        self.locked(record, held, Act::TurnRound)
    }

    /// `then`, as soon as all proxies that can serve hold the locked form.
    fn locked(&mut self, record: &SlotMapping, held: bool, then: Act) -> Next {
        match (held, self.confirmed) {
            (false, _) => self.store(record, Act::Hold),
            (true, false) => self.push(record),
            (true, true) => self.store(record, then),
        }
    }

    /// A source that was not walked yet is walked from its first database: after a failover the
    /// new master may have keys that the old one had sent away.
    fn look_at_source(&mut self, master: &str) {
        if master.is_empty() {
            self.drained = true;
        } else if self.source != master {
            master.clone_into(&mut self.source);
            (self.db, self.left, self.drained) = (0, None, false);
        }
    }

    fn store(&mut self, record: &SlotMapping, act: Act) -> Next {
        self.state = State::Storing(act);
        let seen = record.clone();
        Next::Do(Effect::Store(Step { seen, act }))
    }

    fn push(&mut self, record: &SlotMapping) -> Next {
        self.state = State::Pushing;
        Next::Do(Effect::Push { slot: record.id })
    }

    fn done(&mut self, now: Time) {
        match std::mem::replace(&mut self.state, State::Open) {
            State::Storing(Act::Release) => {
                self.confirmed = false;
                // After a failure: how long it lasts was settled when it failed.
                if self.failures > 0 {
                    self.state = State::Waiting {
                        until: now + self.pause(),
                    };
                }
            }
            State::Storing(Act::TurnRound) => {
                let failures = self.failures;
                *self = Self {
                    failures,
                    ..Self::default()
                };
            }
            State::Storing(_) => self.confirmed = false,
            State::Pushing => self.confirmed = true,
            State::Quiescing => self.quiet = true,
            other @ (State::Open | State::Moving { .. } | State::Waiting { .. }) => {
                self.state = other;
            }
        }
    }

    fn moved(&mut self, now: Time, left: u64, next_db: Option<u32>, interval: Duration) {
        self.failures = 0;
        self.error.clear();
        self.left = Some(left);
        match (left, next_db) {
            (0, None) => self.drained = true,
            (0, Some(db)) => self.db = db,
            (_, _) => {}
        }
        self.state = if interval.is_zero() || self.drained {
            State::Open
        } else {
            State::Waiting {
                until: now + interval,
            }
        };
    }

    fn failed(&mut self, now: Time, why: String, held: bool) {
        self.failures = self.failures.saturating_add(1);
        self.error = why;
        self.confirmed = false;
        self.releasing = held;
        // A hold ends at once, and the pause comes after it; but a store that refused to end it is
        // not asked again without one.
        let refused = matches!(self.state, State::Storing(Act::Release));
        self.state = if held && !refused {
            State::Open
        } else {
            State::Waiting {
                until: now + self.pause(),
            }
        };
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(10);
        (RETRY_MIN * 2_u32.pow(doublings)).min(RETRY_MAX)
    }
}

fn is_under_way(slot: &SlotMapping) -> bool {
    matches!(
        slot.action.state,
        ActionState::Preparing
            | ActionState::Prepared
            | ActionState::Migrating
            | ActionState::Finished
    )
}

#[cfg(test)]
mod tests;
