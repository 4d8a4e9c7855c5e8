//! The machine: its entry points and its state.
//!
//! Each entry brings the clock up to date, applies one input, and then sweeps whatever that touched
//! until nothing is left to do: evidence first (links), then judgement (instances), then decisions
//! (masters). At most one snapshot is asked for in a step, at its end.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::core::Core;
use crate::disk::Held;
use crate::effect::{Command, Effect};
use crate::epochs::is_plausible;
use crate::event::Event;
use crate::ids::{CommandId, LinkId, PersistId, RequestId, SentinelId};
use crate::input::{Channel, DisconnectReason, Input, Opinion, PingReply, Reply};
use crate::link::Purpose;
use crate::master::Master;
use crate::persist::Snapshot;
use crate::schedule::{Key, MasterId, User, Who};
use crate::settings::Settings;

/// A step sweeps fewer keys than this, or it runs in a circle.
const SWEEPS_MAX: usize = 1_000_000;

/// One sentinel.
#[derive(Debug)]
pub struct Machine {
    pub(crate) core: Core,
    pub(crate) masters: BTreeMap<MasterId, Master>,
    pub(crate) names: BTreeMap<String, MasterId>,
    pub(crate) master_last: u64,
}

/// Why an operator's order is refused. The texts are those of the original.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The name is not monitored.
    #[error("ERR No such master with that name")]
    NoSuchMaster,
    /// The name is monitored already.
    #[error("ERR Duplicate master name.")]
    DuplicateMaster,
    /// Votes may have been forgotten.
    #[error("ERR The state of this sentinel was lost: it has not heard from enough others to vote")]
    Rejoining,
    /// A failover is under way.
    #[error("INPROG Failover already in progress")]
    FailoverInProgress,
    /// Nobody can be promoted.
    #[error("NOGOODSLAVE No suitable replica to promote")]
    NoGoodReplica,
    /// The master is too old to hand over by itself.
    #[error("NOGOODPRIMARY Primary does not support FAILOVER command")]
    NoGoodPrimary,
    /// The replica named is not one that may be promoted, and why.
    #[error("NOGOODSLAVE {addr} cannot be promoted: {reason}")]
    BadCandidate {
        /// The replica.
        addr: Addr,
        /// The rule that ruled it out.
        reason: String,
    },
}

impl Machine {
    /// A sentinel that starts with `snapshot` from its last run (or a fresh one).
    pub fn new(now: Time, settings: Settings, snapshot: Snapshot) -> Self {
        let core = Core::new(now, settings, snapshot.current_epoch);
        Self::start(core, snapshot)
    }

    pub(crate) fn start(core: Core, snapshot: Snapshot) -> Self {
        let mut machine = Self {
            core,
            masters: BTreeMap::new(),
            names: BTreeMap::new(),
            master_last: 0,
        };
        machine.restore(snapshot);
        // A disk that refuses is found before the first vote.
        machine.core.disk.want();
        machine.settle();
        machine
    }

