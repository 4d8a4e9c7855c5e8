//! Forgetting replicas and sentinels that have been gone for longer than `forget-after`.
//!
//! A replica matters little: it is forgotten when the master lives and no longer lists it. A
//! sentinel is a voter, and without it fewer votes elect a leader. So one at a time is forgotten,
//! only by sentinels that reach a majority of all voters, the lost ones counted, and while nothing
//! is decided about the master. Whoever was forgotten and returns is found anew under the same
//! rules, and until then gets no vote: a minority that was cut off for long must not elect a leader
//! with the votes of those that went on without it. The reasoning, and what is left to the
//! operator, is in `docs/design/0002-forgetting-peers.md`.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;

use crate::core::Core;
use crate::failover::Course;
use crate::ids::SentinelId;
use crate::info::Role;
use crate::instance::Peer;
use crate::master::Master;
use crate::schedule::{Who, sooner};

/// Between two changes of the voters: all sentinels have made the first one by then, or nearly.
const VOTERS_PAUSE: Duration = Duration::from_secs(10);
/// What could not be forgotten is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Forgotten sentinels that are remembered as such; beyond it the oldest are not.
const FORGOTTEN_MAX: usize = 64;

impl Master {
    /// Forgets who has been gone for too long. When to look again.
    pub(crate) fn forget_gone(&mut self, core: &mut Core) -> Option<Time> {
        if self.settings.forget_after.is_zero() || core.stall.is_tilt() {
            return None;
        }
        let mut next = None;
        for who in self.everybody() {
            let Some(at) = self.gone_at(core, &who) else {
                continue;
            };
            let due = at <= core.now;
            let again = core.now + LOOK_AGAIN;
            if due && self.may_forget(core, &who) {
                self.let_go(core, &who);
            } else {
                next = sooner(next, Some(if due { again } else { at }));
            }
        }
        next
    }

    /// When an instance will have been unreachable for forget-after: no proof of life, and of a
    /// sentinel no hello.
    fn gone_at(&self, core: &Core, who: &Who) -> Option<Time> {
        let after = self.settings.forget_after;
        let silent = core.real(self.node(who)?.silent_since(core) + after);
        match who {
            Who::Master => None,
            Who::Replica(_) => Some(silent),
            Who::Peer(id) => {
                let heard = self.peers.get(id)?.heard.map(|heard| heard.at + after);
                Some(heard.map_or(silent, |heard| heard.max(silent)))
            }
        }
    }

    fn may_forget(&self, core: &Core, who: &Who) -> bool {
        let down = self.node(who).is_some_and(|node| node.s_down.is_some());
        let may = match who {
            Who::Master => false,
            Who::Replica(addr) => !self.is_listed(core, addr),
            Who::Peer(_) => {
                let enough = self.voters() > self.quorum as usize;
                enough && self.may_change_voters(core)
            }
        };
        down && may && self.is_calm(core)
    }

    /// Whether nothing is being decided about the master, as far as we can know.
    fn is_calm(&self, core: &Core) -> bool {
        let lives = self.server.node.s_down.is_none() && self.o_down.is_none();
        lives && self.course == Course::Idle && !self.expects_switch(core)
    }

    /// Whether the master may still have this replica: only its fresh word says no.
    fn is_listed(&self, core: &Core, addr: &Addr) -> bool {
        let fresh = 2 * core.timing.info_period;
        let server = &self.server;
        let info = server.info.as_ref().map(|(_, info)| info);
        let denies =
            info.is_some_and(|info| info.role == Role::Master && !info.replicas.contains(addr));
        let fresh = server.info_age(core).is_some_and(|age| age < fresh);
        !(denies && fresh)
    }

    /// Whether one voter may go or come: most of the present ones are with us, and the last change
    /// has had time to be made by them too.
    fn may_change_voters(&self, core: &Core) -> bool {
        let with_us = |peer: &&Peer| peer.node.s_down.is_none() && core.link_is_up(peer.node.link);
        let reached = self.peers.values().filter(with_us).count() + 1;
        let pause = self.settings.forget_after.min(VOTERS_PAUSE);
        let rested = self.voters_changed.is_none_or(|at| core.age(at) >= pause);
        reached >= self.majority() && rested && !core.disk.refuses()
    }

    fn let_go(&mut self, core: &mut Core, who: &Who) {
        let event = match who {
            Who::Master => return,
            Who::Replica(_) => "-slave",
            Who::Peer(id) => {
                self.forgotten.push(id.clone());
                if self.forgotten.len() > FORGOTTEN_MAX {
                    self.forgotten.remove(0);
                }
                self.voters_changed = Some(core.now);
                "-sentinel"
            }
        };
        self.tell_of(core, event, who);
        self.forget(core, who);
        core.disk.want();
    }

    /// Whether a sentinel that says hello may be a voter: one that was forgotten may when most of
    /// the present ones are with us and nothing is being decided.
    pub(crate) fn admits(&mut self, core: &mut Core, id: &SentinelId) -> bool {
        if !self.forgotten.contains(id) {
            return true;
        }
        let may = self.is_calm(core) && self.may_change_voters(core);
        if may {
            self.forgotten.retain(|it| it != id);
            self.voters_changed = Some(core.now);
        }
        may
    }
}
