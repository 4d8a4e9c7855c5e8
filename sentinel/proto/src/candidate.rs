//! The choice of the replica to promote, and the reason for every refusal.

use std::cmp::Reverse;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_core::topology::Refusal;

use crate::core::Core;
use crate::info::Role;
use crate::instance::Replica;
use crate::master::Master;

/// Its link to the master was lost no longer before the master's S_DOWN, in down-afters.
const LINK_DOWN_AFTERS: u32 = 10;

/// Candidates in order, best first: one that follows rather than one that says it is a master, the
/// lower priority number, the higher offset, the smaller run id.
pub(crate) type Rank = (bool, u32, Reverse<u64>, bool, String);

impl Master {
    /// Whether every replica that can be reached has told its state since `since`.
    pub(crate) fn replicas_are_fresh(&self, core: &Core, since: Time) -> bool {
        self.replicas.values().all(|replica| {
            let node = &replica.server.node;
            let reachable = core.link_is_up(node.link) && node.s_down.is_none();
            let told = replica
                .server
                .info
                .as_ref()
                .is_some_and(|(at, _)| *at >= since);
            told || !reachable
        })
    }

    /// Chooses the best replica, or judges the one that an operator named. Keeps the refusals.
    pub(crate) fn choose(&mut self, core: &Core, target: Option<&Addr>) -> Option<Addr> {
        let mut refused = Vec::new();
        let mut fit = Vec::new();
        for (addr, replica) in &self.replicas {
            if target.is_some_and(|target| target != addr) {
                continue;
            }
            match self.refusal(core, replica) {
                Some(reason) => refused.push(Refusal {
                    addr: core.hosts.shown(addr),
                    reason,
                }),
                None => fit.push((self.rank(replica), addr)),
            }
        }
        let best = fit.into_iter().min().map(|(_, addr)| addr.clone());
        self.refused = refused;
        let epoch = self.failover().map(|failover| failover.epoch);
        self.refused_at = Some((core.now, epoch.unwrap_or(core.current_epoch)));
        best
    }

    /// Why a replica may not be promoted now: the first reason.
    pub(crate) fn refusal(&self, core: &Core, replica: &Replica) -> Option<String> {
        self.refusals(core, replica).into_iter().next()
    }

    /// All the reasons why a replica may not be promoted now.
    pub(crate) fn refusals(&self, core: &Core, replica: &Replica) -> Vec<String> {
        let node = &replica.server.node;
        let mut reasons = Vec::new();
        if node.s_down.is_some() {
            reasons.push("it is subjectively down".into());
        }
        if !core.link_is_up(node.link) {
            reasons.push("it is disconnected".into());
        }
        if replica.failed_until.is_some_and(|until| core.now < until) {
            reasons.push("it did not become master when it was told to".into());
        }
        let silence = core.awake().since(node.silent_since(core));
        if silence > core.timing.silence_max() {
            reasons.push(format!("it has not answered PING for {}", text(silence)));
        }
        self.refuse_by_info(core, replica, &mut reasons);
        reasons
    }

    fn refuse_by_info(&self, core: &Core, replica: &Replica, reasons: &mut Vec<String>) {
        let Some((info, age)) = replica.info().zip(replica.server.info_age(core)) else {
            return reasons.push("it has not answered INFO yet".into());
        };
        if info.loading {
            reasons.push("it is loading its data".into());
        }
        reasons.extend(self.refusal_by_data(core, replica));
        reasons.extend(self.refusal_by_trouble(core, info.trouble));
        if info.priority == 0 {
            reasons.push("its priority is 0".into());
        }
        let s_down = self.server.node.s_down;
        let age_max = if s_down.is_some() {
            core.timing.silence_max()
        } else {
            3 * core.timing.info_period
        };
        if age > age_max {
            reasons.push(format!("its INFO is {} old", text(age)));
        }
        let former = self.former.contains(&replica.server.node.addr);
        if info.role == Role::Master && former && !self.follows(&replica.server.node.addr) {
            reasons.push("it was master in an earlier epoch and still says so".into());
        }
        let down_for = s_down.map_or(Duration::ZERO, |at| core.age(at));
        let link_max =
            down_for.max(self.idle_for(core)) + self.settings.down_after * LINK_DOWN_AFTERS;
        let link_down = Duration::from_millis(info.master_link_down_ms.max(0).unsigned_abs());
        if link_down > link_max {
            let span = text(link_down);
            reasons.push(format!("its link to the master has been down for {span}"));
        }
    }
}

impl Master {
    /// Whether the master says that it follows `addr`: then that one has all that the master has.
    fn follows(&self, addr: &Addr) -> bool {
        let info = self.server.info.as_ref().map(|(_, info)| info);
        info.is_some_and(|info| info.role == Role::Replica && info.master.as_ref() == Some(addr))
    }

    /// The place of a replica among those that are fit.
    pub(crate) fn rank(&self, replica: &Replica) -> Rank {
        let run_id = replica.server.run_id.to_ascii_lowercase();
        let (master, priority) = replica.info().map_or((true, u32::MAX), |info| {
            (info.role == Role::Master, info.priority)
        });
        let offset = Reverse(self.offset_of(replica));
        (master, priority, offset, run_id.is_empty(), run_id)
    }

    /// For how long the master may have been taking no writes because it is a replica itself: no
    /// replica has missed anything in that time.
    fn idle_for(&self, core: &Core) -> Duration {
        match self.server.role {
            Role::Master => Duration::ZERO,
            Role::Replica => core.age(self.server.role_since) + core.timing.info_period,
        }
    }
}

fn text(span: Duration) -> String {
    format!("{} ms", span.as_millis())
}

#[cfg(test)]
mod tests;
