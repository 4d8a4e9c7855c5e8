//! Down detection under watch: nothing is S_DOWN sooner than down-after after its last proof of
//! life, counted on the sentinel's clock without the time in which its process could not hear; and
//! nothing is judged in TILT.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_sentinel_proto::event::Event;
use codis_sentinel_proto::ids::CommandId;
use codis_sentinel_proto::info::Role;
use codis_sentinel_proto::settings::WriteCheck;
use codis_sentinel_proto::{PingReply, Reply, WriteProbe};

use super::Rule;
use crate::plan::Plan;

/// What a machine may miss of a stall: it notices it from the first call that does not come, and
/// a machine is called every 100 ms; and it passes over what is no more than the jitter of timers.
const STALL_UNSEEN: Duration = Duration::from_millis(130);

/// What no sentinel may say in TILT.
const JUDGEMENTS: [&str; 5] = [
    "+sdown",
    "+odown",
    "+try-failover",
    "+elected-leader",
    "+selected-slave",
];

/// The observer.
#[derive(Debug)]
pub struct Judgement {
    down_after: Duration,
    refused_after: Duration,
    majority: usize,
    write_check: WriteCheck,
    sentinels: Vec<Heard>,
}

/// What one process could know.
#[derive(Debug, Default)]
struct Heard {
    started: Time,
    tilt: bool,
    /// Its clock stood still for it, all in all, and how often.
    lost: Duration,
    stalls: u32,
    stalled: Option<Time>,
    pings: BTreeMap<CommandId, Addr>,
    proofs: BTreeMap<Addr, Proof>,
    /// Servers whose last INFO said that they are replicas.
    replicas: BTreeMap<Addr, bool>,
    /// Masters that it has accused of having lost data, at some time.
    accused: BTreeSet<Addr>,
    /// Servers that have refused writes, at some time.
    refused: BTreeSet<Addr>,
}

/// The last proof of life of an address: when on the clock, after which losses.
#[derive(Clone, Copy, Debug)]
struct Proof {
    at: Time,
    lost: Duration,
    stalls: u32,
}

impl Judgement {
    /// An observer of the sentinels of a plan.
    pub fn new(plan: &Plan) -> Self {
        Self {
            down_after: plan.down_after,
            refused_after: plan.refused_after,
            majority: plan.sentinels / 2 + 1,
            write_check: plan.write_check,
            sentinels: (0..plan.sentinels).map(|_| Heard::default()).collect(),
        }
    }

    /// A process starts.
    pub fn on_start(&mut self, who: usize, local: Time) {
        self.sentinels[who] = Heard {
            started: local,
            ..Heard::default()
        };
    }

    /// A process stops, or its clock does.
    pub fn on_stall(&mut self, who: usize, local: Time) {
        self.sentinels[who].stalled.get_or_insert(local);
    }

    /// It goes on.
    pub fn on_resume(&mut self, who: usize, local: Time) {
        let heard = &mut self.sentinels[who];
        if let Some(since) = heard.stalled.take() {
            heard.lost += local.since(since);
            heard.stalls += 1;
        }
    }

    /// A PING leaves.
    pub fn on_ping(&mut self, who: usize, command: CommandId, addr: &Addr) {
        self.sentinels[who].pings.insert(command, addr.clone());
    }

    /// A reply reaches the process.
    pub fn on_reply(
        &mut self,
        who: usize,
        local: Time,
        command: CommandId,
        from: Option<&Addr>,
        reply: &Reply,
    ) {
        let heard = &mut self.sentinels[who];
        match (reply, from) {
            (Reply::Ping(PingReply::Pong | PingReply::Loading | PingReply::MasterDown), _) => {
                if let Some(addr) = heard.pings.remove(&command) {
                    let proof = Proof {
                        at: local,
                        lost: heard.lost,
                        stalls: heard.stalls,
                    };
                    heard.proofs.insert(addr, proof);
                }
            }
            (Reply::Info(Some(info)), Some(addr)) => {
                let is_replica = info.role == Role::Replica;
                heard.replicas.insert(addr.clone(), is_replica);
                if info.trouble.append_failed {
                    heard.refused.insert(addr.clone());
                }
            }
            (
                Reply::Ping(PingReply::Misconf) | Reply::WriteProbed(WriteProbe::Refused(_)),
                Some(addr),
            ) => {
                heard.refused.insert(addr.clone());
            }
            _ => {}
        }
    }

