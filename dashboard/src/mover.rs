//! Carries slot actions out: drives the pure mover, one task an effect, so that no slot waits for
//! what another one waits for.

mod migrate;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use codis_core::api::{Progress, SlotActionSection, SlotProgress};
use codis_core::time::Time;
use codis_topom::mover::{Act, Effect, Limits, Mover, Outcome, Step};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::core::Core;
use crate::push::sleep_until;
use crate::state::Audit;
use migrate::Connections;

/// How long proxies may take to hold a slot. After that the slot serves as before, and it is tried
/// again later: clients wait for as long as this, not for the slowest proxy.
const PUSH_MAX: Duration = Duration::from_millis(800);

/// What statistics show of the mover.
#[derive(Debug, Default)]
pub struct Board {
    shown: Mutex<Shown>,
}

#[derive(Clone, Debug, Default)]
struct Shown {
    status: String,
    commands: usize,
    slots: Vec<SlotProgress>,
}

impl Board {
    /// The section of the statistics, with the settings that are on record.
    pub fn section(&self, core: &Core) -> SlotActionSection {
        let cluster = core.state.cluster();
        let actions = cluster.slot_actions();
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        SlotActionSection {
            interval: actions.interval,
            disabled: actions.disabled,
            progress: Progress {
                status: shown.status.clone(),
            },
            executor: u32::try_from(shown.commands).unwrap_or(u32::MAX),
            slots: shown.slots.clone(),
        }
    }

    fn show(&self, mover: &Mover) {
        let slots = mover.progress().into_iter().map(|one| SlotProgress {
            id: one.slot,
            db: one.db,
            left: one.left,
            failures: one.failures,
            error: one.error,
        });
        let shown = Shown {
            status: mover.status().to_owned(),
            commands: mover.commands(),
            slots: slots.collect(),
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }
}

/// What a task of an effect brings back.
struct Done {
    outcome: Outcome,
    /// The snapshot that has what was stored.
    revision: Option<u64>,
}

/// A task that ended, or broke.
type Ended = Result<(Id, Done), JoinError>;

struct Driver {
    core: Arc<Core>,
    connections: Arc<Connections>,
    tasks: JoinSet<Done>,
    slots: HashMap<Id, u16>,
    /// The snapshot that each slot's last step is in: what its proxies must hold.
    revisions: BTreeMap<u16, u64>,
}

/// Carries slot actions out for ever.
pub async fn run(core: Arc<Core>) {
    let origin = Instant::now();
    let now = || Time::from_origin(origin.elapsed());
    let settings = &core.settings;
    let mut mover = Mover::new(Limits {
        slots: settings.migration_parallel_slots as usize,
        slots_of_pair: settings.migration_parallel_group as usize,
    });
    let mut views = core.state.subscribe();
    let mut driver = Driver::new(core.clone());
    loop {
        let cluster = views.borrow_and_update().cluster.clone();
        mover.handle_cluster(now(), &cluster);
        while let Some(effect) = mover.poll_effect() {
            driver.start(effect);
        }
        core.slot_actions.show(&mover);
        if driver.tasks.is_empty() && mover.poll_timeout().is_none() {
            driver.connections.close();
        }
        let timeout = mover.poll_timeout().map(|at| origin + at.since_origin());
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            Some(first) = driver.tasks.join_next_with_id() => {
                let done = driver.ended(first).await;
                mover.handle_all_done(now(), &core.state.cluster(), done);
            }
            () = sleep_until(timeout) => {}
        }
    }
}

impl Driver {
    fn new(core: Arc<Core>) -> Self {
        let connections = Arc::new(Connections::new(&core.settings));
        Self {
            core,
            connections,
            tasks: JoinSet::new(),
            slots: HashMap::new(),
            revisions: BTreeMap::new(),
        }
    }

