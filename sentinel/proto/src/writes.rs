//! A master that answers but takes no writes.
//!
//! PING says so when the disk refuses (`-MISCONF`), INFO when the append-only file cannot be
//! written, and, where `master-write-check` asks for it, a write that changes nothing tells of
//! every reason. It is reported in any case. With `yes` a refusal that lasts down-after makes
//! S_DOWN, and so a failover to a replica that would take writes. Too few replicas is no such
//! reason: another master would have even fewer.

use std::time::Duration;

use codis_core::time::Time;

use crate::core::Core;
use crate::info::{Info, Trouble};
use crate::input::{CannotTell, PingReply, WriteProbe, WriteRefusal};
use crate::master::Master;
use crate::schedule::{Key, Who, sooner};
use crate::settings::WriteCheck;

/// A refusal that PING or a probe told stands for this long, unless they tell otherwise.
const TOLD_FOR: Duration = Duration::from_secs(5);
/// A refusal is over when there has been none for this long.
const OVER_AFTER: Duration = Duration::from_secs(2);

/// Who tells of refusals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Probe,
    Ping,
    Info,
}

/// A refusal as one source tells it, in awake time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Told {
    refusal: WriteRefusal,
    since: Time,
    last: Time,
}

/// What is known of the writes of the present master.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    probe: Option<Told>,
    ping: Option<Told>,
    info: Option<Told>,
    /// The refusal that was reported.
    reported: Option<WriteRefusal>,
    /// Since when there has been none while one is reported.
    fine_since: Option<Time>,
    /// What was said of a probe that cannot tell.
    cannot_tell: Option<CannotTell>,
    /// When the master before was replaced for its refusals.
    replaced: Option<Time>,
}

impl Writes {
    fn slot(&mut self, source: Source) -> &mut Option<Told> {
        match source {
            Source::Probe => &mut self.probe,
            Source::Ping => &mut self.ping,
            Source::Info => &mut self.info,
        }
    }

    fn tell(&mut self, source: Source, awake: Time, refusal: Option<WriteRefusal>) {
        let slot = self.slot(source);
        let since = slot.map(|told| told.since);
        *slot = refusal.map(|refusal| Told {
            refusal,
            since: since.unwrap_or(awake),
            last: awake,
        });
    }

    /// Drops what was told too long ago. When the next one goes.
    fn expire(&mut self, awake: Time, info_for: Duration) -> Option<Time> {
        let mut next = None;
        for (source, span) in [
            (Source::Probe, TOLD_FOR),
            (Source::Ping, TOLD_FOR),
            (Source::Info, info_for),
        ] {
            let slot = self.slot(source);
            if let Some(told) = slot {
                let until = told.last + span;
                if until <= awake {
                    *slot = None;
                } else {
                    next = sooner(next, Some(until));
                }
            }
        }
        next
    }
}

impl Master {
    /// The refusal that stands now, and since when, in awake time.
    fn refusal_now(&self, core: &Core) -> Option<(WriteRefusal, Time)> {
        let link = core.link(self.server.node.link)?;
        let hang = link
            .writes_hang_since()
            .map(|since| (WriteRefusal::Hang, since));
        let told = self.writes.probe.or(self.writes.ping).or(self.writes.info);
        hang.or(told.map(|told| (told.refusal, told.since)))
    }

    /// Whether the refusal was told at `at` or later: nobody knows before whether it lasts so long.
    fn was_told_at(&self, at: Time) -> bool {
        let told = self.writes.probe.or(self.writes.ping).or(self.writes.info);
        told.is_some_and(|told| told.last >= at)
    }

    /// When a master that takes no writes is S_DOWN for it.
    pub(crate) fn write_misfit_at(&self, core: &Core) -> Option<Time> {
        let (refusal, since) = self.refusal_now(core)?;
        let lasts =
            refusal == WriteRefusal::Hang || self.was_told_at(since + self.settings.down_after);
        if !lasts {
            return None;
        }
        let counts = match refusal {
            WriteRefusal::Replicas => false,
            WriteRefusal::Disk
            | WriteRefusal::Memory
            | WriteRefusal::ReadOnly
            | WriteRefusal::Hang => self.settings.write_check == WriteCheck::Yes,
        };
        let mut at = core.real(since + self.settings.down_after);
        if let (WriteRefusal::Hang, Some(held)) = (refusal, self.writes_held_until()) {
            at = at.max(held);
        }
        // Replacing one master after the other would help nobody.
        let pause = self
            .writes
            .replaced
            .map(|at| at + self.settings.failover_timeout);
        counts.then(|| pause.map_or(at, |until| until.max(at)))
    }

    /// Whether the master is S_DOWN although it answers, and must take no more writes once another
    /// is master.
    pub(crate) fn is_alive_but_unfit(&self, core: &Core) -> bool {
        let refuses = self.write_misfit_at(core).is_some_and(|at| at <= core.now);
        self.lost_data().is_some() || refuses
    }

