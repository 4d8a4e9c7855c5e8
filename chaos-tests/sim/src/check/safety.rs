//! What must hold after every step, whatever happens.
//!
//! The checker watches from outside: it sees every effect that a sentinel's shell carries out,
//! every reply that reaches a machine, and what each disk has confirmed. It keeps votes, leaders,
//! promotions and addresses by epoch for the whole run, across all crashes.

mod votes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::topology::Topology;
use codis_sentinel_proto::event::Event;
use codis_sentinel_proto::ids::{CommandId, SentinelId};
use codis_sentinel_proto::persist::Snapshot;
use codis_sentinel_proto::{Command, Effect, Reply};

use super::{Rule, Violation};
use crate::brain::Brain;
use crate::moment::Moment;
use crate::net::Host;
use crate::plan::Plan;

/// A peer's opinion counts for 5 s on the slowest clock; this leaves room for timers.
const OPINION_KEPT: Duration = Duration::from_millis(5_600);

/// A group by index, and an epoch of it.
type Term = (usize, Epoch);

/// The observer.
#[derive(Debug)]
pub struct Safety {
    /// The first rule that was broken.
    pub violation: Option<Violation>,
    /// Packets sent.
    pub messages: u64,
    /// Orders that made the master of the highest epoch a replica: allowed when whoever gave it
    /// could not know, but never without harm.
    pub demoted: u64,
    names: Vec<String>,
    needed: Vec<usize>,
    quorums: Vec<usize>,
    groups: BTreeMap<Addr, usize>,
    ids: BTreeMap<SentinelId, usize>,
    votes: BTreeMap<(usize, Term), usize>,
    leaders: BTreeMap<Term, usize>,
    addresses: BTreeMap<Term, Addr>,
    /// What an operator made a sentinel monitor, and the epoch that it first gave to it: no
    /// election chose that address, and no peer believes it.
    by_operator: BTreeMap<(usize, usize), (Addr, Option<Epoch>)>,
    promotions: BTreeMap<Term, (usize, Addr)>,
    attempts: BTreeMap<usize, u64>,
    /// Sentinels that behave like stock.
    stock: Vec<bool>,
    /// Epochs that a stock sentinel took without the votes, or gave to a second address.
    forked: BTreeSet<Term>,
    watched: Vec<Watched>,
}

/// What the observer knows of one process.
#[derive(Debug, Default)]
struct Watched {
    current_epoch: Epoch,
    config_epochs: BTreeMap<usize, Epoch>,
    /// The epoch of the failover that it leads or wants to lead.
    attempt: BTreeMap<usize, Epoch>,
    last_new_epoch: Epoch,
    /// Groups whose next or present failover an operator ordered.
    forced: BTreeSet<usize>,
    down: BTreeMap<usize, String>,
    /// For how long its clock stood still, or what it said was held back.
    paused: Duration,
    questions: BTreeMap<CommandId, (Host, Addr)>,
    /// The word of each peer about each address.
    opinions: BTreeMap<(Host, Addr), Heard>,
}

/// A peer's word about a master.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// What arrived last.
    last: Option<(Moment, bool)>,
    /// What answered the newest question.
    newest: Option<(CommandId, Moment, bool)>,
}

impl Heard {
    fn says_down(&self, now: Moment, paused: Duration) -> bool {
        let newest = self.newest.map(|(_, at, down)| (at, down));
        let counts = |(at, down): (Moment, bool)| down && now.since(at) <= OPINION_KEPT + paused;
        self.last.is_some_and(counts) || newest.is_some_and(counts)
    }
}

