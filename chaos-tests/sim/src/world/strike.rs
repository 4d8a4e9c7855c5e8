//! Faults at work, and how they end.

use std::time::Duration;

use codis_sentinel_proto::PingReply;
use codis_sentinel_proto::event::{Event, Level};

use super::{Happening, Message, Sabotage, Undo, World, log};
use crate::fault::{Comeback, CrashPoint, Fault, Loss, Target, Way};
use crate::net::Host;
use crate::node::{Life, Node};
use crate::plan::{Blow, Refusal};

impl World {
    pub(super) fn strike(&mut self, fault: Fault) {
        log!(self, "fault {fault:?}");
        self.stats.faults += 1;
        match fault {
            Fault::CrashSentinel {
                who,
                point,
                blow,
                down,
            } => self.plan_crash(who, point, blow, down),
            Fault::LoseState {
                who,
                point,
                loss,
                down,
            } => self.plan_loss(who, point, loss, down),
            Fault::StallSentinel { who, span } => self.stall(who, span),
            Fault::StallAt {
                who,
                mark,
                after,
                span,
            } => self.sentinels[who].stall_at = Some((mark, after, span)),
            Fault::ClockJump { who, span } => self.jump_clock(who, span),
            Fault::ClockStop { who, span } => self.stop_clock(who, span),
            Fault::RefuseWrites {
                target,
                refusal,
                span,
            } => self.refuse_writes(target, refusal, span),
            Fault::RefuseDisk { who, span } => {
                self.sentinels[who].disk.refuses_until = self.now + span;
            }
            Fault::SlowDisk { who, extra, span } => {
                self.sentinels[who].disk.extra = extra;
                self.sentinels[who].disk.slow_until = self.now + span;
            }
            Fault::CrashNode {
                target,
                blow,
                down,
                comeback,
            } => self.crash_target(target, blow, down, comeback),
            Fault::FreezeNode { target, span } => self.freeze_target(target, span),
            Fault::SickNode {
                target,
                reply,
                span,
            } => self.sicken(target, reply, span),
            Fault::Isolate { host, way, span } => {
                let others = (0..self.plan.hosts()).filter(|other| *other != host);
                self.cut(others.map(|other| (host, other)).collect(), way, span);
            }
            Fault::Split { mask, way, span } => self.split(mask, way, span),
            Fault::Pair { a, b, way, span } if a != b => self.cut(vec![(a, b)], way, span),
            Fault::Pair { .. } => {}
            Fault::SlowHost { host, extra, span } => self.slow_host(host, extra, span),
            Fault::Loss { permille, span } => self.net.loss = (permille, self.now + span),
            Fault::Raw { permille, span } => self.net.raw = (permille, self.now + span),
            Fault::Resets { permille } => self.break_some(permille),
            Fault::ForceFailover { who, group } => self.force_failover(who, group),
            Fault::Readd { who, group, gap } => self.remove_monitor(who, group, gap),
            Fault::Reset { who, group } => self.reset(who, group),
        }
    }

    fn plan_crash(&mut self, who: usize, point: CrashPoint, blow: Blow, down: Duration) {
        if point == CrashPoint::Now {
            self.crash_sentinel(who, blow, down);
        } else if self.sentinels[who].brain.is_some() {
            self.sentinels[who].crash = Some((point, blow, down));
        }
    }

    fn plan_loss(&mut self, who: usize, point: CrashPoint, loss: Loss, down: Duration) {
        self.sentinels[who].loses = Some(loss);
        self.plan_crash(who, point, Blow::Kill, down);
    }

    fn refuse_writes(&mut self, target: Target, refusal: Refusal, span: Duration) {
        let until = self.now + span;
        self.hit(target, |node| node.refuse_writes(until, refusal));
    }

    fn sicken(&mut self, target: Target, reply: PingReply, span: Duration) {
        let sick = Some((reply, self.now + span));
        self.hit(target, |node| node.sick = sick);
    }

