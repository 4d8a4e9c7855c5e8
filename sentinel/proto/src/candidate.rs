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
use crate::report::INFO_PERIOD;

/// The last proof of life of a candidate is no older, nor its INFO when the master is S_DOWN.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Its link to the master was lost no longer before the master's S_DOWN, in down-afters.
const LINK_DOWN_AFTERS: u32 = 10;

/// Candidates in order, best first: one that follows rather than one that says it is a master, the
/// lower priority number, the higher offset, the smaller run id.
type Rank = (bool, u32, Reverse<u64>, bool, String);

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
                    addr: addr.clone(),
                    reason,
                }),
                None => fit.push((rank(replica), addr)),
            }
        }
        let best = fit.into_iter().min().map(|(_, addr)| addr.clone());
        self.refused = refused;
        best
    }

    /// Why a replica may not be promoted now.
    pub(crate) fn refusal(&self, core: &Core, replica: &Replica) -> Option<String> {
        let node = &replica.server.node;
        if node.s_down.is_some() {
            return Some("it is subjectively down".into());
        }
        if !core.link_is_up(node.link) {
            return Some("it is disconnected".into());
        }
        if replica.failed_until.is_some_and(|until| core.now < until) {
            return Some("it did not become master when it was told to".into());
        }
        let silence = core.awake().since(node.silent_since(core));
        if silence > SILENCE_MAX {
            return Some(format!("it has not answered PING for {}", text(silence)));
        }
        self.refusal_by_info(core, replica)
    }

    fn refusal_by_info(&self, core: &Core, replica: &Replica) -> Option<String> {
        let Some((info, age)) = replica.info().zip(replica.server.info_age(core)) else {
            return Some("it has not answered INFO yet".into());
        };
        if info.priority == 0 {
            return Some("its priority is 0".into());
        }
        let s_down = self.server.node.s_down;
        let age_max = if s_down.is_some() {
            SILENCE_MAX
        } else {
            3 * INFO_PERIOD
        };
        if age > age_max {
            return Some(format!("its INFO is {} old", text(age)));
        }
        if info.role == Role::Master && self.former.contains(&replica.server.node.addr) {
            return Some("it was master in an earlier epoch and still says so".into());
        }
        let down_for = s_down.map_or(Duration::ZERO, |at| core.age(at));
        let link_max = down_for + self.settings.down_after * LINK_DOWN_AFTERS;
        let link_down = Duration::from_millis(info.master_link_down_ms.max(0).unsigned_abs());
        if link_down > link_max {
            let span = text(link_down);
            return Some(format!("its link to the master has been down for {span}"));
        }
        None
    }
}

fn rank(replica: &Replica) -> Rank {
    let run_id = replica.server.run_id.to_ascii_lowercase();
    let (master, priority, offset) = replica.info().map_or((true, u32::MAX, 0), |info| {
        (info.role == Role::Master, info.priority, info.offset)
    });
    (master, priority, Reverse(offset), run_id.is_empty(), run_id)
}

