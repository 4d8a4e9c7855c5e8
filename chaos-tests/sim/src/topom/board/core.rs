//! What belongs to one term of a board: the records, the rows of the proxies, their pollers, and
//! the mover, driven one effect a slot as the dashboard's `mover` does.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::model::ActionState;
use codis_core::time::Time;
use codis_topom::mover::{Command, Effect, Limits, Mover, Outcome};
use codis_topom::{Change, Records};

use super::calls::{Calls, Purpose};
use super::fleet::{Fleet, Heard, Waits};
use super::owner::{Caller, Edited, Owner};
use super::poll::{Owned, Pollers};
use super::promoter::{At, Promoter};
use crate::topom::sabotage::Sabotage;
use crate::topom::wire::{Answer, Body, Node, ProxyAnswer, ServerAnswer, ServerCall, TermRecord};

/// How long proxies may take to hold a slot.
const PUSH_MAX: Duration = Duration::from_millis(800);
/// How long a migrate command may take.
const MIGRATE_MAX: Duration = Duration::from_secs(4);
/// How long a source may take to show that it is quiet.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// One term.
#[derive(Debug)]
pub struct Core {
    /// The records.
    pub owner: Owner,
    /// The rows.
    pub fleet: Fleet,
    pollers: Pollers,
    /// The slots under way.
    pub mover: Mover,
    /// The promotions under way, and the queue of orders to follow.
    pub promoter: Promoter,
    revisions: BTreeMap<u16, u64>,
    sabotage: Sabotage,
    /// Operators' changes that were stored, and those that were not.
    pub operated: (u64, u64),
    /// A proxy told of a higher term.
    pub stale: Option<codis_core::ha::Term>,
}

impl Core {
    /// Begins a term with what was read.
    pub fn new(guard: TermRecord, records: Records, limits: Limits, sabotage: Sabotage) -> Self {
        // No two runs of boards number fills alike.
        let run = (guard.board as u64) << 32 | guard.life << 16 | guard.term.0;
        Self {
            owner: Owner::new(guard, records),
            fleet: Fleet::new(guard.term, run, sabotage),
            pollers: Pollers::new(guard.term),
            mover: Mover::new(limits),
            promoter: Promoter::new(sabotage),
            revisions: BTreeMap::new(),
            sabotage,
            operated: (0, 0),
            stale: None,
        }
    }

    /// Goes on until nothing is left to do now; `lease` is to when orders may leave.
    pub fn run(&mut self, now: Time, lease: Time, calls: &mut Calls) {
        for _ in 0..1_000 {
            self.owner.run(now, calls);
            while let Some(edited) = self.owner.edited.pop_front() {
                self.edited(now, edited);
            }
            self.fleet.update(now, &self.owner);
            self.fleet.call(now, now < lease, calls);
            let over = self.fleet.ended(now, &self.owner.cluster);
            let idle = over.is_empty();
            for (who, behind) in over {
                self.waited(now, who, &behind, lease, calls);
            }
            self.pollers.run(now, &self.owner, &mut self.fleet, calls);
            self.mover.handle_cluster(now, &self.owner.cluster);
            let mut started = false;
            while let Some(effect) = self.mover.poll_effect() {
                started = true;
                self.start(now, effect, lease, calls);
            }
            started |= self.promoter.run(At {
                now: (now, lease),
                owner: &mut self.owner,
                fleet: &mut self.fleet,
                calls,
            });
            if idle && !started && self.owner.edited.is_empty() {
                return;
            }
        }
        panic!("a board that never rests");
    }

