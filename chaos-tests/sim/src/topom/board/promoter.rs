//! Promotions and orders to follow of one term: drives [`Promotion`] and [`SyncQueue`] as the
//! dashboard's `promote::alone` and `sync` do.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::model::ActionState;
use codis_core::time::Time;
use codis_topom::Change;
use codis_topom::promote::{Effect, Failure, Input, Promotion};
use codis_topom::sync::{self, SyncQueue};

use super::calls::{Calls, Purpose};
use super::fleet::{Fleet, Waits};
use super::inquiry::{Inquiry, Next};
use super::owner::{Caller, Owner};
use crate::topom::sabotage::Sabotage;
use crate::topom::wire::{Answer, Body, Node, ServerAnswer, ServerCall};

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long a server may take to change its role.
const ORDER_MAX: Duration = Duration::from_secs(3);
/// How long it may take to follow, of itself.
const SYNC_MAX: Duration = Duration::from_secs(10);
/// How long all pushes of a promotion may take together.
const PUSHES_MAX: Duration = Duration::from_millis(700);
/// How long a push may take at least.
const PUSH_MIN: Duration = Duration::from_millis(100);
/// How often a promotion that nobody drives is taken up.
const RESUME_EVERY: Duration = Duration::from_secs(5);
/// Orders to follow that are out at a time.
const PARALLEL: usize = 1;

/// What a promotion waits for.
#[derive(Debug)]
enum Wait {
    Nothing,
    Store,
    Push { since: Time },
    Inquiry(Inquiry),
    Orders(Orders),
}

/// Orders that are out.
#[derive(Debug)]
struct Orders {
    left: usize,
    refused: Vec<String>,
    /// The one order on which all depends.
    promotes: bool,
}

#[derive(Debug)]
struct Job {
    promotion: Promotion,
    patience: Duration,
    wait: Wait,
    /// The slots are held since then.
    held: Option<Time>,
    /// How long they were when the proxies ended it, if they did.
    missed: Option<Duration>,
}

/// All promotions under way, and the queue.
#[derive(Debug)]
pub struct Promoter {
    of: BTreeMap<u32, Job>,
    resume_at: Time,
    queue: SyncQueue,
    sabotage: Sabotage,
    /// How long slots were held at most for proxies that did not take the lock.
    pub undo_max: Duration,
}

/// What a step of a promotion may use.
#[derive(Debug)]
pub struct At<'a> {
    /// The time, and to when orders may leave.
    pub now: (Time, Time),
    /// The records.
    pub owner: &'a mut Owner,
    /// The rows.
    pub fleet: &'a mut Fleet,
    /// The calls.
    pub calls: &'a mut Calls,
}

impl Promoter {
    /// Nothing under way yet.
    pub fn new(sabotage: Sabotage) -> Self {
        Self {
            of: BTreeMap::new(),
            resume_at: Time::ZERO,
            queue: SyncQueue::new(PARALLEL),
            sabotage,
            undo_max: Duration::ZERO,
        }
    }

    /// An operator wants a server to be the master of its group.
    pub fn promote(&mut self, server: Node, owner: &Owner) {
        let group = server.group;
        if self.of.contains_key(&group) {
            return;
        }
        if let Ok(promotion) = Promotion::start(&owner.cluster, group, &server.addr()) {
            self.of.insert(group, Job::new(promotion));
        }
    }

    /// Goes on with what is due; true when something was begun.
    pub fn run(&mut self, mut at: At<'_>) -> bool {
        let (now, _) = at.now;
        if self.resume_at <= now {
            self.resume_at = now + RESUME_EVERY;
            self.resume(at.owner);
        }
        let mut begun = false;
        let groups: Vec<u32> = self.of.keys().copied().collect();
        for group in groups {
            begun |= self.go_on(group, &mut at);
        }
        self.queue.handle_cluster(now, &at.owner.cluster);
        while let Some(effect) = self.queue.poll_effect() {
            begun = true;
            self.order_sync(effect, &mut at);
        }
        begun
    }

