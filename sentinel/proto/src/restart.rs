//! A master that restarted: whether it still has the data that its replicas have.
//!
//! A stock sentinel follows it, and its replicas, which look for it once in a second, throw their
//! data away for what is left of the master's. Here the first INFO of the new run is set against
//! what the replicas then say, and a master that lacks something is S_DOWN in that moment. The
//! verdict is given anew with each INFO: it falls when no replica that could be promoted has more
//! than the master any longer.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;

use crate::core::Core;
use crate::info::{Data, Info, Role};
use crate::instance::Replica;
use crate::master::Master;
use crate::schedule::{Key, Who};

mod compare;

use compare::{follows_present_run, missing};

/// A master that has been ready for this long without a verdict is accepted: by then its replicas
/// have its data, and it may have taken writes that they do not have.
const ACCEPTED_AFTER: Duration = Duration::from_secs(5);
/// How long a replica's link may have been down before the master was last seen alive: links of
/// replicas are told in whole seconds.
const LINK_DOWN_SLACK: Duration = Duration::from_secs(2);
/// Histories of the runs before that are kept of a master that restarts again and again.
const HISTORIES_MAX: usize = 8;

/// The connection to the present master, as the judgement of a restart needs it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Presence {
    /// Since when this server is the master.
    since: Time,
    up: bool,
    /// The last proof of life before it was last lost.
    alive: Option<Time>,
}

/// A restart whose data is in question.
#[derive(Clone, Debug)]
pub(crate) struct Restart {
    /// The histories of the runs before.
    histories: Vec<String>,
    /// When the new run was first seen. Only what replicas say from then on is final: the run
    /// before can send them nothing any more.
    seen: Time,
    /// When the run before was last seen alive.
    alive: Time,
    /// When the new run was first seen with its data loaded.
    ready: Option<Time>,
    /// The replicas have more, since when and what.
    verdict: Option<(Time, String)>,
    /// It was told that data is lost.
    told: bool,
}

/// What the evidence says now.
enum Finding {
    /// Somebody has yet to speak.
    Open,
    /// A replica that could be promoted has more.
    Lacks(String),
    /// Others have or had more, but cannot be promoted.
    Gone(String),
    /// Nothing is known to be missing.
    Whole,
}

impl Master {
    /// Since when the master lacks data that a replica has.
    pub(crate) fn lost_data(&self) -> Option<Time> {
        let verdict = self.restart.as_ref()?.verdict.as_ref();
        verdict.map(|(since, _)| *since)
    }

    /// Whether the new run is still loading: its INFO is wanted often.
    pub(crate) fn awaits_data(&self) -> bool {
        let restart = self.restart.as_ref();
        restart.is_some_and(|it| it.ready.is_none() && it.verdict.is_none())
    }

    /// Looks at the connection to the master. When it is lost the replicas are asked what they
    /// have, so that it is known even if they lose it before the next question.
    pub(crate) fn note_presence(&mut self, core: &mut Core) {
        let node = &self.server.node;
        let up = core.link_is_up(node.link);
        let was_up = std::mem::replace(&mut self.presence.up, up);
        if up || !was_up {
            return;
        }
        self.presence.alive = Some(core.real(node.silent_since(core)).min(core.now));
        for addr in self.replicas.keys().cloned().collect::<Vec<_>>() {
            self.ask_info_now(core, &Who::Replica(addr));
        }
    }

    /// Forgets all about restarts: another server is master, or an operator said so.
    pub(crate) fn forget_restart(&mut self, core: &Core) {
        self.restart = None;
        self.presence = Presence {
            since: core.now,
            up: core.link_is_up(self.server.node.link),
            ..Presence::default()
        };
    }

    /// The master has another run id than before. `server.info` is still that of the run before.
    /// One that was not heard as master yet may have restarted before it was promoted: nothing of
    /// what its replicas have was ever its own.
    pub(crate) fn note_restart(&mut self, core: &Core) {
        let since = self.presence.since;
        let was_heard = |(at, _): &(Time, _)| *at >= since;
        if !self.server.info.as_ref().is_some_and(was_heard) {
            return;
        }
        let before = self
            .server
            .info
            .as_ref()
            .map(|(_, info)| &info.data.history);
        let history = before.filter(|it| !it.is_empty()).cloned();
        let open = self.restart.take();
        // A run that was never judged says nothing of what the replicas had before it.
        let unjudged = |it: &&Restart| it.ready.is_none() || it.verdict.is_some();
        let alive = open.as_ref().filter(unjudged).map(|it| it.alive);
        let alive = alive.or(self.presence.alive).unwrap_or(core.now);
        let (told, verdict, mut histories) = match open {
            Some(it) => (it.told, it.verdict, it.histories),
            None => (false, None, Vec::new()),
        };
        histories.extend(history);
        histories.drain(..histories.len().saturating_sub(HISTORIES_MAX));
        self.restart = Some(Restart {
            histories,
            seen: core.now,
            alive,
            ready: None,
            verdict,
            told,
        });
    }

