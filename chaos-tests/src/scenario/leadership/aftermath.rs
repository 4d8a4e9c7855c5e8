//! What a run left to judge.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;

use crate::checker;
use crate::cluster::Cluster;
use crate::events::{Event, Events};
use crate::scenario::judge::{self, Exposure, Limit, millis};
use crate::scenario::timeline::{Moment, Story};
use crate::scenario::{Failover, Report, Scenario, Succession};
use crate::workload::History;

use super::moves::MOVING;
use super::{Blow, Cast, Recovery, Return};

/// How much later than the lease a standby may lead: it looks twice a second, and then reads the
/// records.
const TAKEOVER_MARGIN: Duration = Duration::from_secs(1);
/// In a directory a lease lasts 5 % longer, from when the standby saw its last renewal, which may
/// take it half a second.
const LEASE_GRACE: f64 = 1.05;
const SIGHT_MAX: Duration = Duration::from_millis(500);
/// How long all slots may take to arrive after the standby leads.
const ARRIVE_MAX: Duration = Duration::from_secs(60);
/// How long a dashboard that returned may take to know that it stands by.
const STAND_BY_MAX: Duration = Duration::from_secs(5);

/// Everything that a run left to judge.
pub struct Aftermath {
    pub scenario: Scenario,
    pub cast: Cast,
    pub blow: Blow,
    pub recovery: Recovery,
    pub returned: Return,
    pub history: History,
    pub lists: BTreeMap<String, Vec<u64>>,
}

impl Aftermath {
    /// The verdict.
    pub fn report(&self, cluster: &Cluster, events: &Events) -> Report {
        let events = events.since(self.blow.at);
        let failover = self.failover();
        let story = failover.as_ref().map(|(old, new, monitor)| Story {
            group: self.cast.course.from,
            monitor,
            fault: self.blow.at,
            old,
            new,
            history: &self.history,
            events: &events,
        });
        let findings = checker::check(&self.history, &self.lists);
        let errors = judge::errors(&self.history, &self.exposure(cluster));
        let mut limits = self.leader_limits(cluster);
        if let Some(story) = &story {
            limits.push(judge::resume_limit(
                cluster.planner().settings().down_after,
                self.resume_time(cluster, story),
            ));
        }
        limits.push(judge::errors_limit(&errors));
        limits.extend(judge::data_limits(&findings));
        limits.extend(self.slot_limits());
        limits.extend(self.return_limits());
        Report {
            scenario: self.scenario,
            failover: failover
                .as_ref()
                .map(|(old, new, _)| self.shown_failover(old, new)),
            succession: Some(self.succession()),
            timeline: self.moments(cluster, story.as_ref(), &events),
            operations: self.history.ops().count(),
            errors,
            findings,
            remarks: self
                .returned
                .changed
                .iter()
                .flatten()
                .map(changed)
                .collect(),
            limits,
        }
    }

    fn succession(&self) -> Succession {
        let after = self.recovery.led.as_ref().map_or(0, |(_, term)| term.0);
        Succession {
            old_leader: self.cast.leader.addr.to_string(),
            new_leader: self.cast.heir.to_string(),
            terms: (self.cast.leader.term.0, after),
        }
    }

    /// The killed master, who took over, and the group's name at the sentinels.
    fn failover(&self) -> Option<(Addr, Addr, String)> {
        let (old, ..) = self.blow.master.as_ref()?;
        let group = self.cast.course.from;
        let agreed = self.returned.agreed.as_ref().ok();
        let new = agreed.and_then(|(masters, _)| masters.get(&group));
        let new = new.map_or_else(|| old.clone(), |(new, _)| new.clone());
        let monitor = codis_core::paths::monitor_name(crate::layout::PRODUCT, group);
        Some((old.clone(), new, monitor))
    }

    fn shown_failover(&self, old: &Addr, new: &Addr) -> Failover {
        let (before, after) = self.epochs();
        Failover {
            group: self.cast.course.from,
            old_master: old.to_string(),
            new_master: new.to_string(),
            epochs: (before.0, after.0),
        }
    }

    /// Of the source, before and after.
    fn epochs(&self) -> (Epoch, Epoch) {
        let of = |masters: &crate::cluster::Masters| {
            let held = masters.get(&self.cast.course.from);
            held.map_or(Epoch::ZERO, |(_, epoch)| *epoch)
        };
        let agreed = self.returned.agreed.as_ref();
        let after = agreed.map_or(Epoch::ZERO, |(masters, _)| of(masters));
        (of(&self.cast.before), after)
    }

    /// Requests to the source and for moving slots can have been on their way to the killed master
    /// until its sockets were closed.
    fn exposure(&self, cluster: &Cluster) -> Exposure {
        let mut exposure = Exposure {
            held: Some(MOVING),
            ..Exposure::default()
        };
        if let Some((_, from, gone)) = &self.blow.master {
            let proxies = cluster.layout().proxies();
            exposure.groups = vec![self.cast.course.from, MOVING];
            exposure.from = Some(*from);
            exposure.until = proxies.map(|proxy| (proxy.addr.clone(), *gone)).collect();
        }
        exposure
    }

