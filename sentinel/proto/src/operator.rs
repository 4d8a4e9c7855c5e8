//! Orders of an operator.

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::effect::Auth;
use crate::epochs::is_plausible;
use crate::failover::Course;
use crate::info::HandOver;
use crate::link::Pace;
use crate::machine::{Machine, OrderError};
use crate::master::Master;
use crate::schedule::{Key, MasterId, Who};
use crate::settings::MasterSettings;
use crate::timing::Timing;

impl Machine {
    /// Starts to monitor a master with default settings. An address that the name had when it was
    /// removed has the epoch of that time again; any other has none, for no election chose it, and
    /// the first hello of a peer that knows better corrects it. No vote is given at an epoch at or
    /// below the present one.
    pub fn monitor(
        &mut self,
        now: Time,
        name: &str,
        addr: Addr,
        quorum: u32,
    ) -> Result<(), OrderError> {
        self.enter(now);
        if self.names.contains_key(name) {
            return Err(OrderError::DuplicateMaster);
        }
        let removed = self.core.removed.remove(name);
        let known = removed.filter(|(_, was)| self.core.hosts.same(was, &addr));
        let settings = MasterSettings {
            down_after: self.core.timing.default_down_after,
            failover_timeout: self.core.timing.default_failover_timeout,
            ..MasterSettings::default()
        };
        let id = self.add_master(name, addr, quorum, settings);
        let again = self.core.floors.contains_key(name);
        self.core.floors.entry(name.to_owned()).or_default();
        if let Some(master) = self.masters.get_mut(&id) {
            master.addr_by_operator = known.is_none();
            master.config_epoch = known.map_or(Epoch::ZERO, |(epoch, _)| epoch);
            if again {
                master.vote.epoch = self.core.current_epoch;
            }
            master.tell_monitor(&mut self.core);
        }
        self.core.disk.want();
        self.settle();
        Ok(())
    }

    /// Stops monitoring a master.
    pub fn remove(&mut self, now: Time, name: &str) -> Result<(), OrderError> {
        self.enter(now);
        let id = self.names.remove(name).ok_or(OrderError::NoSuchMaster)?;
        if let Some(mut master) = self.masters.remove(&id) {
            master.tell_of(&mut self.core, "-monitor", &Who::Master);
            self.core.raise_floor(name, master.config_epoch);
            let pair = (master.config_epoch, master.addr().clone());
            self.core.removed.insert(name.to_owned(), pair);
            master.close(&mut self.core);
        }
        self.repace();
        self.core.disk.want();
        self.settle();
        Ok(())
    }

    /// Replaces the settings and the quorum of a master; `changes` are the texts of the `+set`
    /// events, one each.
    pub fn set(
        &mut self,
        now: Time,
        name: &str,
        settings: MasterSettings,
        quorum: u32,
        changes: &[String],
    ) -> Result<(), OrderError> {
        self.enter(now);
        let id = *self.names.get(name).ok_or(OrderError::NoSuchMaster)?;
        if let Some(master) = self.masters.get_mut(&id) {
            let before = std::mem::replace(&mut master.settings, settings);
            master.quorum = quorum.max(1);
            let auth = |it: &MasterSettings| (it.auth_user.clone(), it.auth_pass.clone());
            if auth(&before) != auth(&master.settings) {
                master.greet_anew(&mut self.core);
            }
            if before.down_after != master.settings.down_after {
                master.watch_anew(&mut self.core);
            }
            if before.write_check != master.settings.write_check {
                master.forget_writes(&mut self.core, false);
            }
            for change in changes {
                let payload = format!("{} {change}", master.inst(&Who::Master));
                master.tell(&mut self.core, "+set", payload);
            }
        }
        self.repace();
        self.core.touch(Key::Master(id));
        self.core.disk.want();
        self.settle();
        Ok(())
    }