    /// When to call [`Promoter::run`] again at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        let again = |job: &Job| match &job.wait {
            Wait::Inquiry(inquiry) => inquiry.poll_timeout(),
            _ => None,
        };
        let jobs = self.of.values().filter_map(again);
        let rest = [Some(self.resume_at), self.queue.poll_timeout()];
        jobs.chain(rest.into_iter().flatten()).min()
    }

    /// Takes up what the records say is under way and nobody drives.
    fn resume(&mut self, owner: &Owner) {
        let cluster = &owner.cluster;
        for group in cluster.groups() {
            let idle = group.promoting.state == ActionState::Nothing;
            if idle || self.of.contains_key(&group.id) {
                continue;
            }
            if let Some(promotion) = Promotion::resume(cluster, group.id) {
                self.of.insert(group.id, Job::new(promotion));
            }
        }
    }

    fn go_on(&mut self, group: u32, at: &mut At<'_>) -> bool {
        let mut begun = false;
        while let Some(job) = self.of.get_mut(&group) {
            if let Wait::Inquiry(inquiry) = &mut job.wait {
                match inquiry.next(at.now.0) {
                    None => return begun,
                    Some(Next::Done(input)) => job.end(input),
                    Some(Next::Ask(to)) => {
                        let (purpose, call) = (Purpose::Promote { group, to }, ServerCall::Info);
                        at.calls.ask(purpose, ANSWER_MAX, Body::Server { to, call });
                    }
                }
                begun = true;
                continue;
            }
            if !matches!(job.wait, Wait::Nothing) {
                return begun;
            }
            let Some(effect) = job.promotion.poll_effect() else {
                return begun;
            };
            begun = true;
            if let Effect::Done(outcome) = effect {
                if let (Err(Failure::Undone(_)), Some(missed)) = (outcome, job.missed) {
                    self.undo_max = self.undo_max.max(missed);
                }
                self.of.remove(&group);
                return true;
            }
            job.start(group, effect, self.sabotage, at);
        }
        begun
    }

    /// A step is stored, or is not.
    pub fn stored(&mut self, group: u32, outcome: Result<(), String>) {
        if let Some(job) = self.of.get_mut(&group) {
            job.end(outcome.map_or_else(Input::Failed, |()| Input::Ok));
        }
    }

    /// The proxies hold the form, but for those that are behind.
    pub fn pushed(&mut self, now: Time, group: u32, behind: &[usize]) {
        let Some(job) = self.of.get_mut(&group) else {
            return;
        };
        let Wait::Push { since } = job.wait else {
            return;
        };
        job.patience = job.patience.saturating_sub(now.since(since));
        if behind.is_empty() {
            return job.end(Input::Ok);
        }
        if let (Some(held), None) = (job.held, job.missed) {
            job.missed = Some(now.since(held));
        }
        let names = behind.iter().map(|proxy| format!("p{proxy}"));
        job.end(Input::Partly(names.collect()));
    }

    /// A server has answered, or has not.
    pub fn answered(&mut self, now: Time, (group, server): (u32, Node), answer: &Answer) {
        let Some(job) = self.of.get_mut(&group) else {
            return;
        };
        match &mut job.wait {
            Wait::Inquiry(inquiry) => inquiry.answered(now, answer),
            Wait::Orders(orders) => {
                orders.left -= 1;
                if *answer != Answer::Server(ServerAnswer::Done) {
                    orders.refused.push(server.addr());
                }
                job.ordered();
            }
            Wait::Nothing | Wait::Store | Wait::Push { .. } => {}
        }
    }

    fn order_sync(&mut self, effect: sync::Effect, at: &mut At<'_>) {
        match effect {
            sync::Effect::Store(step) => {
                let server = Node::of(&step.server);
                let decide = Box::new(move |cluster: &_| step.edit(cluster));
                if let Some(server) = server {
                    at.owner.edit(Caller::Sync(server), decide);
                }
            }
            sync::Effect::Order { server, master } => {
                let (Some(to), (now, lease)) = (Node::of(&server), at.now) else {
                    return;
                };
                if lease <= now {
                    return self.queue.handle_ordered(&server, false);
                }
                let master = master.as_deref().and_then(Node::of);
                let call = ServerCall::Follow(master);
                let purpose = Purpose::Sync { server: to };
                at.calls.ask(purpose, SYNC_MAX, Body::Server { to, call });
            }
        }
    }

    /// A step of the queue is stored, or is not.
    pub fn sync_stored(&mut self, now: Time, owner: &Owner, server: Node, ok: bool) {
        let cluster = &owner.cluster;
        self.queue.handle_stored(now, cluster, &server.addr(), ok);
    }

    /// A server took an order of the queue, or did not.
    pub fn sync_ordered(&mut self, server: Node, answer: &Answer) {
        let ok = *answer == Answer::Server(ServerAnswer::Done);
        self.queue.handle_ordered(&server.addr(), ok);
    }
}