    /// How long the slower proxy took to write to the source's other slots.
    fn resume_time(&self, cluster: &Cluster, story: &Story<'_>) -> Option<Duration> {
        let (_, killed, _) = self.blow.master.as_ref()?;
        let mut slowest = Duration::ZERO;
        for proxy in cluster.layout().proxies() {
            let first = story.first_write_after(&proxy.addr)?.done;
            slowest = slowest.max(first.saturating_duration_since(*killed));
        }
        Some(slowest)
    }

    fn leader_limits(&self, cluster: &Cluster) -> Vec<Limit> {
        let lease = cluster.planner().settings().leader_lease;
        let (allowed, shown) = if self.scenario.is_freeze() {
            let allowed = lease.mul_f64(LEASE_GRACE) + SIGHT_MAX + TAKEOVER_MARGIN;
            (allowed, "lease + 5 % + 1.5 s")
        } else {
            (lease + TAKEOVER_MARGIN, "lease + 1 s")
        };
        let led = self.recovery.led.as_ref();
        let led = led.map(|(at, _)| at.saturating_duration_since(self.blow.at));
        let (before, after) = self.succession().terms;
        vec![
            within("a standby leads", shown, allowed, led),
            Limit::new(
                "the term rises",
                format!("> {before}"),
                after,
                after > before,
            ),
        ]
    }

    fn slot_limits(&self) -> Vec<Limit> {
        let left = self.blow.left;
        let led = self.recovery.led.as_ref().ok().map(|(at, _)| *at);
        let arrived = self.recovery.arrived.as_ref();
        let arrived = arrived.map(|at| at.saturating_duration_since(led.unwrap_or(self.blow.at)));
        let resumed = self.recovery.resumed.as_ref();
        let went_on = resumed.map_or_else(String::clone, |_| "yes".to_owned());
        vec![
            Limit::new(judge::UNDER_WAY, ">= 1", left, left >= 1),
            Limit::new("every writer goes on", "yes", went_on, resumed.is_ok()),
            within(
                "all slots arrive under the new leader",
                "from its lead",
                ARRIVE_MAX,
                arrived,
            ),
        ]
    }

    fn return_limits(&self) -> Vec<Limit> {
        let after = |at: &Instant| at.saturating_duration_since(self.returned.at);
        let stands_by = self.returned.stands_by.as_ref().map(after);
        let mut limits = vec![within(
            "the old leader stands by",
            "from its return",
            STAND_BY_MAX,
            stands_by,
        )];
        if let Some(changed) = &self.returned.changed {
            let count = changed.len();
            limits.push(Limit::new(
                "records that the old leader changed",
                0,
                count,
                count == 0,
            ));
        }
        let agreed = self.returned.agreed.as_ref().map(|(_, at)| after(at));
        match &self.returned.follows {
            Some(follows) => {
                let rejoined = follows.clone().and(agreed.map_err(String::clone));
                let (before, now) = self.epochs();
                let rose = rejoined.and_then(|after| match now > before {
                    true => Ok(after),
                    false => Err(format!("the epoch stayed at {now}")),
                });
                limits.push(judge::rejoin_limit(rose));
            }
            None => limits.push(within(
                "all parts agree",
                "from the return",
                judge::REJOIN_MAX,
                agreed,
            )),
        }
        limits
    }

    fn moments(
        &self,
        cluster: &Cluster,
        story: Option<&Story<'_>>,
        events: &[Event],
    ) -> Vec<Moment> {
        let frozen = self.scenario.is_freeze();
        let teller = Story {
            group: MOVING,
            monitor: "",
            fault: self.blow.at,
            old: &self.cast.leader.addr,
            new: &self.cast.heir,
            history: &self.history,
            events,
        };
        let (old, new) = (&self.cast.leader.addr, &self.cast.heir);
        let mut moments: Vec<_> = match story {
            Some(story) => story.moments(cluster.layout()),
            None => teller.last_write_before().into_iter().collect(),
        };
        moments.retain(|moment| moment.what != "fault");
        let lost = if frozen {
            "leader stopped"
        } else {
            "leader killed"
        };
        moments.push(teller.moment(lost, self.blow.at, old));
        if let Some((master, at, _)) = &self.blow.master {
            moments.push(teller.moment("master killed", *at, master));
        }
        if let Ok((at, _)) = &self.recovery.led {
            moments.push(teller.moment("standby leads", *at, new));
        }
        if let Ok(at) = &self.recovery.arrived {
            moments.push(teller.moment("all slots arrived", *at, new));
        }
        let back = if frozen {
            "old leader thawed"
        } else {
            "old leader started"
        };
        moments.push(teller.moment(back, self.returned.at, old));
        if let Ok(at) = &self.returned.stands_by {
            moments.push(teller.moment("old leader stands by", *at, old));
        }
        if let (Some(Ok(at)), Some(story)) = (&self.returned.follows, story) {
            moments.push(teller.moment("old master follows", *at, story.old));
        }
        if let Ok((_, at)) = &self.returned.agreed {
            moments.push(teller.moment("all parts agree", *at, "all"));
        }
        moments.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        moments
    }
}

fn changed(path: impl std::fmt::Display) -> String {
    format!("Changed after the old leader was thawed: {path}")
}

/// A promise about a time.
fn within(name: &str, from: &str, limit: Duration, took: Result<Duration, &String>) -> Limit {
    let limit_shown = format!("{} ({from})", millis(limit));
    match took {
        Ok(took) => Limit::new(name, limit_shown, millis(took), took <= limit),
        Err(why) => Limit::new(name, limit_shown, why, false),
    }
}