    /// Raises the epoch floor of a name, monitored or not. The config epoch follows only while the
    /// address is the one that an operator gave: the address of a lower epoch that sentinels agreed
    /// on does not become the address of a higher one. A floor that cannot be is ignored
    /// ([`crate::epochs`]).
    pub fn raise_epoch_floor(&mut self, now: Time, name: &str, epoch: Epoch) {
        if !is_plausible(epoch, self.core.current_epoch) {
            return;
        }
        self.enter(now);
        self.core.raise_floor(name, epoch);
        let id = self.names.get(name);
        if let Some(master) = id.and_then(|id| self.masters.get_mut(id))
            && master.addr_by_operator
            && master.failover().is_none()
        {
            master.config_epoch = master.config_epoch.max(epoch);
            self.core.touch(Key::Master(master.id));
        }
        self.core.disk.want();
        self.settle();
    }

    /// Changes what hellos announce from now on; without an address, the local one of each link.
    pub fn announce(&mut self, now: Time, ip: Option<String>, port: u16) {
        self.enter(now);
        self.core.settings.announce_ip = ip;
        self.core.settings.announce_port = port;
        self.settle();
    }

    /// Opens the links of the other sentinels again, because the password changed.
    pub fn greet_sentinels_anew(&mut self, now: Time) {
        self.enter(now);
        let awake = self.core.awake();
        let ids: Vec<_> = self.core.peer_links.values().copied().collect();
        for id in ids {
            if let Some(link) = self.core.links.get_mut(&id) {
                link.close(awake, &mut self.core.out);
                self.core.touch(Key::Link(id));
            }
        }
        for master in self.masters.values() {
            for who in master.everybody() {
                self.core.touch(Key::Node(master.id, who));
            }
        }
        self.settle();
    }

    /// Replaces the time constants, for everything that is under way too.
    pub fn set_timing(&mut self, now: Time, timing: Timing) {
        self.enter(now);
        self.core.timing = timing;
        let latest = self.core.now + self.core.timing.tilt_period;
        self.core.stall.tilt_no_later(latest);
        self.repace();
        self.core.touch(Key::Tilt);
        self.core.touch_links();
        for master in self.masters.values() {
            self.core.touch(Key::Master(master.id));
            for who in master.everybody() {
                self.core.touch(Key::Node(master.id, who));
            }
        }
        self.settle();
    }

    /// Resets the named masters: forgets replicas and sentinels.
    pub fn reset(&mut self, now: Time, names: &[String]) {
        self.enter(now);
        for name in names {
            let id = self.names.get(name);
            if let Some(master) = id.and_then(|id| self.masters.get_mut(id)) {
                master.reset(&mut self.core);
            }
        }
        self.repace();
        self.core.disk.want();
        self.settle();
    }

    /// Starts a failover without O_DOWN, to `to` when given. It still needs the votes of a
    /// majority: two that are ordered at two sentinels must not share an epoch.
    pub fn failover(&mut self, now: Time, name: &str, to: Option<Addr>) -> Result<(), OrderError> {
        self.order_failover(now, name, to, false)
    }

    /// The same, but the master hands over by itself, and no write is lost (module `handover`).
    pub fn hand_over(&mut self, now: Time, name: &str, to: Option<Addr>) -> Result<(), OrderError> {
        self.order_failover(now, name, to, true)
    }

