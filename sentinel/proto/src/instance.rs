//! Instances: masters, replicas and sentinels, as seen in the context of one master.

use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::core::Core;
use crate::ids::{CommandId, LinkId, SentinelId};
use crate::info::{Data, Info, Role};
use crate::input::Opinion;

/// What all instances have.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) link: LinkId,
    pub(crate) addr: Addr,
    /// The address as it is shown.
    pub(crate) shown: Addr,
    /// Awake time from which silence counts: its creation, or the last switch.
    pub(crate) watched_since: Time,
    pub(crate) s_down: Option<Time>,
    /// When it last became S_DOWN, also after it recovered.
    pub(crate) s_down_last: Option<Time>,
    /// When our last hello went out on the present connection.
    pub(crate) published: Option<Time>,
    /// The connection on which `published` (and a server's INFO) was sent.
    pub(crate) connection: u64,
}

impl Node {
    pub(crate) fn new(core: &Core, link: LinkId, addr: Addr) -> Self {
        Self {
            link,
            shown: core.hosts.shown(&addr),
            addr,
            watched_since: core.awake(),
            s_down: None,
            s_down_last: None,
            published: None,
            connection: 0,
        }
    }

    /// Since when there has been no proof of life, in awake time.
    pub(crate) fn silent_since(&self, core: &Core) -> Time {
        let proof = core.link(self.link).and_then(|link| link.ping.proof);
        proof.map_or(self.watched_since, |proof| proof.max(self.watched_since))
    }

    /// Forgets what was concluded about it in its former role.
    pub(crate) fn watch_anew(&mut self, core: &Core) {
        self.watched_since = core.awake();
        self.s_down = None;
        self.s_down_last = None;
    }

    /// Makes the next hello due at `at`, where one is due each `period`.
    pub(crate) fn publish_no_later(&mut self, at: Time, period: Duration) {
        self.published = self.published.map(|_| at.before(period));
    }

    /// Whether it was not seen S_DOWN for `span`.
    pub(crate) fn was_up_for(&self, core: &Core, span: Duration) -> bool {
        self.s_down_last.is_none_or(|at| core.age(at) > span)
    }
}

/// A master or a replica: what INFO tells about it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) node: Node,
    pub(crate) run_id: String,
    /// The last INFO and when it came.
    pub(crate) info: Option<(Time, Arc<Info>)>,
    /// When INFO was last sent on the present connection.
    pub(crate) info_sent: Option<Time>,
    pub(crate) info_command: Option<CommandId>,
    pub(crate) role: Role,
    pub(crate) role_since: Time,
    /// Its run id changed then, and it has not said PONG since.
    pub(crate) rebooted: Option<Time>,
    /// SCRIPT KILL was sent in the present S_DOWN.
    pub(crate) script_kill_sent: bool,
}

impl Server {
    pub(crate) fn new(node: Node, role: Role, now: Time) -> Self {
        Self {
            node,
            run_id: String::new(),
            info: None,
            info_sent: None,
            info_command: None,
            role,
            role_since: now,
            rebooted: None,
            script_kill_sent: false,
        }
    }

    /// Takes up another role at a switch.
    pub(crate) fn change_role(&mut self, core: &Core, role: Role) {
        self.node.watch_anew(core);
        self.role = role;
        self.role_since = core.now;
        self.rebooted = None;
        self.script_kill_sent = false;
        self.info_sent = None;
        self.info_command = None;
        self.node.published = None;
    }

    /// The age of the last INFO.
    pub(crate) fn info_age(&self, core: &Core) -> Option<Duration> {
        self.info.as_ref().map(|(at, _)| core.age(*at))
    }
}

/// How far the reconfiguration of a replica has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reconf {
    /// Not told yet.
    Waiting,
    /// Told to follow the new master.
    Sent(Time),
    /// It says that it follows the new master; the link is not up yet.
    InProgress(Time),
    /// In step with the new master.
    Done,
    /// Not part of it: the old master.
    Exempt,
}

/// A replica.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) server: Server,
    /// Whom it says it follows, and since when it says so.
    pub(crate) follows: Option<Addr>,
    pub(crate) follows_since: Time,
    pub(crate) reconf: Reconf,
    /// It got no second try of a reconfiguration that timed out.
    pub(crate) reconf_retried: bool,
    /// An order to follow the master is on its way; no other before this moment.
    pub(crate) ordered_until: Option<Time>,
    /// It did not become master when told to: passed over until this moment.
    pub(crate) failed_until: Option<Time>,
    /// What it last said of its data before it took up another history, and when its link to the
    /// master was up last then.
    pub(crate) data_before: Option<(Time, Data)>,
}

impl Replica {
    pub(crate) fn new(server: Server, now: Time) -> Self {
        Self {
            server,
            follows: None,
            follows_since: now,
            reconf: Reconf::Waiting,
            reconf_retried: false,
            ordered_until: None,
            failed_until: None,
            data_before: None,
        }
    }

    /// What its last INFO said.
    pub(crate) fn info(&self) -> Option<&Info> {
        self.server.info.as_ref().map(|(_, info)| info.as_ref())
    }
}

/// What the last hello of a sentinel said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Time,
    pub(crate) config_epoch: Epoch,
}

/// A sentinel's answer to our request for its vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ballot {
    /// The epoch that we asked for.
    pub(crate) epoch: Epoch,
    /// Whom it voted for in that epoch, if anybody.
    pub(crate) leader: Option<SentinelId>,
}

/// Another sentinel.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: Node,
    pub(crate) created: Time,
    pub(crate) heard: Option<Heard>,
    /// Its last word about the master.
    pub(crate) opinion: Option<(Time, Opinion)>,
    pub(crate) ballot: Option<Ballot>,
    /// When it was last asked, and by which command.
    pub(crate) asked: Option<Time>,
    pub(crate) ask_command: Option<CommandId>,
    /// The last question was for a vote in this epoch.
    pub(crate) asked_vote: Option<Epoch>,
}

impl Peer {
    pub(crate) fn new(node: Node, now: Time) -> Self {
        Self {
            node,
            created: now,
            heard: None,
            opinion: None,
            ballot: None,
            asked: None,
            ask_command: None,
            asked_vote: None,
        }
    }

    /// Forgets what it said about an address that is no longer the master's.
    pub(crate) fn forget_opinion(&mut self) {
        self.opinion = None;
        self.ballot = None;
        self.asked = None;
        self.ask_command = None;
        self.asked_vote = None;
    }
}
