//! The last blow: when nothing else is wrong the masters are lost, and the failovers are timed.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::topology::Topology;
use codis_sentinel_proto::event::Event;

use super::{World, log};
use crate::check::{Rule, judgement};
use crate::moment::Moment;
use crate::outcome::Failover;
use crate::plan::Blow;
use crate::profile::Profile;

/// A split vote is tried again within this time.
const SPLIT: Duration = Duration::from_secs(1);
/// From the first O_DOWN to a leader, whatever the votes: some rounds of split votes.
const DECIDED_WITHIN: Duration = Duration::from_secs(2);
/// ... when chance is the same for all, and only the lines differ.
const DECIDED_AT_LAST: Duration = Duration::from_secs(6);
/// Longer than any run.
const FOR_LONG: Duration = Duration::from_secs(100_000);
/// Whoever had not heard of the promotion yet may still try for so long.
const LATE_TRY: Duration = Duration::from_secs(2);

/// A master that was lost, and what followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    at: Moment,
    node: usize,
    /// Elections of its group before.
    elections: u64,
    /// The first sentinel that called it O_DOWN.
    o_down: Option<Moment>,
    /// The first leader.
    elected: Option<Moment>,
    /// Clients were told of another master, which is this.
    told: Option<(Moment, usize)>,
    /// Promotions, and elections within the time that a late one may take, up to then.
    promotions: u64,
    tried: u64,
}

impl World {
    pub(super) fn strike_masters(&mut self) {
        for group in 0..self.plan.groups.len() {
            let Some(node) = self.believed_master(group) else {
                continue;
            };
            let elections = self.safety.elections_of(group);
            let lost = Lost {
                at: self.now,
                node,
                elections,
                o_down: None,
                elected: None,
                told: None,
                promotions: 0,
                tried: elections,
            };
            self.phase.lost.insert(group, lost);
            if let Some(refusal) = self.plan.last_refusal {
                let until = self.now + FOR_LONG;
                self.nodes[node].node.refuse_writes(until, refusal);
                continue;
            }
            self.phase.absent.push(node);
            if let Some(comeback) = self.plan.bounce {
                self.nodes[node].node.comeback = comeback;
                let down = self
                    .fault_rng
                    .millis(5..self.plan.down_after.as_millis() as u64 / 2);
                self.crash_node(node, Blow::Kill, Some(down));
                continue;
            }
            match self.plan.last_blow {
                Blow::Freeze => self.freeze_node(node, None),
                Blow::Kill | Blow::PowerOff => self.crash_node(node, self.plan.last_blow, None),
            }
        }
    }

    /// A sentinel tells of an election.
    pub(super) fn election_event(&mut self, event: &Event) {
        let mut words = event.payload.split(' ').skip(1);
        let group = words.next().and_then(|name| self.group_named(name));
        let now = self.now;
        let lost = group.and_then(|group| self.phase.lost.get_mut(&group));
        match (lost, event.name) {
            (Some(lost), "+odown") => {
                lost.o_down.get_or_insert(now);
            }
            (Some(lost), "-odown") => lost.o_down = None,
            (Some(lost), "+elected-leader") => {
                lost.elected.get_or_insert(now);
            }
            (Some(_) | None, _) => {}
        }
    }

    /// A sentinel published a topology.
    pub(super) fn published(&mut self, who: usize, topology: &Topology) {
        if let Some(group) = self.group_named(&topology.name) {
            self.told(who, group, &topology.master);
        }
    }

    /// A stock sentinel tells of a switch by its event only.
    pub(super) fn switched(&mut self, who: usize, event: &Event) {
        let mut words = event.payload.split(' ');
        let group = words.next().and_then(|name| self.group_named(name));
        let host = words.nth(2);
        let port = words.next().and_then(|port| port.parse().ok());
        if let ("+switch-master", Some(group), Some(host), Some(port)) =
            (event.name, group, host, port)
        {
            self.told(who, group, &Addr::new(host, port));
        }
    }