impl Safety {
    /// An observer of the clusters of a plan.
    pub fn new(plan: &Plan) -> Self {
        // Voters that were forgotten do not count: one vote of each and one leader remain.
        let majority = if plan.forget_after.is_zero() {
            plan.sentinels / 2 + 1
        } else {
            1
        };
        Self {
            violation: None,
            messages: 0,
            demoted: 0,
            names: plan.groups.iter().map(|group| group.name.clone()).collect(),
            needed: plan
                .groups
                .iter()
                .map(|g| majority.max(g.quorum as usize))
                .collect(),
            quorums: plan
                .groups
                .iter()
                .map(|group| group.quorum as usize)
                .collect(),
            groups: BTreeMap::new(),
            ids: BTreeMap::new(),
            votes: BTreeMap::new(),
            leaders: BTreeMap::new(),
            addresses: BTreeMap::new(),
            by_operator: BTreeMap::new(),
            promotions: BTreeMap::new(),
            attempts: BTreeMap::new(),
            stock: plan.stock.clone(),
            forked: BTreeSet::new(),
            watched: (0..plan.sentinels).map(|_| Watched::default()).collect(),
        }
    }

    /// Learns a server.
    pub fn learn_server(&mut self, addr: &Addr, group: usize) {
        self.groups.insert(addr.clone(), group);
    }

    /// Learns a sentinel.
    pub fn learn_sentinel(&mut self, id: &SentinelId, who: usize) {
        self.ids.insert(id.clone(), who);
    }