    fn order_failover(
        &mut self,
        now: Time,
        name: &str,
        to: Option<Addr>,
        coordinated: bool,
    ) -> Result<(), OrderError> {
        self.enter(now);
        let id = *self.names.get(name).ok_or(OrderError::NoSuchMaster)?;
        let Some(master) = self.masters.get_mut(&id) else {
            return Err(OrderError::NoSuchMaster);
        };
        let info = master.server.info.as_ref();
        let able = info.is_some_and(|(_, info)| info.hand_over != HandOver::Unsupported);
        if coordinated && !able {
            return Err(OrderError::NoGoodPrimary);
        }
        if master.forgot_votes {
            return Err(OrderError::Rejoining);
        }
        if master.failover().is_some() {
            return Err(OrderError::FailoverInProgress);
        }
        let to = to.map(|addr| master.known(&self.core, &addr));
        let refusal = to.clone().and_then(|addr| {
            let reason = match master.replicas.get(&addr) {
                Some(replica) => master.refusal(&self.core, replica)?,
                None => "it is not a known replica".into(),
            };
            Some(OrderError::BadCandidate { addr, reason })
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if master.choose(&self.core, to.as_ref()).is_none() {
            return Err(OrderError::NoGoodReplica);
        }
        master.stand(&mut self.core, true, to);
        if let Course::Failover(failover) = &mut master.course {
            failover.coordinated = coordinated;
        }
        self.core.touch(Key::Master(id));
        self.settle();
        Ok(())
    }

    /// Asks for the whole state to be written (FLUSHCONFIG).
    pub fn flush(&mut self, now: Time) {
        self.enter(now);
        self.core.disk.want();
        self.settle();
    }

    /// Adds a master to the tables.
    pub(crate) fn add_master(
        &mut self,
        name: &str,
        addr: Addr,
        quorum: u32,
        settings: MasterSettings,
    ) -> MasterId {
        self.master_last += 1;
        let id = MasterId(self.master_last);
        let master = Master::new(&mut self.core, id, name, addr, quorum, settings);
        self.masters.insert(id, master);
        self.names.insert(name.to_owned(), id);
        id
    }

    /// Probes each link at the pace of its most demanding user.
    pub(crate) fn repace(&mut self) {
        for link in self.core.links.values_mut() {
            let masters = link.users.iter().filter_map(|(id, _)| self.masters.get(id));
            let Some(down_after) = masters.map(|it| it.settings.down_after).min() else {
                continue;
            };
            let pace = Pace::of(down_after, &self.core.timing);
            if link.pace != pace {
                link.pace = pace;
                self.core.schedule.touch(Key::Link(link.id));
            }
        }
    }
}

impl Master {
    /// Tells that the master is monitored.
    pub(crate) fn tell_monitor(&self, core: &mut crate::core::Core) {
        let inst = self.inst(&Who::Master);
        self.tell(core, "+monitor", format!("{inst} quorum {}", self.quorum));
    }

    /// Opens the links of the servers again, with the present password.
    fn greet_anew(&self, core: &mut crate::core::Core) {
        let (awake, servers) = (core.awake(), self.replicas.values().map(|it| &it.server));
        for server in std::iter::once(&self.server).chain(servers) {
            let id = server.node.link;
            if let Some(link) = core.links.get_mut(&id) {
                link.auth = Auth::Data {
                    user: self.settings.auth_user.clone(),
                    pass: self.settings.auth_pass.clone(),
                };
                link.close(awake, &mut core.out);
                core.touch(Key::Link(id));
            }
        }
        self.touch_servers(core);
    }

    /// Another down-after counts from now, for everybody that is not S_DOWN: PINGs were sent at
    /// the pace of the former one.
    fn watch_anew(&mut self, core: &mut crate::core::Core) {
        let awake = core.awake();
        for who in self.everybody() {
            if let Some(node) = self.node_mut(&who)
                && node.s_down.is_none()
            {
                node.watched_since = awake;
            }
            core.touch(Key::Node(self.id, who));
        }
    }

    fn reset(&mut self, core: &mut crate::core::Core) {
        for who in self.everybody() {
            self.forget(core, &who);
        }
        if let Some(link) = core.links.get_mut(&self.server.node.link) {
            link.down.clear();
        }
        self.server.run_id.clear();
        self.server.change_role(core, crate::info::Role::Master);
        self.o_down = None;
        self.course = Course::Idle;
        self.forget_restart(core);
        self.forget_writes(core, false);
        self.vote.leader = None;
        self.passive_until = core.now;
        (self.lost, self.barren) = (0, 0);
        self.refused.clear();
        self.forgotten.clear();
        self.refused_at = None;
        self.tell_of(core, "+reset-master", &Who::Master);
        core.touch(Key::Master(self.id));
        self.touch_servers(core);
    }
}
