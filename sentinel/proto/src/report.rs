//! INFO: when it is asked for, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;

use crate::core::Core;
use crate::effect::Command;
use crate::failover::Stage;
use crate::info::{Info, Role};
use crate::instance::{Reconf, Replica};
use crate::link::Purpose;
use crate::master::Master;
use crate::schedule::{Key, Who};

/// Time between two INFO of a server that is not in its place. No INFO is rarer than info-period.
const INFO_PERIOD_ASTRAY: Duration = Duration::from_secs(1);
/// ... of a replica whose master is down: its offset decides; and of a master that loads its data
/// after a restart.
const INFO_PERIOD_MASTER_DOWN: Duration = Duration::from_millis(100);
/// ... of the replica that is becoming master.
const INFO_PERIOD_PROMOTION: Duration = Duration::from_millis(10);
/// ... of a replica that is being led to the master.
const INFO_PERIOD_RECONF: Duration = Duration::from_millis(50);
/// What is expected soon is asked for often only this long.
const EXPECTED_SOON: Duration = Duration::from_secs(10);

impl Master {
    fn info_period(&self, core: &Core, who: &Who) -> Duration {
        let idle = core.timing.info_period;
        let period = match who {
            Who::Master if self.hands_over() => INFO_PERIOD_PROMOTION,
            Who::Master if self.awaits_data() => INFO_PERIOD_MASTER_DOWN,
            Who::Master if self.server.role == Role::Replica => INFO_PERIOD_ASTRAY,
            Who::Master if self.server.node.s_down.is_some() => INFO_PERIOD_ASTRAY,
            // Replicas are found through it.
            Who::Master if self.replicas.is_empty() => INFO_PERIOD_ASTRAY,
            Who::Master => idle,
            Who::Replica(addr) => self
                .replicas
                .get(addr)
                .map_or(idle, |replica| self.replica_period(core, replica)),
            Who::Peer(_) => return Duration::MAX,
        };
        period.min(idle)
    }

    fn replica_period(&self, core: &Core, replica: &Replica) -> Duration {
        let soon = |at: Time, often| {
            let expected = core.age(at) < EXPECTED_SOON;
            if expected { often } else { INFO_PERIOD_ASTRAY }
        };
        let in_place = replica.server.role == Role::Replica
            && replica.follows.as_ref() == Some(self.addr())
            && replica.info().is_some_and(|info| info.master_link_up);
        let stage = self
            .failover()
            .map(|failover| (&failover.stage, failover.since));
        match (stage, replica.reconf, self.server.node.s_down) {
            (Some((Stage::WaitPromotion { to, .. }, _)), _, _)
                if *to == replica.server.node.addr =>
            {
                INFO_PERIOD_PROMOTION
            }
            (Some((Stage::ReconfSlaves, _)), Reconf::Sent(at) | Reconf::InProgress(at), _) => {
                soon(at, INFO_PERIOD_RECONF)
            }
            (_, _, Some(down)) => soon(down, INFO_PERIOD_MASTER_DOWN),
            (Some((Stage::SelectSlave { .. } | Stage::WaitStart { .. }, since)), _, None) => {
                soon(since, INFO_PERIOD_MASTER_DOWN)
            }
            (Some(_) | None, _, None) if in_place => core.timing.info_period,
            (Some(_) | None, _, None) => INFO_PERIOD_ASTRAY,
        }
    }

    /// Asks for INFO when it is due. When the next one is.
    pub(crate) fn info_if_due(&mut self, core: &mut Core, who: &Who) -> Option<Time> {
        let server = self.server_of(who)?;
        if core.link(server.node.link)?.waits_for(server.info_command) {
            return None;
        }
        let period = self.info_period(core, who);
        let due = server.info_sent.map(|at| at + period);
        if due.is_some_and(|at| at > core.now) {
            return due;
        }
        self.ask_info_now(core, who);
        let server = self.server_of(who)?;
        let sent = core.link(server.node.link)?.waits_for(server.info_command);
        (!sent).then_some(core.now + INFO_PERIOD_ASTRAY)
    }

    /// Asks for INFO, behind whatever is in flight.
    pub(crate) fn ask_info_now(&mut self, core: &mut Core, who: &Who) {
        let now = core.now;
        let Some(server) = self.server_mut(who) else {
            return;
        };
        let sent = core.send(server.node.link, Purpose::Info, Command::Info);
        // A full link takes nothing, and looking again at once would not change that.
        if sent.is_some() {
            server.info_sent = Some(now);
            server.info_command = sent;
            core.touch(Key::Node(self.id, who.clone()));
        }
    }