impl Job {
    fn new(promotion: Promotion) -> Self {
        Self {
            promotion,
            patience: PUSHES_MAX,
            wait: Wait::Nothing,
            held: None,
            missed: None,
        }
    }

    fn end(&mut self, input: Input) {
        self.wait = Wait::Nothing;
        self.promotion.handle(input);
    }

    fn start(&mut self, group: u32, effect: Effect, sabotage: Sabotage, at: &mut At<'_>) {
        let (now, _) = at.now;
        match effect {
            Effect::Done(_) => {}
            Effect::Push | Effect::CatchUp { .. } if sabotage == Sabotage::Rash => {
                self.end(Input::Ok);
            }
            Effect::Store(step) => {
                let falls = sabotage == Sabotage::OldEpoch;
                let decide = Box::new(move |cluster: &_| {
                    let edit = step.edit(cluster, "");
                    if falls { edit.map(count_down) } else { edit }
                });
                self.wait = Wait::Store;
                at.owner.edit(Caller::Promotion(group), decide);
            }
            Effect::Push => {
                let cluster = at.owner.cluster.clone();
                let (slots, revision) = (cluster.slot_ids(group), at.owner.revision);
                let used = usize::from(crate::topom::plan::SLOTS);
                let slots: Vec<u16> = slots
                    .into_iter()
                    .filter(|it| usize::from(*it) < used)
                    .collect();
                let limit = self.patience.max(PUSH_MIN);
                self.held.get_or_insert(now);
                self.wait = Wait::Push { since: now };
                let who = Waits::Promotion(group);
                at.fleet.wait(now, &cluster, who, (&slots, revision), limit);
            }
            Effect::Ask { server } => self.wait = Wait::Inquiry(Inquiry::may_write(server)),
            Effect::Inspect { candidate, master } => {
                self.wait = Wait::Inquiry(Inquiry::fits(&candidate, master, sabotage));
            }
            Effect::CatchUp { candidate, master } => {
                self.wait = Wait::Inquiry(Inquiry::has_all(now, &candidate, master, sabotage));
            }
            Effect::Promote { server } => self.order(group, vec![server], None, at),
            Effect::Follow { servers, master } => {
                self.order(group, servers, Node::of(&master), at);
            }
        }
    }

    /// Tells servers whom to follow, side by side.
    fn order(&mut self, group: u32, servers: Vec<String>, master: Option<Node>, at: &mut At<'_>) {
        let (now, lease) = at.now;
        let mut orders = Orders {
            left: 0,
            refused: Vec::new(),
            promotes: master.is_none(),
        };
        for server in servers {
            match Node::of(&server).filter(|_| now < lease) {
                Some(to) => {
                    orders.left += 1;
                    let call = ServerCall::Follow(master);
                    let purpose = Purpose::Promote { group, to };
                    at.calls.ask(purpose, ORDER_MAX, Body::Server { to, call });
                }
                None => orders.refused.push(server),
            }
        }
        self.wait = Wait::Orders(orders);
        self.ordered();
    }

    /// Goes on once no order is out.
    fn ordered(&mut self) {
        let Wait::Orders(orders) = &mut self.wait else {
            return;
        };
        if orders.left > 0 {
            return;
        }
        let refused = std::mem::take(&mut orders.refused);
        let input = match (refused.is_empty(), orders.promotes) {
            (true, _) => Input::Ok,
            (false, true) => Input::Failed(format!("{refused:?} did not take the order")),
            (false, false) => Input::Partly(refused),
        };
        self.end(input);
    }
}

/// The epochs of a group are counted from a hundred to zero.
fn count_down(mut changes: Vec<Change>) -> Vec<Change> {
    for change in &mut changes {
        if let Change::PutTopology(topology) = change {
            topology.epoch = Epoch(100_u64.saturating_sub(topology.epoch.0));
        }
    }
    changes
}