    /// Feeds one input.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        self.enter(now);
        match input {
            Input::Connected {
                link,
                channel,
                local_ip,
            } => self.connected(link, channel, local_ip),
            Input::Disconnected {
                link,
                channel,
                reason,
            } => self.disconnected(link, channel, reason),
            Input::Reply {
                link,
                command,
                reply,
            } => self.replied(link, command, reply),
            Input::PubSubActivity { link } => {
                if let Some(link) = self.core.links.get_mut(&link) {
                    link.heard(self.core.now);
                }
            }
            Input::Hello(hello) => self.hello(&hello),
            Input::Resolved { host, answers } => self.resolved(&host, &answers),
            Input::Asked {
                request,
                master,
                epoch,
                candidate,
            } => self.asked(request, &master, epoch, candidate),
            Input::Persisted { id, ok } => self.persisted(id, ok),
        }
        self.settle();
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.enter(now);
        self.core.schedule.touch_due(self.core.now);
        self.settle();
    }

    /// When [`Self::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Time> {
        let next = self.core.schedule.next();
        next.map(|at| at.min(self.core.stall.pulse()))
    }

    /// The next order to the shell.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.core.out.pop()
    }

    /// The id of the last snapshot asked for: an order is durable once it is persisted.
    pub fn last_persist(&self) -> PersistId {
        self.core.disk.last()
    }

    /// Brings the clock up to date, and notices when this process was stalled.
    pub(crate) fn enter(&mut self, now: Time) {
        self.core.now = self.core.now.max(now);
        let deadline = self.poll_timeout();
        let trigger = self.core.timing.tilt_trigger;
        if !self.core.stall.called(self.core.now, deadline, trigger) {
            return;
        }
        let up = self.core.links.values().filter(|link| link.is_up());
        let unheard: BTreeSet<LinkId> = up.map(|link| link.id).collect();
        let down_after = self.masters.values().map(|it| it.settings.down_after).max();
        let span = down_after
            .unwrap_or_default()
            .min(self.core.timing.tilt_period);
        let until = self.core.now + span;
        self.core.stall.enter_tilt(until, unheard);
        self.core.touch(Key::Tilt);
        let payload = "#tilt mode entered".to_owned();
        self.core.event(Event::new("+tilt", payload, None));
    }

    /// Sweeps what was touched until nothing is left, then asks for a snapshot if one is wanted.
    pub(crate) fn settle(&mut self) {
        let mut sweeps = 0;
        while let Some(key) = self.core.schedule.pop_touched() {
            sweeps += 1;
            assert!(sweeps < SWEEPS_MAX, "sweeping runs in a circle at {key:?}");
            let next = self.sweep(&key);
            let now = self.core.now;
            assert!(
                next.is_none_or(|at| at > now),
                "{key:?} is due after its sweep"
            );
            self.core.schedule.set(key, next);
        }
        self.rejoin();
        if let Some(id) = self.core.disk.take(self.core.now) {
            let snapshot = Box::new(self.snapshot());
            self.core.out.push(Effect::Persist { id, snapshot });
        }
    }

    fn sweep(&mut self, key: &Key) -> Option<Time> {
        match key {
            Key::Link(id) => self.core.sweep_link(*id),
            Key::Node(id, who) => self.masters.get_mut(id)?.sweep_node(&mut self.core, who),
            Key::Master(id) => self.masters.get_mut(id)?.sweep(&mut self.core),
            Key::Disk => self.core.disk.sweep(self.core.now),
            Key::Tilt => self.sweep_tilt(),
        }
    }

    fn sweep_tilt(&mut self) -> Option<Time> {
        if self.core.stall.leave_tilt(self.core.now) {
            let payload = "#tilt mode exited".to_owned();
            self.core.event(Event::new("-tilt", payload, None));
            for master in self.masters.values() {
                self.core.touch(Key::Master(master.id));
                for who in master.everybody() {
                    self.core.touch(Key::Node(master.id, who));
                }
            }
        }
        self.core.stall.tilt_until()
    }

    fn connected(&mut self, id: LinkId, channel: Channel, local_ip: String) {
        if let Some(link) = self.core.links.get_mut(&id) {
            link.connected(self.core.now, channel, local_ip);
            self.core.touch(Key::Link(id));
            self.core.touch_users(id);
        }
    }

    fn disconnected(&mut self, id: LinkId, channel: Channel, reason: DisconnectReason) {
        let awake = self.core.awake();
        if let Some(link) = self.core.links.get_mut(&id) {
            link.lost(awake, channel, reason);
            self.core.stall.heard(id);
            self.core.touch(Key::Tilt);
            self.core.touch(Key::Link(id));
            self.core.touch_users(id);
        }
    }

    fn replied(&mut self, id: LinkId, command: CommandId, reply: Reply) {
        let Some(link) = self.core.links.get_mut(&id) else {
            return;
        };
        let Some(purpose) = link.pending.remove(&command) else {
            return;
        };
        match reply {
            Reply::Ping(reply) => self.pinged(id, command, reply),
            Reply::Info(info) => {
                if let Some((user, info)) = self.server_behind(id).zip(info)
                    && let Some(master) = self.masters.get_mut(&user.0)
                {
                    master.informed(&mut self.core, &user.1, info);
                }
            }
            Reply::Published(accepted) => {
                if let (Purpose::Publish(master), false) = (purpose, accepted) {
                    self.publish_again(id, master);
                }
            }
            Reply::MasterDown(opinion) => {
                if let Purpose::Ask(question) = purpose
                    && let Some(master) = self.masters.get_mut(&question.master)
                {
                    master.answered(&mut self.core, id, command, question, opinion);
                }
            }
            Reply::Reconfigured(result) => {
                // What came of it is told by INFO: some of its commands may fail harmlessly.
                if let Some(user) = self.server_behind(id)
                    && let Some(master) = self.masters.get_mut(&user.0)
                {
                    if purpose == Purpose::Reconfigure {
                        master.follow_if_full(&mut self.core, &user.1, &result);
                    }
                    master.order_answered(&mut self.core, command, result);
                    self.core.touch(Key::Master(user.0));
                }
            }
            Reply::ScriptKilled => {}
            Reply::WriteProbed(probe) => {
                link.write_probed();
                self.core.touch(Key::Link(id));
                if let Some((master, Who::Master)) = self.server_behind(id)
                    && let Some(master) = self.masters.get_mut(&master)
                {
                    master.note_probe(&mut self.core, probe);
                }
            }
        }
        // An answer may let a command go that waited for room, or for this one.
        if let Some(user) = self.server_behind(id) {
            self.core.touch(Key::Node(user.0, user.1));
        }
    }

    /// The one instance behind the link of a master or a replica.
    fn server_behind(&self, id: LinkId) -> Option<User> {
        let user = self.core.link(id)?.users.first()?;
        match user.1 {
            Who::Master | Who::Replica(_) => Some(user.clone()),
            Who::Peer(_) => None,
        }
    }

    fn pinged(&mut self, id: LinkId, command: CommandId, reply: PingReply) {
        let awake = self.core.awake();
        let Some(link) = self.core.links.get_mut(&id) else {
            return;
        };
        let down = link.down.clone();
        if link.pinged(awake, command, reply) {
            for (master, who) in down {
                self.core.touch(Key::Node(master, who));
            }
        }
        self.core.stall.heard(id);
        if self.core.stall.is_tilt() {
            self.core.touch(Key::Tilt);
        }
        self.core.touch(Key::Link(id));
        let Some(user) = self.server_behind(id) else {
            return;
        };
        let Some(master) = self.masters.get_mut(&user.0) else {
            return;
        };
        if user.1 == Who::Master {
            master.note_ping(awake, reply);
        }
        let Some(server) = master.server_mut(&user.1) else {
            return;
        };
        if reply == PingReply::Pong {
            server.rebooted = None;
        }
        let down = server.node.s_down.is_some();
        if reply == PingReply::Busy && down && !server.script_kill_sent {
            let sent = self.core.send(id, Purpose::ScriptKill, Command::ScriptKill);
            server.script_kill_sent = sent.is_some();
        }
    }

    /// A hello was refused: it is said again soon.
    fn publish_again(&mut self, link: LinkId, id: MasterId) {
        let users = self.core.link(link).map(|link| link.users.clone());
        let timing = &self.core.timing;
        let user = users
            .into_iter()
            .flatten()
            .find(|(master, _)| *master == id);
        if let Some((_, who)) = user
            && let Some(master) = self.masters.get_mut(&id)
            && let Some(node) = master.node_mut(&who)
        {
            node.publish_no_later(
                self.core.now + timing.publish_retry(),
                timing.publish_period,
            );
            self.core.touch(Key::Node(id, who));
        }
    }

    fn asked(
        &mut self,
        request: RequestId,
        addr: &Addr,
        epoch: Epoch,
        candidate: Option<SentinelId>,
    ) {
        let same = |master: &&Master| self.core.hosts.same(master.addr(), addr);
        let known = self.masters.values().find(same);
        let Some(id) = known.map(|master| master.id) else {
            // The next question may know better.
            self.core.resolve(addr.host());
            let opinion = Opinion {
                down: false,
                leader: None,
                leader_epoch: Epoch::ZERO,
            };
            return self.core.answer(request, Some(opinion));
        };
        // Nobody stands at an epoch that cannot be; the question whether it is down is answered.
        let candidate = candidate.filter(|_| is_plausible(epoch, self.core.current_epoch));
        // The answer is about this moment, not about the last deadline.
        self.core.touch(Key::Node(id, Who::Master));
        self.settle();
        if let Some(master) = self.masters.get_mut(&id) {
            master.asked(&mut self.core, request, epoch, candidate);
        }
    }

    fn persisted(&mut self, id: PersistId, ok: bool) {
        let refused = self.core.disk.refuses();
        for Held {
            request, opinion, ..
        } in self.core.disk.persisted(self.core.now, id, ok)
        {
            self.core.answer(request, ok.then_some(opinion));
        }
        self.core.touch(Key::Disk);
        let refuses = self.core.disk.refuses();
        let changed = refused != refuses;
        if changed {
            let (name, payload) = match refuses {
                true => ("+disk-refused", "#no votes until the state can be saved"),
                false => ("-disk-refused", "#the state is saved again"),
            };
            self.core.event(Event::new(name, payload.to_owned(), None));
        }
        for master in self.masters.values() {
            if changed || master.vote.durable_with == id || master.failover().is_some() {
                self.core.touch(Key::Master(master.id));
            }
        }
    }
}