    /// Keeps what a replica said of its data last before it took up another history.
    pub(crate) fn keep_data(&mut self, addr: &Addr, info: &Info) {
        let Some(replica) = self.replicas.get_mut(addr) else {
            return;
        };
        if let Some((at, old)) = &replica.server.info
            && !old.loading
            && (info.loading || info.data.history != old.data.history)
        {
            let linked_at = linked_at(*at, old);
            replica.data_before = linked_at.map(|at| (at, old.data.clone()));
        }
    }

    /// Sets the word of the master against that of its replicas.
    pub(crate) fn judge_data(&mut self, core: &mut Core) {
        if self.restart.is_none() || core.stall.is_tilt() {
            return;
        }
        if self.is_alone_in_verdict(core) {
            self.accept(core, "no quorum of sentinels sees that it has lost data");
            self.restart = None;
            return;
        }
        match self.find(core) {
            Finding::Open => {}
            Finding::Lacks(what) => self.lacks(core, what),
            Finding::Gone(what) => self.gone(core, &what),
            Finding::Whole => {
                let text = "no replica that can be promoted has more data any more";
                self.accept(core, text);
            }
        }
        let accepted = self.restart.as_ref().is_some_and(|it| {
            let long_ready = it.ready.is_some_and(|at| core.age(at) > ACCEPTED_AFTER);
            it.verdict.is_none() && long_ready
        });
        if accepted {
            self.restart = None;
        }
    }

    /// Whether the verdict has stood for failover-timeout and the others do not share it: they do
    /// not know the replica that has more. The master serves its clients all the time, so what it
    /// lost is not coming back, and one that is held down by us alone cannot be told to anybody.
    fn is_alone_in_verdict(&self, core: &Core) -> bool {
        let old = |at: Time| core.age(at) > self.settings.failover_timeout;
        self.lost_data().is_some_and(old) && self.o_down.is_none() && self.failover().is_none()
    }

    fn find(&mut self, core: &mut Core) -> Finding {
        let (Some(restart), Some((_, info))) = (&mut self.restart, &self.server.info) else {
            return Finding::Open;
        };
        if info.run_id != self.server.run_id || info.loading {
            return Finding::Open;
        }
        restart.ready.get_or_insert(core.now);
        if info.role == Role::Replica {
            return Finding::Whole;
        }
        let (restart, mut open) = (restart.clone(), Vec::new());
        let (master, mut lacks, mut gone) = (info.data.clone(), None, None);
        for (addr, replica) in &self.replicas {
            let told = replica.server.info.as_ref();
            let fresh = told.filter(|(at, _)| *at >= restart.seen);
            let usable = self.is_usable(core, replica);
            match fresh {
                None if usable => open.push(addr.clone()),
                None => {}
                Some((at, info)) if restart.was_in_step(linked_at(*at, info)) => {
                    let found = missing(&master, &info.data, &restart.histories);
                    let text = found.map(|what| format!("{addr} {what}"));
                    if usable && !info.loading {
                        lacks = lacks.or(text);
                    } else {
                        gone = gone.or(text.map(|text| format!("{text}, but cannot be promoted")));
                    }
                }
                Some(_) => {}
            }
            let before = had_more(&master, replica, &restart);
            gone = gone.or(before.map(|what| format!("{addr} {what}, and took its place")));
        }
        for addr in &open {
            let info = |replica: &Replica| replica.server.info_command;
            let command = self.replicas.get(addr).and_then(info);
            let link = self.replicas.get(addr).map(|it| it.server.node.link);
            let asked = link
                .and_then(|id| core.link(id))
                .is_some_and(|it| it.waits_for(command));
            if !asked {
                self.ask_info_now(core, &Who::Replica(addr.clone()));
            }
        }
        match (lacks, gone) {
            (Some(what), _) => Finding::Lacks(what),
            (None, _) if !open.is_empty() => Finding::Open,
            (None, Some(what)) => Finding::Gone(what),
            (None, None) => Finding::Whole,
        }
    }