    /// Keeps the first violation.
    pub fn fail(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// Promotions that were seen.
    pub fn failovers(&self) -> u64 {
        self.promotions.len() as u64
    }

    /// Promotions of one group that were seen.
    pub fn promotions_of(&self, group: usize) -> u64 {
        let of_group = self.promotions.keys().filter(|term| term.0 == group);
        of_group.count() as u64
    }

    /// Failovers that were tried.
    pub fn elections(&self) -> u64 {
        self.attempts.values().sum()
    }

    /// Failovers of one group that were tried.
    pub fn elections_of(&self, group: usize) -> u64 {
        self.attempts.get(&group).copied().unwrap_or(0)
    }

    fn broken(&mut self, at: Moment, rule: Rule, text: String) {
        self.fail(Violation { at, rule, text });
    }

    fn group_named(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// A sentinel starts from what its disk confirmed.
    pub fn on_start(&mut self, _at: Moment, who: usize, snapshot: &Snapshot) {
        let mut watched = Watched {
            current_epoch: snapshot.current_epoch,
            ..Watched::default()
        };
        for (name, master) in &snapshot.masters {
            if let Some(group) = self.group_named(name) {
                watched.config_epochs.insert(group, master.config_epoch);
            }
        }
        self.watched[who] = watched;
    }

    /// The clock of a process stands still, or it stops between a decision and its word.
    pub fn on_pause(&mut self, who: usize, span: Duration) {
        self.watched[who].paused += span;
    }

    /// An operator forces a failover.
    pub fn on_forced(&mut self, who: usize, group: usize) {
        self.watched[who].forced.insert(group);
    }

    /// Whether an operator's failover is under way at a sentinel.
    pub fn is_forced(&self, who: usize) -> bool {
        !self.watched[who].forced.is_empty()
    }

    /// An operator makes a sentinel monitor an address. One that the sentinel did not hold before
    /// has no epoch: nothing else may lower it.
    pub fn on_monitor(&mut self, who: usize, group: usize, addr: &Addr) {
        let held = self.watched[who].config_epochs.get(&group).copied();
        if held.is_some_and(|epoch| self.addresses.get(&(group, epoch)) != Some(addr)) {
            self.watched[who].config_epochs.remove(&group);
        }
        self.by_operator.insert((who, group), (addr.clone(), None));
    }

    /// The machine has handled something, and its effects are carried out.
    pub fn after_step(&mut self, at: Moment, who: usize, brain: &Brain) {
        let (held, now) = (self.watched[who].current_epoch, brain.current_epoch());
        if now < held {
            self.broken(
                at,
                Rule::EpochFell,
                format!("s{}: {held} then {now}", who + 1),
            );
        }
        self.watched[who].current_epoch = now;
    }

    /// A sentinel asks a peer about a master.
    pub fn on_question(&mut self, who: usize, peer: Host, command: CommandId, master: &Addr) {
        self.watched[who]
            .questions
            .insert(command, (peer, master.clone()));
    }

    /// A reply reaches a machine.
    pub fn on_reply(&mut self, who: usize, command: CommandId, reply: &Reply, at: Moment) {
        if let Reply::MasterDown(opinion) = reply {
            let watched = &mut self.watched[who];
            // A doubled reply is no second answer.
            let Some(key) = watched.questions.remove(&command) else {
                return;
            };
            let Some(opinion) = opinion else {
                return;
            };
            let heard = watched.opinions.entry(key).or_default();
            heard.last = Some((at, opinion.down));
            // A network that reorders replies leaves it open which one is the peer's last word.
            if heard
                .newest
                .is_none_or(|(question, _, _)| question < command)
            {
                heard.newest = Some((command, at, opinion.down));
            }
        }
    }

    /// Any effect, before it is carried out.
    pub fn on_effect(&mut self, at: Moment, who: usize, effect: &Effect) {
        match effect {
            Effect::Send {
                command: Command::Publish(hello),
                ..
            } => {
                let epoch = hello.config_epoch;
                let held = self.group_named(&hello.master_name);
                let held = held.and_then(|group| self.watched[who].config_epochs.get(&group));
                if self.stock[who] && held.is_some_and(|held| epoch < *held) {
                    // It writes before its connection is open, so what arrives may be old.
                    return;
                }
                self.on_address(at, who, &hello.master_name, epoch, &hello.master);
            }
            Effect::Persist { snapshot, .. } => {
                for (name, master) in &snapshot.masters {
                    self.on_address(at, who, name, master.config_epoch, &master.addr);
                }
            }
            Effect::Topology(topology) => self.on_topology(at, who, topology),
            Effect::Send { .. }
            | Effect::Connect { .. }
            | Effect::Disconnect { .. }
            | Effect::Resolve { .. }
            | Effect::Answer { .. }
            | Effect::Event(_)
            | Effect::Failover { .. }
            | Effect::ReconfigScript(_) => {}
        }
    }

    fn on_topology(&mut self, at: Moment, who: usize, topology: &Topology) {
        self.on_address(at, who, &topology.name, topology.epoch, &topology.master);
    }

    /// A sentinel says or stores that a master has an address at an epoch.
    fn on_address(&mut self, at: Moment, who: usize, name: &str, epoch: Epoch, addr: &Addr) {
        let Some(group) = self.group_named(name) else {
            return;
        };
        // Epoch zero was decided by nobody.
        if epoch > Epoch::ZERO && !self.is_by_operator(who, group, epoch, addr) {
            let known = self.addresses.entry((group, epoch));
            let known = known.or_insert_with(|| addr.clone());
            if known != addr && self.stock[who] {
                self.forked.insert((group, epoch));
            }
            if known != addr && !self.forked.contains(&(group, epoch)) {
                let text = format!("s{}: {name} epoch {epoch} is {addr}, was {known}", who + 1);
                return self.broken(at, Rule::OneAddress, text);
            }
        }
        let held = self.watched[who].config_epochs.entry(group).or_default();
        if epoch < *held {
            let text = format!("s{}: {name} config epoch {held} then {epoch}", who + 1);
            return self.broken(at, Rule::EpochFell, text);
        }
        *held = epoch;
    }

    fn is_by_operator(&mut self, who: usize, group: usize, epoch: Epoch, addr: &Addr) -> bool {
        let Some((given, at)) = self.by_operator.get_mut(&(who, group)) else {
            return false;
        };
        let holds = given == addr && *at.get_or_insert(epoch) == epoch;
        if !holds {
            self.by_operator.remove(&(who, group));
        }
        holds
    }

    /// A sentinel orders a server to follow another, or nobody.
    pub fn on_order(&mut self, at: Moment, who: usize, target: &Addr, follow: Option<&Addr>) {
        let Some(group) = self.groups.get(target).copied() else {
            let text = format!("s{} reconfigures {target}, which is no server", who + 1);
            return self.broken(at, Rule::Order, text);
        };
        if let Some(master) = follow {
            if self.is_present_master(group, target) {
                self.demoted += 1;
            }
            if master == target || self.groups.get(master) != Some(&group) {
                let text = format!("s{} makes {target} follow {master}", who + 1);
                self.broken(at, Rule::Order, text);
            }
            return;
        }
        let Some(epoch) = self.watched[who].attempt.get(&group).copied() else {
            let text = format!("s{} promotes {target} outside of a failover", who + 1);
            return self.broken(at, Rule::OnePromotion, text);
        };
        let term = (group, epoch);
        if self.stock[who] && self.forked.contains(&term) {
            return;
        }
        if self.leaders.get(&term) != Some(&who) {
            let text = format!(
                "s{} promotes {target} at {epoch} without being elected",
                who + 1
            );
            return self.broken(at, Rule::OnePromotion, text);
        }
        let first = self
            .promotions
            .entry(term)
            .or_insert_with(|| (who, target.clone()));
        if *first != (who, target.clone()) {
            let text = format!("s{} promotes {target} at {epoch}, after {first:?}", who + 1);
            self.broken(at, Rule::OnePromotion, text);
        }
    }

    /// Whether an address is the one of the highest epoch that anybody knows.
    fn is_present_master(&self, group: usize, addr: &Addr) -> bool {
        let terms = (group, Epoch::ZERO)..(group + 1, Epoch::ZERO);
        let present = self.addresses.range(terms).next_back();
        present.is_some_and(|(_, present)| present == addr)
    }

    /// A sentinel says what it does.
    pub fn on_event(&mut self, at: Moment, who: usize, event: &Event, confirmed: &Snapshot) {
        let mut words = event.payload.split(' ');
        if event.name == "+new-epoch" {
            let epoch = words
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or_default();
            self.watched[who].last_new_epoch = Epoch(epoch);
            return;
        }
        if event.name == "+switch-master" {
            if let Some(group) = words.next().and_then(|name| self.group_named(name)) {
                self.watched[who].down.remove(&group);
            }
            return;
        }
        if words.next() != Some("master") {
            return;
        }
        let Some(group) = words.next().and_then(|name| self.group_named(name)) else {
            return;
        };
        let (host, port) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let watched = &mut self.watched[who];
        match event.name {
            "+sdown" => {
                watched.down.insert(group, format!("{host}:{port}"));
            }
            "-sdown" => {
                watched.down.remove(&group);
            }
            "+try-failover" => self.on_try(at, who, group, &format!("{host}:{port}")),
            "+elected-leader" => self.on_elected(at, who, group, confirmed),
            "-failover-abort-not-elected"
            | "-failover-abort-no-good-slave"
            | "-failover-abort-slave-timeout"
            | "+failover-end" => {
                watched.forced.remove(&group);
            }
            _ => {}
        }
    }

    fn on_try(&mut self, at: Moment, who: usize, group: usize, addr: &str) {
        *self.attempts.entry(group).or_default() += 1;
        let watched = &mut self.watched[who];
        watched.attempt.insert(group, watched.last_new_epoch);
        // Stock keeps the words of its peers about an address that is no longer the master's.
        if watched.forced.contains(&group) || self.stock[who] {
            return;
        }
        let agree = watched.opinions.iter().filter(|((_, master), heard)| {
            heard.says_down(at, watched.paused) && master.to_string() == addr
        });
        let votes =
            agree.count() + usize::from(watched.down.get(&group).is_some_and(|d| d == addr));
        if !watched.down.contains_key(&group) || votes < self.quorums[group] {
            let text = format!(
                "s{} starts a failover of {} ({addr}) with {votes} of {} opinions, itself: {:?}",
                who + 1,
                self.names[group],
                self.quorums[group],
                self.watched[who].down.get(&group),
            );
            self.broken(at, Rule::Quorum, text);
        }
    }
}
