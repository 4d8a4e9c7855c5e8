//! Down detection.
//!
//! S_DOWN, our own judgement: nothing that proves life came for down-after, on a clock that counts
//! only while we could hear. PING goes out ten times within down-after, so a server that dies is
//! S_DOWN no later than down-after afterwards, and never earlier than down-after after the last
//! proof of life. With `refused-after-milliseconds` a master whose connections are refused for
//! that long is S_DOWN before; as that may be the fault of one host's network, only a majority of
//! the sentinels can make O_DOWN of it until down-after has passed. O_DOWN, the judgement of many:
//! enough sentinels say S_DOWN about a master.

use codis_core::time::Time;

use crate::core::Core;
use crate::info::Role;
use crate::input::Opinion;
use crate::instance::{Node, Peer};
use crate::master::Master;
use crate::schedule::{Key, Who, sooner};

impl Master {
    /// Judges S_DOWN of one instance. When silence will have lasted long enough.
    pub(crate) fn judge_s_down(&mut self, core: &mut Core, who: &Who) -> Option<Time> {
        let node = self.node(who)?;
        let (silence_over, was) = (self.silence_over(core, node), node.s_down);
        let early = sooner(self.misfit_at(core, who), self.refused_at(core, who));
        let at = sooner(Some(silence_over), early);
        let is = at.is_some_and(|at| at <= core.now);
        match (was, is) {
            (None, true) if core.stall.is_tilt() => None,
            (None, true) => {
                self.set_s_down(core, who);
                None
            }
            (Some(_), false) => {
                self.clear_s_down(core, who);
                at
            }
            (None, false) => at,
            (Some(_), true) => None,
        }
    }

    /// When nothing will have proven life for down-after.
    pub(crate) fn silence_over(&self, core: &Core, node: &Node) -> Time {
        core.real(node.silent_since(core) + self.settings.down_after)
    }

    /// When connections to the master had been refused for long enough.
    fn refused_at(&self, core: &Core, who: &Who) -> Option<Time> {
        let span = self.settings.refused_after;
        if *who != Who::Master || span.is_zero() {
            return None;
        }
        let refusals = core.link(self.server.node.link)?.refusals?;
        refusals.lasted(span).map(|at| core.real(at))
    }

    /// Until when S_DOWN of the master rests on refused connections alone. One sentinel may be
    /// refused for reasons of its own, so until then a majority has to see the same.
    pub(crate) fn refused_until(&self, core: &Core) -> Option<Time> {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= core.now);
        let over = self.silence_over(core, &self.server.node);
        let only =
            due(self.refused_at(core, &Who::Master)) && !due(self.misfit_at(core, &Who::Master));
        (only && over > core.now).then_some(over)
    }

    /// When a master that answers is S_DOWN all the same: it says that it is a replica, or it
    /// restarted and does not get ready or lacks data, or takes no writes.
    fn misfit_at(&self, core: &Core, who: &Who) -> Option<Time> {
        match who {
            Who::Replica(_) | Who::Peer(_) => None,
            Who::Master => {
                let (server, settings) = (&self.server, &self.settings);
                let wrong_role = (server.role == Role::Replica)
                    .then(|| server.role_since + settings.down_after + 2 * core.timing.info_period);
                let lost_data = self.lost_data().filter(|_| settings.lost_data_failover);
                let rebooted = server.rebooted.map(|at| at + settings.reboot_down_after);
                let refuses = self.write_misfit_at(core);
                sooner(sooner(lost_data, refuses), sooner(wrong_role, rebooted))
            }
        }
    }

    fn set_s_down(&mut self, core: &mut Core, who: &Who) {
        let (now, user) = (core.now, self.user(who.clone()));
        let Some(node) = self.node_mut(who) else {
            return;
        };
        node.s_down = Some(now);
        node.s_down_last = Some(now);
        let link = node.link;
        if let Some(link) = core.links.get_mut(&link) {
            link.down.insert(user);
        }
        self.tell_of(core, "+sdown", who);
        self.s_down_changed(core, who);
    }

    fn clear_s_down(&mut self, core: &mut Core, who: &Who) {
        let user = self.user(who.clone());
        let Some(node) = self.node_mut(who) else {
            return;
        };
        node.s_down = None;
        let link = node.link;
        if let Some(link) = core.links.get_mut(&link) {
            link.down.remove(&user);
        }
        if let Some(server) = self.server_mut(who) {
            server.script_kill_sent = false;
        }
        self.tell_of(core, "-sdown", who);
        self.s_down_changed(core, who);
    }

    fn s_down_changed(&self, core: &mut Core, who: &Who) {
        core.touch(Key::Master(self.id));
        if *who == Who::Master {
            self.touch_servers(core);
        }
    }

    /// Whether this sentinel tells others that the master is down.
    pub(crate) fn says_down(&self, core: &Core) -> bool {
        self.server.node.s_down.is_some() && !core.stall.is_tilt()
    }

    /// Judges O_DOWN. When the next opinion that it rests on runs out.
    pub(crate) fn judge_o_down(&mut self, core: &mut Core) -> Option<Time> {
        if core.stall.is_tilt() {
            return None;
        }
        let age_max = core.timing.opinion_age_max();
        let until = |peer: &Peer| match &peer.opinion {
            Some((at, Opinion { down: true, .. })) => Some(*at + age_max),
            Some((_, Opinion { down: false, .. })) | None => None,
        };
        let agreeing = self.peers.values().filter_map(until);
        let agreeing: Vec<Time> = agreeing.filter(|at| *at > core.now).collect();
        let says = agreeing.len() + 1;
        let early = self.refused_until(core);
        let needed = early
            .map_or(0, |_| self.majority())
            .max(self.quorum as usize);
        let is = self.server.node.s_down.is_some() && says >= needed;
        match (self.o_down, is) {
            (None, true) => {
                self.o_down = Some(core.now);
                let inst = self.inst(&Who::Master);
                let payload = format!("{inst} #quorum {says}/{needed}");
                self.tell(core, "+odown", payload);
            }
            (Some(_), false) => {
                self.o_down = None;
                (self.lost, self.barren) = (0, 0);
                self.tell_of(core, "-odown", &Who::Master);
            }
            (None, false) | (Some(_), true) => {}
        }
        let rests = self.server.node.s_down.is_some();
        sooner(agreeing.into_iter().min(), early).filter(|_| rests)
    }
}