    /// A sentinel says what it judges; `may_order` when an operator told it to.
    pub fn on_event(
        &mut self,
        who: usize,
        local: Time,
        event: &Event,
        is_ordered: bool,
    ) -> Result<(), (Rule, String)> {
        match event.name {
            "+tilt" => self.sentinels[who].tilt = true,
            "-tilt" => self.sentinels[who].tilt = false,
            _ => {}
        }
        let name = event.name;
        if self.sentinels[who].tilt && JUDGEMENTS.contains(&name) && !is_ordered {
            let text = format!("s{} says {name} {} in TILT", who + 1, event.payload);
            return Err((Rule::Tilt, text));
        }
        match name {
            "+sdown" => self.judge_s_down(who, local, &event.payload),
            "+odown" => self.judge_o_down(who, local, &event.payload),
            "+master-lost-data" => {
                let accused = addr_of(&event.payload);
                self.sentinels[who].accused.extend(accused);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judge_s_down(&self, who: usize, local: Time, payload: &str) -> Result<(), (Rule, String)> {
        let Some(silent) = self.silent(who, local, payload) else {
            return Ok(());
        };
        let refusals_count = payload.starts_with("master ") && !self.refused_after.is_zero();
        let needed = if refusals_count {
            self.refused_after
        } else {
            self.down_after
        };
        if silent < needed {
            let who = who + 1;
            let text = format!("s{who} calls {payload} down after {silent:?}, not {needed:?}");
            return Err((Rule::EarlyDown, text));
        }
        Ok(())
    }

    /// Before down-after has passed refusals make O_DOWN, and only where a majority sees them.
    fn judge_o_down(&self, who: usize, local: Time, payload: &str) -> Result<(), (Rule, String)> {
        let Some(silent) = self.silent(who, local, payload) else {
            return Ok(());
        };
        let says = payload
            .rsplit(' ')
            .next()
            .and_then(|it| it.split('/').next());
        let says: usize = says.and_then(|it| it.parse().ok()).unwrap_or(0);
        if silent < self.down_after && says < self.majority {
            let who = who + 1;
            let text = format!("s{who} says O_DOWN {payload} after {silent:?}");
            return Err((Rule::EarlyDown, text));
        }
        Ok(())
    }

    /// For how long an instance has not proven life, at most; `None` where something else than
    /// silence may have made it down.
    fn silent(&self, who: usize, local: Time, payload: &str) -> Option<Duration> {
        let heard = &self.sentinels[who];
        let addr = addr_of(payload)?;
        let is_replica = heard.replicas.get(&addr).is_some_and(|is| *is);
        let refused = self.write_check == WriteCheck::Yes && heard.refused.contains(&addr);
        let misfit = is_replica || refused || heard.accused.contains(&addr);
        if misfit && payload.starts_with("master ") {
            return None;
        }
        let start = Proof {
            at: heard.started,
            lost: Duration::ZERO,
            stalls: 0,
        };
        let proof = heard.proofs.get(&addr).copied().unwrap_or(start);
        let silent = local
            .since(proof.at)
            .saturating_sub(heard.lost - proof.lost);
        Some(silent + STALL_UNSEEN * (heard.stalls - proof.stalls))
    }
}

/// The address of the instance that an event is about.
pub fn addr_of(payload: &str) -> Option<Addr> {
    let mut words = payload.split(' ').skip(2);
    let host = words.next()?;
    let port = words.next()?.parse().ok()?;
    Some(Addr::new(host, port))
}