    fn slow_host(&mut self, host: Host, extra: Duration, span: Duration) {
        self.net.slow[host] = extra;
        let undo = Happening::Undo(Undo::FastHost(host));
        self.queue.push(self.now + span, undo);
    }

    fn crash_target(&mut self, target: Target, blow: Blow, down: Duration, comeback: Comeback) {
        if let Some(node) = self.target(target) {
            self.nodes[node].node.comeback = comeback;
            self.crash_node(node, blow, Some(down));
        }
    }

    fn freeze_target(&mut self, target: Target, span: Duration) {
        if let Some(node) = self.target(target) {
            self.freeze_node(node, Some(span));
        }
    }

    fn hit(&mut self, target: Target, how: impl FnOnce(&mut Node)) {
        if let Some(node) = self.target(target) {
            how(&mut self.nodes[node].node);
        }
    }

    fn split(&mut self, mask: u64, way: Way, span: Duration) {
        let hosts = 0..self.plan.hosts();
        let side = |host: Host| mask >> host & 1 == 1;
        let left: Vec<Host> = hosts.clone().filter(|host| side(*host)).collect();
        let right = hosts.filter(|host| !side(*host));
        let pairs = right.flat_map(|b| left.iter().map(move |a| (*a, b)));
        let pairs = pairs.collect();
        self.cut(pairs, way, span);
    }