    /// Whether the present reason of a refusal holds for a replica too.
    pub(crate) fn refusal_by_trouble(&self, core: &Core, trouble: Trouble) -> Option<String> {
        let (refusal, _) = self.refusal_now(core)?;
        let text = match refusal {
            WriteRefusal::Disk if trouble.append_failed || trouble.snapshot_failed => {
                "its disk refuses too"
            }
            WriteRefusal::Memory if trouble.out_of_memory => "it is out of memory too",
            WriteRefusal::Disk
            | WriteRefusal::Memory
            | WriteRefusal::Replicas
            | WriteRefusal::ReadOnly
            | WriteRefusal::Hang => return None,
        };
        Some(text.to_owned())
    }

    /// Opens or closes the connection for writes, as the settings want it for the present master.
    pub(crate) fn watch_writes(&self, core: &mut Core) {
        let awake = core.awake();
        let servers = self.replicas.values().map(|it| it.server.node.link);
        let on = self.settings.write_check != WriteCheck::No;
        let own = (self.server.node.link, on);
        for (id, on) in servers.map(|id| (id, false)).chain([own]) {
            if let Some(link) = core.links.get_mut(&id) {
                link.watch_writes(on, awake, &mut core.out);
                core.touch(Key::Link(id));
            }
        }
    }

    /// Forgets what is known: another server is master, or an operator changed what is checked.
    pub(crate) fn forget_writes(&mut self, core: &mut Core, replaced: bool) {
        let before = self.writes.replaced;
        self.writes = Writes {
            replaced: if replaced { Some(core.now) } else { before },
            ..Writes::default()
        };
        self.watch_writes(core);
        core.touch(Key::Node(self.id, Who::Master));
    }

    /// The process behind the master is another one: what the last one said is void.
    pub(crate) fn forget_refusals(&mut self) {
        (self.writes.probe, self.writes.ping, self.writes.info) = (None, None, None);
    }

    /// The master answered PING.
    pub(crate) fn note_ping(&mut self, awake: Time, reply: PingReply) {
        match reply {
            PingReply::Misconf => {
                self.writes
                    .tell(Source::Ping, awake, Some(WriteRefusal::Disk));
            }
            PingReply::Pong => {
                self.writes.tell(Source::Ping, awake, None);
                // A master whose disk refuses would not say so.
                let probe = &mut self.writes.probe;
                *probe = probe.filter(|told| told.refusal != WriteRefusal::Disk);
            }
            PingReply::Loading | PingReply::MasterDown | PingReply::Busy | PingReply::Other => {}
        }
    }

    /// The master answered INFO.
    pub(crate) fn note_trouble(&mut self, awake: Time, info: &Info) {
        let failed = info.trouble.append_failed;
        let refusal = failed.then_some(WriteRefusal::Disk);
        self.writes.tell(Source::Info, awake, refusal);
    }

    /// The master answered a write that changes nothing.
    pub(crate) fn note_probe(&mut self, core: &mut Core, probe: WriteProbe) {
        let awake = core.awake();
        match probe {
            WriteProbe::Accepted => {
                self.forget_refusals();
                self.writes.cannot_tell = None;
            }
            WriteProbe::Refused(refusal) => {
                self.writes.tell(Source::Probe, awake, Some(refusal));
                self.writes.cannot_tell = None;
            }
            WriteProbe::CannotTell(why) => {
                self.writes.probe = None;
                if self.writes.cannot_tell.replace(why) != Some(why) {
                    let inst = self.inst(&Who::Master);
                    let payload = format!("{inst} #{}", why.as_str());
                    self.tell(core, "+master-write-check-blind", payload);
                }
            }
            WriteProbe::NotNow => {}
        }
        core.touch(Key::Node(self.id, Who::Master));
    }

    /// The refusal that is reported, while the master can be heard.
    pub(crate) fn reported_refusal(&self) -> Option<WriteRefusal> {
        self.writes.reported
    }

    /// Reports refusals and their end. When there is something to do next.
    pub(crate) fn judge_writes(&mut self, core: &mut Core) -> Option<Time> {
        let info_for = 2 * core.timing.info_period;
        let next = self.writes.expire(core.awake(), info_for);
        let next = next.map(|at| core.real(at));
        if !core.link_is_up(self.server.node.link) {
            return next;
        }
        match (self.refusal_now(core), self.writes.reported) {
            (Some((refusal, _)), reported) => {
                self.writes.fine_since = None;
                if reported != Some(refusal) {
                    self.writes.reported = Some(refusal);
                    self.tell_writes(core, "+master-write-refused", refusal);
                }
                next
            }
            (None, Some(refusal)) => {
                let over = *self.writes.fine_since.get_or_insert(core.now) + OVER_AFTER;
                if over > core.now {
                    return sooner(next, Some(over));
                }
                self.writes.reported = None;
                self.tell_writes(core, "-master-write-refused", refusal);
                next
            }
            (None, None) => next,
        }
    }

    fn tell_writes(&self, core: &mut Core, event: &'static str, refusal: WriteRefusal) {
        let payload = format!("{} #{}", self.inst(&Who::Master), refusal.as_str());
        self.tell(core, event, payload);
        core.touch(Key::Master(self.id));
    }
}