    fn start(&mut self, effect: Effect) {
        tracing::debug!(?effect, "slot action");
        let core = self.core.clone();
        let connections = self.connections.clone();
        let (slot, task) = match effect {
            Effect::Store(step) => {
                let slot = step.slot();
                (slot, self.tasks.spawn(store(core, step)))
            }
            Effect::Push { slot } => {
                let newest = self.core.state.view().revision;
                let revision = self.revisions.get(&slot).copied().unwrap_or(newest);
                (slot, self.tasks.spawn(push(core, slot, revision)))
            }
            Effect::Migrate(command) => {
                let slot = command.slot;
                let work = async move {
                    if let Err(failure) = core.order() {
                        return done(Outcome::Failed(failure.to_string()));
                    }
                    let moved = connections.migrate(&command).await;
                    core.counters.migrate_commands.inc();
                    done(moved.unwrap_or_else(|error| {
                        core.counters.migrate_commands_failed.inc();
                        Outcome::Failed(error.to_string())
                    }))
                };
                (slot, self.tasks.spawn(work))
            }
            Effect::Quiesce { slot, source } => {
                let work = async move {
                    if let Err(failure) = core.order() {
                        return done(Outcome::Failed(failure.to_string()));
                    }
                    let quiet = connections.quiesce(&source).await;
                    done(match quiet {
                        Ok(()) => Outcome::Done,
                        Err(error) => Outcome::Failed(error.to_string()),
                    })
                };
                (slot, self.tasks.spawn(work))
            }
        };
        self.slots.insert(task.id(), slot);
    }

    /// What came of the first effect that ended, and of those that end with it: the slots of one
    /// commit do, but for the time that it takes to wake their tasks.
    async fn ended(&mut self, first: Ended) -> Vec<(u16, Outcome)> {
        tokio::task::yield_now().await;
        let others = std::iter::from_fn(|| self.tasks.try_join_next_with_id());
        let ended: Vec<Ended> = std::iter::once(first).chain(others).collect();
        ended.into_iter().filter_map(|one| self.end(one)).collect()
    }

    fn end(&mut self, ended: Ended) -> Option<(u16, Outcome)> {
        let (id, done) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let outcome = Outcome::Failed("the task of the slot broke".to_owned());
                tracing::error!(%error, "the task of a slot broke");
                let revision = None;
                (error.id(), Done { outcome, revision })
            }
        };
        let slot = self.slots.remove(&id)?;
        match done.revision {
            Some(revision) => self.revisions.insert(slot, revision),
            None => None,
        };
        if let Outcome::Failed(why) = &done.outcome {
            tracing::warn!(slot, why, "slot action failed, it will be tried again");
        }
        Some((slot, done.outcome))
    }
}

const fn done(outcome: Outcome) -> Done {
    let revision = None;
    Done { outcome, revision }
}

async fn store(core: Arc<Core>, step: Step) -> Done {
    let (slot, act) = (step.slot(), step.act);
    let audit = Audit::own(format!("slots/action {slot} {act:?}"));
    let stored = core
        .state
        .edit(audit, move |cluster| step.edit(cluster))
        .await;
    match stored {
        Ok(view) => {
            if act == Act::Clear {
                core.counters.slots_moved.inc();
            }
            let revision = Some(view.revision);
            let outcome = Outcome::Done;
            Done { outcome, revision }
        }
        Err(error) => done(Outcome::Failed(error.to_string())),
    }
}

async fn push(core: Arc<Core>, slot: u16, revision: u64) -> Done {
    let pushed = core.fleet.pushed(&[slot], revision, PUSH_MAX).await;
    let blocking: Vec<&str> = pushed.blocking().collect();
    done(if blocking.is_empty() {
        Outcome::Done
    } else {
        Outcome::Failed(format!(
            "proxy-[{}] resync slots failed: it may serve clients, but does not take the slot; \
             repair it, or remove it with --remove-proxy --force",
            blocking.join("], proxy-[")
        ))
    })
}