fn text(span: Duration) -> String {
    format!("{} ms", span.as_millis())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::SentinelId;
    use crate::info::Info;
    use crate::input::Channel;
    use crate::schedule::MasterId;
    use crate::settings::{MasterSettings, Settings};

    const NOW: Time = Time::from_millis(100_000);

    /// A master that is S_DOWN for a second, with replicas h1.. that tell these INFO.
    fn case(infos: &[&str]) -> (Core, Master) {
        let settings = Settings {
            myid: SentinelId::new("me"),
            announce_port: 1,
            announce_ip: None,
            seed: 1,
        };
        let mut core = Core::new(NOW, settings, codis_core::epoch::Epoch::ZERO);
        let down_after = Duration::from_secs(1);
        let settings = MasterSettings {
            down_after,
            ..MasterSettings::default()
        };
        let addr = Addr::new("m", 1);
        let mut master = Master::new(&mut core, MasterId(1), "demo", addr, 2, settings);
        master.server.node.s_down = Some(NOW.before(down_after));
        for (n, info) in infos.iter().enumerate() {
            let addr = Addr::new(format!("h{}", n + 1), 1);
            master.add_replica(&mut core, &addr);
            let server = &mut master.replicas.get_mut(&addr).unwrap().server;
            let info = Info::parse(info);
            server.run_id.clone_from(&info.run_id);
            server.info = Some((NOW, Arc::new(info)));
            let link = core.links.get_mut(&server.node.link).unwrap();
            link.sweep(NOW, Duration::ZERO, &mut core.out);
            link.connected(NOW, Channel::Command, "ip".into());
        }
        (core, master)
    }

    #[test]
    fn the_best_replica_wins_in_the_order_of_the_rules() {
        let table: [(&[&str], &str); 6] = [
            (
                &[
                    "role:slave\nslave_repl_offset:5",
                    "role:slave\nslave_repl_offset:9",
                ],
                "h2",
            ),
            (
                &[
                    "role:slave\nslave_priority:10\nslave_repl_offset:5",
                    "role:slave\nslave_repl_offset:9",
                ],
                "h1",
            ),
            (&["role:slave\nrun_id:B", "role:slave\nrun_id:a"], "h2"),
            (&["role:slave", "role:slave\nrun_id:a"], "h2"),
            (
                &[
                    "role:slave\nslave_priority:0",
                    "role:slave\nslave_priority:200",
                ],
                "h2",
            ),
            (
                &[
                    "role:master\nmaster_repl_offset:99",
                    "role:slave\nslave_repl_offset:1",
                ],
                "h2",
            ),
        ];
        for (infos, expected) in table {
            let (core, mut master) = case(infos);
            let chosen = master.choose(&core, None).unwrap();
            assert_eq!(chosen.host(), expected, "{infos:?}");
        }
    }

    #[test]
    fn every_refusal_has_its_reason() {
        type Spoil = fn(&mut Core, &mut Master);
        fn replica(master: &mut Master) -> &mut Replica {
            master.replicas.get_mut(&Addr::new("h1", 1)).unwrap()
        }
        let table: [(Spoil, &str); 8] = [
            (
                |_, m| replica(m).server.node.s_down = Some(NOW),
                "it is subjectively down",
            ),
            (
                |core, m| {
                    let link = replica(m).server.node.link;
                    core.links
                        .get_mut(&link)
                        .unwrap()
                        .lost(NOW, Channel::Command);
                },
                "it is disconnected",
            ),
            (
                |core, _| core.now = NOW + Duration::from_millis(5001),
                "it has not answered PING for 5001 ms",
            ),
            (
                |_, m| replica(m).server.info = None,
                "it has not answered INFO yet",
            ),
            (
                |_, m| {
                    let info = replica(m).server.info.take().unwrap().1;
                    replica(m).server.info = Some((NOW.before(Duration::from_secs(6)), info));
                },
                "its INFO is 6000 ms old",
            ),
            (
                |_, m| {
                    let info = "role:slave\nmaster_link_down_since_seconds:12\n";
                    replica(m).server.info = Some((NOW, Arc::new(Info::parse(info))));
                },
                "its link to the master has been down for 12000 ms",
            ),
            (
                |_, m| {
                    m.former.insert(Addr::new("h1", 1));
                    let info = "role:master\n";
                    replica(m).server.info = Some((NOW, Arc::new(Info::parse(info))));
                },
                "it was master in an earlier epoch and still says so",
            ),
            (
                |_, m| replica(m).failed_until = Some(NOW + Duration::from_secs(1)),
                "it did not become master when it was told to",
            ),
        ];
        for (spoil, reason) in table {
            let (mut core, mut master) = case(&["role:slave\n"]);
            assert!(master.choose(&core, None).is_some());
            spoil(&mut core, &mut master);
            assert_eq!(master.choose(&core, None), None, "{reason}");
            assert_eq!(master.refused[0].reason, reason);
        }
    }
}
