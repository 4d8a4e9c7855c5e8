//! What to do about what the dashboard sees. Pure: figures, answers and time come in, an act or
//! the reasons against one come out.
//!
//! A master is given up only when independent witnesses agree: the dashboard could not poll it in
//! [`SAMPLES_MIN`] polls in a row, it does not answer us, and no replica says that its link lives.
//! A poll counts once, however often it is read, so figures that stand still prove nothing. When
//! most groups look dead at once the network of the observer is ill, and nothing is done.
//!
//! The candidate is the replica with the most data among those that the dashboard and we reach.

mod candidate;
mod history;
mod line;

#[cfg(test)]
mod tests;

pub use line::{Line, Mark};

use std::collections::BTreeSet;
use std::time::Duration;

use codis_core::api::Stats;
use codis_core::model::{ActionState, Group};
use codis_core::time::Time;

use crate::witness::Witnessed;
use history::History;

/// Polls in a row that a master must have missed.
pub const SAMPLES_MIN: u32 = 3;

/// An order to the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Makes a replica the master of its group.
    Promote {
        /// The group.
        group: u32,
        /// The replica.
        candidate: String,
    },
    /// Makes a server follow the master of its group.
    Reattach {
        /// The server.
        server: String,
    },
}

/// What came out of one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What to do, at most one thing.
    pub act: Option<Act>,
    /// Why something that looks wrong is left alone, with the next step.
    pub why_not: Vec<String>,
}

/// Keeps what earlier looks said.
#[derive(Clone, Debug)]
pub struct Judge {
    interval: Duration,
    history: History,
}