    /// Whether a replica could be promoted, as far as that does not change from moment to moment.
    fn is_usable(&self, core: &Core, replica: &Replica) -> bool {
        let node = &replica.server.node;
        let failed = replica.failed_until.is_some_and(|until| core.now < until);
        let never = replica.info().is_some_and(|info| info.priority == 0);
        node.s_down.is_none() && core.link_is_up(node.link) && !failed && !never
    }

    fn lacks(&mut self, core: &mut Core, what: String) {
        let now = core.now;
        let Some(restart) = &mut self.restart else {
            return;
        };
        if let Some((_, text)) = &mut restart.verdict {
            *text = what;
            return;
        }
        restart.told = true;
        restart.verdict = Some((now, what.clone()));
        let payload = format!("{} #{what}", self.inst(&Who::Master));
        self.tell(core, "+master-lost-data", payload);
        core.touch(Key::Node(self.id, Who::Master));
    }

    /// What the master lost is lost: it is told once, and the master followed.
    fn gone(&mut self, core: &mut Core, what: &str) {
        if self.restart.as_ref().is_some_and(|it| !it.told) {
            let payload = format!("{} #{what}", self.inst(&Who::Master));
            self.tell(core, "+master-lost-data", payload);
        }
        let news = self
            .restart
            .as_ref()
            .is_some_and(|it| !it.told || it.verdict.is_some());
        if let Some(restart) = &mut self.restart {
            restart.told = true;
            restart.verdict = None;
        }
        if news {
            self.tell_followed(core, what);
        }
    }

    fn accept(&mut self, core: &mut Core, why: &str) {
        let verdict = self.restart.as_mut().and_then(|it| it.verdict.take());
        if verdict.is_some() {
            self.tell_followed(core, why);
        }
    }

    fn tell_followed(&self, core: &mut Core, why: &str) {
        let payload = format!("{} #followed: {why}", self.inst(&Who::Master));
        self.tell(core, "-master-lost-data", payload);
        core.touch(Key::Node(self.id, Who::Master));
    }

    /// Why a replica is no way out of the loss of the master's data. A master that went silent
    /// since gives nothing at all: then one that has what is left is better than none.
    pub(crate) fn refusal_by_data(&self, core: &Core, replica: &Replica) -> Option<String> {
        self.lost_data()?;
        let restart = self.restart.as_ref()?;
        let (master, info) = (&self.server.info.as_ref()?.1, replica.info()?);
        let more = |info: &Info| missing(&master.data, &info.data, &restart.histories);
        let has_more = |it: &Replica| it.info().and_then(more).is_some();
        let mut others = self.replicas.values();
        let silent = self.silence_over(core, &self.server.node) <= core.now;
        if silent && !others.any(|it| has_more(it) && self.is_usable(core, it)) {
            return None;
        }
        let text = if follows_present_run(&master.data, &info.data) {
            "it has taken over what the restarted master has left"
        } else {
            "it has no more data than the restarted master"
        };
        more(info).is_none().then(|| text.to_owned())
    }

    /// How much of the replication stream a replica has. One that waits for a full sync from the
    /// restarted master says that it has none, and still has what it had.
    pub(crate) fn offset_of(&self, replica: &Replica) -> u64 {
        let Some(info) = replica.info() else {
            return 0;
        };
        let restart = self.restart.as_ref().filter(|it| it.verdict.is_some());
        let ours = restart.is_some_and(|it| it.histories.contains(&info.data.history));
        let kept = if ours { info.data.offset } else { 0 };
        info.offset.max(kept)
    }
}

/// When the link of a replica was up last, by its INFO of `at`.
fn linked_at(at: Time, info: &Info) -> Option<Time> {
    let down = Duration::from_millis(info.master_link_down_ms.max(0).unsigned_abs());
    let ever = info.role == Role::Replica && info.master_link_down_ms >= 0;
    ever.then(|| at.before(down))
}

impl Restart {
    /// Whether a replica whose link was up then had all that the master had: it is not older data
    /// that the master had deleted since.
    fn was_in_step(&self, linked_at: Option<Time>) -> bool {
        linked_at.is_some_and(|at| at + LINK_DOWN_SLACK >= self.alive)
    }
}

/// What a replica had before it took over the data of the restarted master.
fn had_more(master: &Data, replica: &Replica, restart: &Restart) -> Option<String> {
    let (linked_at, before) = replica.data_before.as_ref()?;
    let now = &replica.info()?.data;
    let ours = restart.histories.contains(&before.history) && restart.was_in_step(Some(*linked_at));
    let taken = ours && follows_present_run(master, now);
    let what = taken.then(|| missing(master, before, &restart.histories))?;
    what.map(|text| text.replacen("has", "had", 1))
}