    fn break_some(&mut self, permille: u32) {
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            if self.fault_rng.chance(permille) {
                self.break_conn(id);
            }
        }
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::StartSentinel { who, turn } => {
                if self.sentinels[who].turn == turn && self.sentinels[who].brain.is_none() {
                    self.net.off[who] = false;
                    self.start_sentinel(who);
                }
            }
            Undo::ResumeSentinel { who, turn } => {
                if self.sentinels[who].turn == turn {
                    self.resume(who);
                }
            }
            Undo::StartNode { node, turn } => {
                if self.nodes[node].turn == turn {
                    self.start_node(node);
                }
            }
            Undo::ThawNode { node, turn } => {
                if self.nodes[node].turn == turn {
                    self.thaw_node(node);
                }
            }
            Undo::Heal(partition) => {
                log!(self, "partition {partition} heals");
                self.net.heal(partition);
            }
            Undo::FastHost(host) => self.net.slow[host] = Duration::ZERO,
            Undo::Monitor { who, group, addr } => self.monitor(who, group, addr),
        }
    }

    /// Ends every fault at once.
    pub(super) fn make_whole(&mut self) {
        log!(self, "all faults end");
        self.net.heal_all();
        self.break_holed();
        for who in 0..self.sentinels.len() {
            let process = &mut self.sentinels[who];
            process.crash = None;
            process.loses = None;
            process.stall_at = None;
            process.clock.go_on(self.now);
            process.disk.refuses_until = self.now;
            process.disk.slow_until = self.now;
            if process.brain.is_none() {
                self.net.off[who] = false;
                self.start_sentinel(who);
            }
            self.resume(who);
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].node.sick = None;
            self.nodes[node].node.readonly_until = self.now;
            self.revive(node);
        }
    }

    /// Whatever happened to a server, it runs again.
    pub(super) fn revive(&mut self, node: usize) {
        match self.nodes[node].node.life {
            Life::Running => {}
            Life::Frozen => self.thaw_node(node),
            Life::Dead => self.start_node(node),
        }
    }

    fn target(&self, target: Target) -> Option<usize> {
        match target {
            Target::Master { group } => self.believed_master(group),
            Target::Node { pick } => Some(pick % self.nodes.len()),
        }
    }

    fn cut(&mut self, pairs: Vec<(Host, Host)>, way: Way, span: Duration) {
        let turned = pairs.iter().map(|(a, b)| (*b, *a)).collect::<Vec<_>>();
        let pairs = match way {
            Way::Out => pairs,
            Way::In => turned,
            Way::Both => pairs.into_iter().chain(turned).collect(),
        };
        let partition = self.net.cut(pairs);
        self.queue
            .push(self.now + span, Happening::Undo(Undo::Heal(partition)));
    }

    pub(super) fn stall(&mut self, who: usize, span: Duration) {
        let process = &mut self.sentinels[who];
        if process.brain.is_none() || process.stalled {
            return;
        }
        process.stalled = true;
        process.turn += 1;
        self.judgement.on_stall(who, process.clock.local(self.now));
        let undo = Undo::ResumeSentinel {
            who,
            turn: process.turn,
        };
        self.queue.push(self.now + span, Happening::Undo(undo));
    }

    /// The process gets time again: sometimes its timers fire before it reads, sometimes after.
    fn resume(&mut self, who: usize) {
        if !self.sentinels[who].stalled {
            return;
        }
        log!(self, "s{} resumes", who + 1);
        self.sentinels[who].stalled = false;
        let local = self.sentinels[who].clock.local(self.now);
        self.judgement.on_resume(who, local);
        if self.sabotage == Sabotage::Blind && !self.plan.stock[who] {
            self.pretend_tilt(who);
        }
        let life = self.sentinels[who].life;
        let inbox = std::mem::take(&mut self.sentinels[who].inbox);
        // First it ends what it was about when it stopped.
        self.after_step(who);
        if self.fault_rng.chance(500) {
            self.tell(who, Message::Wake);
        }
        for message in inbox {
            if self.sentinels[who].life == life {
                self.tell(who, message);
            }
        }
    }

    /// A broken shell says that the sentinel is in TILT, which its machine does not know.
    fn pretend_tilt(&mut self, who: usize) {
        let event = Event {
            name: "+tilt",
            payload: "#tilt mode entered".to_owned(),
            level: Level::Warning,
            script: None,
        };
        self.heard_event(who, &event);
    }

    pub(super) fn crash_node(&mut self, node: usize, blow: Blow, down: Option<Duration>) {
        if self.nodes[node].node.life == Life::Dead {
            return;
        }
        log!(self, "n{} dies by {blow:?}", node + 1);
        self.stats.crashes += 1;
        let member = &mut self.nodes[node];
        member.node.life = Life::Dead;
        member.turn += 1;
        member.inbox.clear();
        let turn = member.turn;
        let host = self.sentinels.len() + node;
        self.net.off[host] = blow == Blow::PowerOff;
        self.drop_process(host, blow == Blow::Kill);
        if let Some(down) = down {
            self.queue.push(
                self.now + down,
                Happening::Undo(Undo::StartNode { node, turn }),
            );
        }
    }

    fn start_node(&mut self, node: usize) {
        if self.nodes[node].node.life != Life::Dead {
            return;
        }
        self.net.off[self.sentinels.len() + node] = false;
        self.nodes[node].node.start(self.now, &mut self.node_rng);
        let role = if self.nodes[node].node.is_master() {
            "master"
        } else {
            "replica"
        };
        log!(self, "n{} starts as {role}", node + 1);
    }

    pub(super) fn freeze_node(&mut self, node: usize, span: Option<Duration>) {
        let member = &mut self.nodes[node];
        if member.node.life != Life::Running {
            return;
        }
        member.node.life = Life::Frozen;
        member.turn += 1;
        let turn = member.turn;
        log!(self, "n{} freezes", node + 1);
        if let Some(span) = span {
            self.queue.push(
                self.now + span,
                Happening::Undo(Undo::ThawNode { node, turn }),
            );
        }
    }

    fn thaw_node(&mut self, node: usize) {
        if self.nodes[node].node.life != Life::Frozen {
            return;
        }
        log!(self, "n{} thaws", node + 1);
        self.nodes[node].node.life = Life::Running;
        for (id, command, body) in std::mem::take(&mut self.nodes[node].inbox) {
            if self.conns.get(&id).is_some_and(|conn| conn.accepted) {
                self.execute(node, id, command, body);
            }
        }
    }
}