impl Judge {
    /// A judge of figures that are read once in each `interval`.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            history: History::default(),
        }
    }

    /// Takes a new reading; gives a line for each proxy and each server.
    pub fn handle_stats(&mut self, now: Time, stats: &Stats) -> Vec<Line> {
        self.history.handle_stats(now, stats);
        line::lines(stats)
    }

    /// The dashboard did not answer: what it said before is not in a row with what comes after.
    pub fn handle_silence(&mut self) {
        self.history.forget_samples();
    }

    /// An order was given. The same one again has to wait, longer each time.
    pub fn handle_acted(&mut self, now: Time, act: &Act) {
        self.history.handle_acted(now, act);
    }

    /// Servers whose answer to ourselves matters for the decision.
    pub fn suspects(&self, stats: &Stats) -> BTreeSet<String> {
        let dead = stats.group.models.iter().filter(|g| self.is_dead(g));
        dead.flat_map(|group| group.servers.iter().map(|server| server.addr.clone()))
            .collect()
    }

    /// Decides on the last reading. `witnessed` has the answers of the [`Self::suspects`].
    pub fn decide(&self, now: Time, stats: &Stats, witnessed: &Witnessed) -> Judgement {
        let mut why_not = Vec::new();
        let groups = &stats.group.models;
        let dead: Vec<&Group> = groups.iter().filter(|group| self.is_dead(group)).collect();
        let strays = self.strays(stats);
        if dead.is_empty() && strays.is_empty() {
            return Judgement::default();
        }
        if !stats.sentinels.model.servers.is_empty() {
            why_not.push("the product has sentinels, which decide: nothing is done here".into());
            return Judgement { act: None, why_not };
        }
        let act = self
            .promotion(now, stats, &dead, witnessed, &mut why_not)
            .or_else(|| self.reattachment(now, stats, strays, &mut why_not));
        Judgement { act, why_not }
    }

    /// Whether the dashboard has not reached the master for long enough.
    fn is_dead(&self, group: &Group) -> bool {
        let missed = |addr: &str| self.history.missed(addr) >= SAMPLES_MIN;
        group
            .servers
            .first()
            .is_some_and(|master| missed(&master.addr))
    }

    fn promotion(
        &self,
        now: Time,
        stats: &Stats,
        dead: &[&Group],
        witnessed: &Witnessed,
        why_not: &mut Vec<String>,
    ) -> Option<Act> {
        let inhabited = |group: &&Group| !group.servers.is_empty();
        let all = stats.group.models.iter().filter(inhabited).count();
        if dead.len() > 1 && dead.len() * 2 > all {
            why_not.push(format!(
                "{} of {all} masters look dead at once: rather the network of the dashboard is; \
                 check it, or promote by hand",
                dead.len()
            ));
            return None;
        }
        for group in dead {
            match self.successor(now, stats, group, witnessed) {
                Ok(candidate) => {
                    let group = group.id;
                    return Some(Act::Promote { group, candidate });
                }
                Err(reason) => why_not.push(format!("group-{}: {reason}", group.id)),
            }
        }
        None
    }

    /// Who shall take over the group of a master that the dashboard does not reach, or why nobody.
    fn successor(
        &self,
        now: Time,
        stats: &Stats,
        group: &Group,
        witnessed: &Witnessed,
    ) -> Result<String, String> {
        let master = group.servers.first().ok_or("it has no server")?;
        if group.promoting.state != ActionState::Nothing {
            return Err("it is promoting already".to_owned());
        }
        if witnessed.get(&master.addr) != Some(&false) {
            return Err(format!(
                "master {} answers here and not at the dashboard: check the network between them",
                master.addr
            ));
        }
        for replica in &group.servers[1..] {
            if candidate::hears(stats, &replica.addr, &master.addr) {
                return Err(format!(
                    "replica {} still hears master {}: it lives, check the network to it",
                    replica.addr, master.addr
                ));
            }
        }
        let act = |candidate: &String| Act::Promote {
            group: group.id,
            candidate: candidate.clone(),
        };
        let known = self.history.lineage(&master.addr);
        let limits = candidate::Limits {
            link_down_max: self.history.silent_for(now, &master.addr) + 10 * self.interval,
            lineage: known,
        };
        let candidate = candidate::best(stats, group, witnessed, &limits)?;
        match self.history.wait(now, &act(&candidate), self.interval) {
            None => Ok(candidate),
            Some(left) => Err(format!(
                "{candidate} was promoted a moment ago without success: again in {} s",
                left.as_secs() + 1
            )),
        }
    }

    /// Servers that live and do not follow the master of their group.
    fn strays(&self, stats: &Stats) -> Vec<(u32, String)> {
        let mut strays = Vec::new();
        for group in &stats.group.models {
            let servers = group.servers.iter().skip(1);
            let stray = |addr: &&str| self.history.astray(addr) >= SAMPLES_MIN;
            let addrs = servers.map(|server| server.addr.as_str()).filter(stray);
            strays.extend(addrs.map(|addr| (group.id, addr.to_owned())));
        }
        strays
    }

    fn reattachment(
        &self,
        now: Time,
        stats: &Stats,
        strays: Vec<(u32, String)>,
        why_not: &mut Vec<String>,
    ) -> Option<Act> {
        for (id, server) in strays {
            let act = Act::Reattach {
                server: server.clone(),
            };
            let group = stats.group.models.iter().find(|group| group.id == id)?;
            let doubt = self.doubt(stats, group, &server).or_else(|| {
                let left = self.history.wait(now, &act, self.interval)?;
                let seconds = left.as_secs() + 1;
                Some(format!("it was told to a moment ago: again in {seconds} s"))
            });
            match doubt {
                None => return Some(act),
                Some(reason) => {
                    why_not.push(format!("group-{id}: {server} does not follow: {reason}"));
                }
            }
        }
        None
    }

    /// What speaks against overwriting the data of a server with that of its master.
    fn doubt(&self, stats: &Stats, group: &Group, addr: &str) -> Option<String> {
        let server = group.servers.iter().find(|server| server.addr == addr)?;
        if group.promoting.state != ActionState::Nothing {
            return Some("the group is promoting".to_owned());
        }
        if matches!(
            server.action.state,
            ActionState::Pending | ActionState::Syncing
        ) {
            return Some("it is being told to".to_owned());
        }
        if !group
            .servers
            .first()
            .is_some_and(|m| line::leads(stats, &m.addr))
        {
            return Some("its master is not seen as one".to_owned());
        }
        let empty = |addr: &str| candidate::keys(stats, addr) == 0;
        if empty(addr) {
            return None;
        }
        if group.servers.first().is_some_and(|m| empty(&m.addr)) {
            return Some("it holds data and its master holds none: see which is right".to_owned());
        }
        if !self.history.was_in(group.id, addr) {
            return Some(format!(
                "it holds data that was not seen in this group, and would lose it: \
                 codis-admin --sync-action --create --addr={addr} if that is meant"
            ));
        }
        None
    }
}