    /// INFO came.
    pub(crate) fn informed(&mut self, core: &mut Core, who: &Who, info: Arc<Info>) {
        core.touch(Key::Node(self.id, who.clone()));
        if self.failover().is_some() || self.restart.is_some() {
            core.touch(Key::Master(self.id));
        }
        self.note_run_id(core, who, &info);
        if *who == Who::Master {
            self.note_trouble(core.awake(), &info);
            self.meet_replicas(core, &info.replicas);
        }
        let now = core.now;
        let follows = info.master.as_ref().map(|addr| self.known(core, addr));
        if let Some(addr) = &follows
            && core.hosts.is_unknown(addr.host())
        {
            core.resolve(addr.host());
        }
        if let Who::Replica(addr) = who
            && let Some(replica) = self.replicas.get_mut(addr)
            && info.role == Role::Replica
            && replica.follows != follows
        {
            replica.follows = follows;
            replica.follows_since = now;
        }
        if let Who::Replica(addr) = who {
            self.keep_data(addr, &info);
        }
        let role = info.role;
        if let Some(server) = self.server_mut(who) {
            server.info = Some((now, info));
        }
        self.note_role(core, who, role);
        if core.stall.is_tilt() {
            return;
        }
        match who {
            Who::Master => self.act_on_master_info(core, role),
            Who::Replica(addr) => self.act_on_replica_info(core, addr, role),
            Who::Peer(_) => {}
        }
    }

    fn note_run_id(&mut self, core: &mut Core, who: &Who, info: &Info) {
        let counts = *who == Who::Master && !self.settings.reboot_down_after.is_zero();
        let now = core.now;
        let Some(server) = self.server_mut(who) else {
            return;
        };
        if info.run_id.is_empty() || server.run_id == info.run_id {
            return;
        }
        let known = !server.run_id.is_empty();
        server.run_id.clone_from(&info.run_id);
        if known {
            if counts {
                server.rebooted = Some(now);
            }
            self.tell_of(core, "+reboot", who);
            if *who == Who::Master {
                self.note_restart(core);
                self.forget_refusals();
            }
        }
        core.touch(Key::Master(self.id));
    }

    fn note_role(&mut self, core: &mut Core, who: &Who, role: Role) {
        let now = core.now;
        let configured = match who {
            Who::Master => Role::Master,
            Who::Replica(_) | Who::Peer(_) => Role::Replica,
        };
        let Some(server) = self.server_mut(who) else {
            return;
        };
        if server.role == role {
            return;
        }
        server.role = role;
        server.role_since = now;
        let event = if role == configured {
            "+role-change"
        } else {
            "-role-change"
        };
        let name = match role {
            Role::Master => "master",
            Role::Replica => "slave",
        };
        let payload = format!("{} new reported role is {name}", self.inst(who));
        self.tell(core, event, payload);
        core.touch(Key::Master(self.id));
    }

    /// The master spoke: replicas that say they are masters can be judged by it.
    fn act_on_master_info(&mut self, core: &mut Core, role: Role) {
        if role == Role::Replica {
            return;
        }
        let claims = |replica: &&Replica| replica.server.role == Role::Master;
        let claimants = self.replicas.values().filter(claims);
        let claimants: Vec<Addr> = claimants.map(|it| it.server.node.addr.clone()).collect();
        for addr in claimants {
            let chosen = self.failover().and_then(|failover| failover.chosen());
            if chosen != Some(&addr) {
                self.convert_if_due(core, &addr);
            }
        }
    }

    fn act_on_replica_info(&mut self, core: &mut Core, addr: &Addr, role: Role) {
        if role == Role::Replica {
            self.follow_reconf(core, addr);
            self.fix_if_due(core, addr);
            return;
        }
        if self.hands_over() {
            // Judged together with what the master says.
            return core.touch(Key::Master(self.id));
        }
        let stage = self.failover().map(|failover| &failover.stage);
        if let Some(Stage::WaitPromotion { to, until, .. }) = stage
            && to == addr
            && core.now < *until
        {
            return self.promoted(core, addr);
        }
        if self.failover().and_then(|failover| failover.chosen()) == Some(addr) {
            return;
        }
        self.judge_returned(core, addr);
    }
}

#[cfg(test)]
mod tests {
    use codis_core::epoch::Epoch;

    use super::*;
    use crate::ids::{CommandId, SentinelId};
    use crate::input::Channel;
    use crate::schedule::MasterId;
    use crate::settings::{MasterSettings, Settings};

    /// A link that takes no more commands leaves its instance alone until later: to touch it again
    /// in the same sweep would never end.
    #[test]
    fn a_full_link_is_not_asked_in_a_circle() {
        let now = Time::from_millis(100_000);
        let settings = Settings {
            myid: SentinelId::new("me"),
            announce_port: 1,
            announce_ip: None,
            seed: 1,
        };
        let mut core = Core::new(now, settings, Epoch::ZERO);
        let addr = Addr::new("m", 1);
        let settings = MasterSettings::default();
        let mut master = Master::new(&mut core, MasterId(1), "demo", addr, 2, settings);
        let link = core.links.get_mut(&master.server.node.link).unwrap();
        link.sweep(now, Duration::ZERO, &mut core.out);
        link.connected(now, Channel::Command, "ip".into());
        link.pending = (1000..1200)
            .map(|id| (CommandId(id), Purpose::ScriptKill))
            .collect();
        while core.schedule.pop_touched().is_some() {}
        let next = master.sweep_node(&mut core, &Who::Master);
        let touched = std::iter::from_fn(|| core.schedule.pop_touched());
        let again = touched.filter(|key| matches!(key, Key::Node(..)));
        assert_eq!(again.count(), 0);
        assert!(next.is_some_and(|at| at > now));
    }
}
