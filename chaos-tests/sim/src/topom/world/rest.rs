//! Once the faults have stopped: one leader, no action, every proxy in step, every key where it
//! belongs.

use std::time::Duration;

use codis_core::model::ActionState;
use codis_topom::mover::Progress;
use codis_topom::{Cluster, edit, form};

use super::{Happening, World};
use crate::moment::Moment;
use crate::topom::board::{Decide, record_of};
use crate::topom::check::Rule;
use crate::topom::plan::{SLOTS, Wish};
use crate::topom::proxy::Proxy;

/// How long it may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(150);
/// For so long nothing is done about a proxy that never goes on.
const STUCK: Duration = Duration::from_secs(40);
/// How long requests under way may take once clients begin nothing new.
const QUIET: Duration = Duration::from_secs(12);

impl World {
    pub(super) fn look(&mut self) {
        if let Some(proxy) = self.stuck {
            return self.look_at_stuck(proxy);
        }
        let why = self.unrest();
        let late = self.now.since(self.plan.heal_at) > REST_MAX;
        match (why, self.quiet_since) {
            (None, Some(since)) if self.now.since(since) > QUIET => {
                self.last_look();
                self.over = true;
            }
            (None, Some(_)) => {}
            (None, None) => {
                self.stats.settle_max = self.now.since(self.plan.heal_at);
                self.quiet_since = Some(self.now);
            }
            (Some(why), _) if late => self.breaks(Rule::Liveness, why),
            (Some(_), _) => self.ask_again(),
        }
        self.look_again();
    }

    fn look_again(&mut self) {
        let at = self.now + Duration::from_millis(500);
        self.queue.push(at, Happening::Look);
    }

    /// What waits for a proxy that never goes on must say so. Then the operator kills it, and makes
    /// the dashboard forget it.
    fn look_at_stuck(&mut self, proxy: usize) {
        let token = record_of(proxy, 1).token;
        if self.now.since(self.plan.heal_at) < STUCK {
            self.ask_again();
        } else if self.stands[proxy].proxy.is_some() {
            if let Some(why) = self.unreported(proxy) {
                self.breaks(Rule::Liveness, why);
            }
            self.stands[proxy].proxy = None;
            self.say(format_args!("an operator kills proxy {proxy}"));
        } else if self
            .store
            .records()
            .proxies
            .iter()
            .any(|it| it.token == token)
        {
            let decide: Decide = Box::new(move |it| edit::remove_proxy(it, &token));
            self.operate(decide);
        } else {
            self.stuck = None;
            self.plan.heal_at = self.now;
        }
        self.look_again();
    }

    /// An action that is under way and does not say that it waits for the proxy.
    fn unreported(&mut self, proxy: usize) -> Option<String> {
        let leader = (0..self.seats.len()).find(|at| self.leads(*at))?;
        let core = self.seats[leader].board.as_ref()?.core()?;
        let named = format!("[{proxy}]");
        let progress = core.mover.progress();
        self.stats.blocked += progress.len() as u64;
        let silent = |one: &&Progress| one.failures == 0 || !one.error.contains(&named);
        let silent = progress.iter().find(silent);
        silent.map(|one| format!("{one:?} does not say what it waits for"))
    }

    /// Nothing moves while an operator has forbidden it: he allows it again, until it is stored. A
    /// server that a late order sent astray he tells whom to follow.
    fn ask_again(&mut self) {
        let seconds = self.now.since(Moment(0)).as_secs();
        if !seconds.is_multiple_of(5) {
            return;
        }
        if self.store.records().slot_actions.disabled {
            self.wish(Wish::Disable(false));
        }
        for server in self.astray() {
            self.wish(Wish::Sync { server });
        }
    }

    /// Why the world is not at rest.
    fn unrest(&self) -> Option<String> {
        let leaders: Vec<usize> = (0..self.seats.len()).filter(|at| self.leads(*at)).collect();
        let [leader] = leaders[..] else {
            return Some(format!("boards {leaders:?} lead"));
        };
        let board = self.seats[leader].board.as_ref()?;
        if board.term() != self.store.term() {
            return Some(format!("{:?} leads, not the newest term", board.term()));
        }
        let Some(core) = board.core() else {
            return Some("the leader is not online".to_owned());
        };
        if !core.owner.is_idle() || self.store.has_edit() {
            return Some(format!("the store is behind {:?}", core.owner));
        }
        let cluster = Cluster::load(self.store.records());
        for slot in 0..SLOTS {
            let record = self.store.slot(slot);
            if record.action.state != ActionState::Nothing {
                let progress = core.mover.progress();
                return Some(format!("{record:?} goes on: {progress:?}"));
            }
        }
        for group in cluster.groups() {
            if group.promoting.state != ActionState::Nothing {
                return Some(format!("{group:?} goes on"));
            }
        }
        if let Some(server) = self.astray().first() {
            return Some(format!("{} follows the wrong one", server.addr()));
        }
        if !cluster.slot_actions().cancelled.is_empty() {
            return Some("a wish to cancel is left".to_owned());
        }
        if cluster != *core.owner.cluster {
            return Some("the leader believes what is not stored".to_owned());
        }
        let out_of_step = |(at, stand): (usize, &super::Stand)| {
            let wrong = |proxy: &Proxy| {
                proxy
                    .table()
                    .iter()
                    .find(|it| !wants(&cluster, it))
                    .cloned()
            };
            let token = record_of(at, 1).token;
            match &stand.proxy {
                // It was removed.
                _ if cluster.proxy(&token).is_err() => None,
                None => Some(format!("proxy {at} is dead")),
                Some(proxy) if !proxy.is_online() => Some(format!("proxy {at} takes no clients")),
                Some(proxy) => wrong(proxy).map(|slot| format!("proxy {at} holds {slot:?}")),
            }
        };
        self.stands.iter().enumerate().find_map(out_of_step)
    }

    /// Every key that shows something is at its owner, with a value that was written.
    fn last_look(&mut self) {
        for key in self.check.keys() {
            let owner = self.store.slot(key.0).group_id;
            let has = |group: &u32| self.value_at(*group, key).is_some();
            let on: Vec<u32> = (1..=self.plan.groups).filter(has).collect();
            if !self.check.counts(key) {
                continue;
            }
            if on.iter().any(|id| *id != owner) {
                let text = format!("key {key:?} of group {owner} is on {on:?}");
                self.breaks(Rule::TwoOwners, text);
            }
            let value = self.value_at(owner, key);
            self.check.read(self.now, key, value);
        }
    }
}

/// Whether the cluster wants a slot to look like this at a proxy.
fn wants(cluster: &Cluster, held: &codis_core::api::Slot) -> bool {
    let record = cluster.slot(held.id);
    record.is_ok_and(|record| form::one(cluster, record, 0, None) == *held)
}