    /// When to call [`Core::run`] again at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        let all = [
            self.owner.poll_timeout(),
            self.fleet.poll_timeout(),
            self.pollers.poll_timeout(),
            self.mover.poll_timeout(),
            self.promoter.poll_timeout(),
        ];
        all.into_iter().flatten().min()
    }

    fn start(&mut self, now: Time, effect: Effect, lease: Time, calls: &mut Calls) {
        match effect {
            Effect::Store(step) => {
                let slot = step.slot();
                let skips = self.sabotage == Sabotage::SkipStep;
                let decide = Box::new(move |cluster: &_| {
                    let edit = step.edit(cluster);
                    if skips { edit.map(skip) } else { edit }
                });
                self.owner.edit(Caller::Mover(slot), decide);
            }
            Effect::Push { slot } if self.sabotage == Sabotage::NoWait => {
                self.done(now, slot, Outcome::Done);
            }
            Effect::Push { slot } => {
                let newest = self.owner.revision;
                let revision = self.revisions.get(&slot).copied().unwrap_or(newest);
                let (who, cluster) = (Waits::Mover(slot), self.owner.cluster.clone());
                let wanted = (&[slot][..], revision);
                self.fleet.wait(now, &cluster, who, wanted, PUSH_MAX);
            }
            Effect::Migrate(command) if now < lease => self.migrate(now, &command, calls),
            Effect::Quiesce { slot, source } if now < lease => match Node::of(&source) {
                Some(to) => {
                    let call = ServerCall::Ping;
                    let body = Body::Server { to, call };
                    calls.ask(Purpose::Quiesce { slot }, ANSWER_MAX, body);
                }
                None => self.done(now, slot, Outcome::Failed("no such server".to_owned())),
            },
            Effect::Migrate(Command { slot, .. }) | Effect::Quiesce { slot, .. } => {
                let why = "this dashboard does not lead any more".to_owned();
                self.done(now, slot, Outcome::Failed(why));
            }
        }
    }

    fn migrate(&mut self, now: Time, command: &Command, calls: &mut Calls) {
        let slot = command.slot;
        if self.sabotage == Sabotage::NoSource {
            let (left, next_db) = (0, None);
            return self.done(now, slot, Outcome::Moved { left, next_db });
        }
        let (Some(to), Some(target)) = (Node::of(&command.source), Node::of(&command.target))
        else {
            return self.done(now, slot, Outcome::Failed("no such server".to_owned()));
        };
        let call = ServerCall::Migrate { slot, target };
        let body = Body::Server { to, call };
        calls.ask(Purpose::Migrate { slot }, MIGRATE_MAX, body);
    }

    fn done(&mut self, now: Time, slot: u16, outcome: Outcome) {
        self.mover
            .handle_done(now, &self.owner.cluster, slot, outcome);
    }

    fn edited(&mut self, now: Time, edited: Edited) {
        let Edited { caller, outcome } = edited;
        match (caller, outcome) {
            (Caller::Mover(slot), Ok(revision)) => {
                self.revisions.insert(slot, revision);
                self.done(now, slot, Outcome::Done);
            }
            (Caller::Mover(slot), Err(why)) => self.done(now, slot, Outcome::Failed(why)),
            (Caller::Promotion(group), outcome) => {
                self.promoter.stored(group, outcome.map(drop));
            }
            (Caller::Sync(server), outcome) => {
                let ok = outcome.is_ok();
                self.promoter.sync_stored(now, &self.owner, server, ok);
            }
            (Caller::Operator, Ok(_)) => self.operated.0 += 1,
            (Caller::Operator, Err(_)) => self.operated.1 += 1,
            (Caller::Poll(proxy), outcome) => {
                let mut at = Owned {
                    owner: &mut self.owner,
                    fleet: &mut self.fleet,
                };
                self.pollers
                    .registered(now, proxy, outcome.is_ok(), &mut at);
            }
        }
    }

    fn waited(&mut self, now: Time, who: Waits, behind: &[usize], lease: Time, calls: &mut Calls) {
        let held = behind.is_empty();
        match who {
            Waits::Mover(slot) if held => self.done(now, slot, Outcome::Done),
            Waits::Mover(slot) => {
                let why = format!("proxies {behind:?} do not take the slot");
                self.done(now, slot, Outcome::Failed(why));
            }
            Waits::Promotion(group) => self.promoter.pushed(now, group, behind),
            Waits::Lift { proxy, stalls } => {
                let may = held && now < lease;
                let pollers = &mut self.pollers;
                pollers.caught_up(now, (proxy, stalls), may, &mut self.owner, calls);
            }
            Waits::Online(proxy) => self.pollers.filled(now, proxy, held && now < lease, calls),
        }
    }

    /// A call has ended.
    pub fn handle(&mut self, now: Time, purpose: Purpose, answer: Answer, calls: &mut Calls) {
        let change = matches!(
            purpose,
            Purpose::Fill { .. } | Purpose::Lift { .. } | Purpose::Start { .. }
        );
        if let Answer::Proxy(ProxyAnswer::Stale(seen)) = &answer
            && change
        {
            self.stale = Some(*seen);
        }
        match purpose {
            Purpose::Reload | Purpose::Commit => {
                let answer = match answer {
                    Answer::Store(answer) => Some(answer),
                    _ => None,
                };
                self.owner.handle(answer, calls);
            }
            Purpose::Migrate { slot } => {
                let outcome = match answer {
                    Answer::Server(ServerAnswer::Left(left)) => {
                        let next_db = None;
                        Outcome::Moved { left, next_db }
                    }
                    other => Outcome::Failed(format!("{other:?}")),
                };
                self.done(now, slot, outcome);
            }
            Purpose::Quiesce { slot } => {
                let outcome = match answer {
                    Answer::Server(ServerAnswer::Pong) => Outcome::Done,
                    other => Outcome::Failed(format!("{other:?}")),
                };
                self.done(now, slot, outcome);
            }
            Purpose::Promote { group, to } => self.promoter.answered(now, (group, to), &answer),
            Purpose::Sync { server } => self.promoter.sync_ordered(server, &answer),
            Purpose::Digest { .. } | Purpose::Slots { .. } | Purpose::Fill { .. } => {
                self.fleet.handle(now, purpose, heard(answer), calls);
            }
            Purpose::Stats { .. }
            | Purpose::Connect { .. }
            | Purpose::Witness { .. }
            | Purpose::Lift { .. }
            | Purpose::Start { .. } => {
                let (owner, fleet) = (&mut self.owner, &mut self.fleet);
                self.pollers
                    .handle(now, &purpose, heard(answer), owner, fleet, calls);
            }
            Purpose::Lock { .. }
            | Purpose::LastTerm
            | Purpose::Fence
            | Purpose::Release
            | Purpose::Renew { .. }
            | Purpose::Load => {}
        }
    }
}

fn heard(answer: Answer) -> Heard {
    match answer {
        Answer::Proxy(answer) => Heard::Answer(answer),
        Answer::Refused => Heard::Refused,
        Answer::Store(_) | Answer::Server(_) | Answer::Nothing => Heard::Nothing,
    }
}

/// A slot that was to hold at the proxies is recorded as held by all.
fn skip(mut changes: Vec<Change>) -> Vec<Change> {
    for change in &mut changes {
        if let Change::PutSlot(slot) = change
            && slot.action.state == ActionState::Preparing
        {
            slot.action.state = ActionState::Prepared;
        }
    }
    changes
}