    /// Clients are told of a master.
    fn told(&mut self, who: usize, group: usize, master: &Addr) {
        let master = self.node_at(master);
        let Some(mut lost) = self.phase.lost.get(&group).copied() else {
            return;
        };
        let Some(master) = master.filter(|node| *node != lost.node && lost.told.is_none()) else {
            return;
        };
        lost.told = Some((self.now, master));
        lost.promotions = self.safety.promotions_of(group);
        self.phase.lost.insert(group, lost);
        let name = self.plan.groups[group].name.clone();
        let took = self.now.since(lost.at);
        let rounds = self.safety.elections_of(group) - lost.elections;
        log!(
            self,
            "s{} published the new master of {name} after {took:?}",
            who + 1
        );
        let decided = lost.elected.zip(lost.o_down);
        self.stats.last.push(Failover {
            took,
            down_after: self.plan.down_after,
            decided: decided.map_or(Duration::ZERO, |(elected, o_down)| elected.since(o_down)),
            rounds,
        });
        let mut within = self.plan.failover_within();
        if rounds > 1 {
            within += SPLIT;
        }
        if self.plan.profile == Profile::Calm && took > within {
            let text = format!("failover of {name} took {took:?}, allowed {within:?}");
            self.fail(Rule::Slow, text);
        }
    }

    /// A sentinel says that a master restarted with less data: it must be so.
    pub(super) fn accused(&mut self, who: usize, event: &Event) {
        let addr = judgement::addr_of(&event.payload);
        let node = addr.and_then(|addr| self.node_at(&addr));
        let lost = node.map_or(0, |node| self.nodes[node].node.lost);
        if event.name == "+master-lost-data" && lost == 0 {
            let text = format!("s{} says {}, which lost nothing", who + 1, event.payload);
            self.fail(Rule::LostData, text);
        }
    }

    /// Whether the masters that restarted with less data were replaced, which is only then without
    /// loss.
    pub(super) fn look_at_data(&mut self) {
        if self.plan.bounce.is_none() {
            return;
        }
        for (group, lost) in self.phase.lost.clone() {
            let name = &self.plan.groups[group].name;
            let is_replaced = lost.told.is_some();
            if is_replaced && !self.plan.refused_after.is_zero() {
                // It may have been away for longer than that.
                continue;
            }
            if is_replaced != self.plan.lost_data_failover {
                let done = if is_replaced { "replaced" } else { "followed" };
                let text = format!("the master of {name} lost its data and was {done}");
                return self.fail(Rule::LostData, text);
            }
        }
    }

    /// Masters that refuse writes since the last blow must be replaced in time. The first group
    /// that waits for it.
    pub(super) fn look_at_refusals(&mut self) -> Result<(), String> {
        if self.plan.last_refusal.is_none() {
            return Ok(());
        }
        let mut lost = self.phase.lost.iter();
        let Some((group, lost)) = lost.find(|(_, lost)| lost.told.is_none()) else {
            return Ok(());
        };
        let (name, since) = (&self.plan.groups[*group].name, self.now.since(lost.at));
        let text = format!("the master of {name} has refused writes for {since:?}");
        if since > self.plan.refusal_within(lost.at) {
            self.fail(Rule::Refusal, text.clone());
        }
        Err(text)
    }

    /// The masters that refused writes take them again.
    pub(super) fn end_refusals(&mut self) {
        if self.plan.last_refusal.is_some() {
            for member in &mut self.nodes {
                member.node.readonly_until = self.now;
                member.node.sick = None;
            }
        }
    }

    /// Whether a server took the place of one that was lost last.
    pub(super) fn is_promoted(&self, host: usize) -> bool {
        let node = self.node_of(host);
        let mut lost = self.phase.lost.values();
        lost.any(|lost| lost.told.map(|(_, master)| master) == node)
    }

    /// After the last blow: votes are decided in time, and a failover causes no other one. Stock
    /// keeps neither promise.
    pub(super) fn look_after_blow(&mut self) {
        if self.plan.stock.contains(&true) || self.stats.forgotten > 0 {
            return;
        }
        for (group, mut lost) in self.phase.lost.clone() {
            let name = &self.plan.groups[group].name;
            let within = if self.plan.same_seed {
                DECIDED_AT_LAST
            } else {
                DECIDED_WITHIN
            };
            let open = lost.o_down.filter(|_| lost.elected.is_none());
            if open.is_some_and(|at| self.now.since(at) > within) {
                let text = format!("nobody was elected for {name} since O_DOWN at {open:?}");
                return self.fail(Rule::Undecided, text);
            }
            let Some((at, _)) = lost.told else { continue };
            let (promotions, tried) = (
                self.safety.promotions_of(group),
                self.safety.elections_of(group),
            );
            if self.now.since(at) <= LATE_TRY {
                lost.tried = tried;
                self.phase.lost.insert(group, lost);
            }
            if promotions > lost.promotions || tried > lost.tried {
                let text = format!("{name} was failed over at {at} and then again");
                return self.fail(Rule::Again, text);
            }
        }
    }
}
