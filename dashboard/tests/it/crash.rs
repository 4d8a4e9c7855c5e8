//! A dashboard that dies at each of its store writes: before it, after it, or with its answer lost.
//!
//! Whoever leads next finds an operation that was begun, finishes it or undoes it without a word of
//! anybody, and nothing that must always hold is broken (`invariants`). The next leader is the
//! same program started again, or a standby that was there already and has the lease of the dead
//! one to take over.
//!
//! On a directory every operation is tried at all its writes. On etcd and ZooKeeper, where a dead
//! leader costs a lease each time, at a sample of them, all operations side by side on one server.

mod groups;
mod invariants;
mod moves;
mod restore;
mod sentinels;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use codis_bed::wait::WAIT_MAX;
use codis_core::api::Stats;
use codis_core::model::{ActionState, Group};

use crate::stores::{Kind, Store};
use stage::{Ground, Stage};

/// More writes than any operation makes.
const WRITES_MAX: u32 = 200;
/// How long an operation may take until it is clear that it met no fault.
const OUTCOME_MAX: Duration = WAIT_MAX;

/// How often a round is tried that a busy machine makes void.
const TRIES: usize = 8;

/// Families that share a server at a time: most of the time they wait for a lease to end.
const AT_ONCE: usize = 3;

/// Where a dashboard dies, and what becomes of an answer.
const BEFORE: &str = "store.write.before";
const AFTER: &str = "store.write.after";
const UNANSWERED: &str = "store.write.unanswered";

/// Who finishes what a dead leader left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heir {
    /// Another process, started afterwards.
    Restart,
    /// One that was there before.
    Standby,
}

/// Where, how and how thoroughly.
#[derive(Clone)]
pub struct Plan {
    ground: Ground,
    heir: Heir,
    points: &'static [&'static str],
    /// Which writes of an operation are tried, in order.
    writes: fn(u32) -> u32,
}

impl Plan {
    /// All points, with a restart after each.
    fn restart() -> Self {
        Self {
            ground: Ground::directory(),
            heir: Heir::Restart,
            points: &[BEFORE, AFTER, UNANSWERED],
            writes: |turn| turn,
        }
    }

    /// All states that a death can leave, each found by a standby.
    fn standby() -> Self {
        Self {
            heir: Heir::Standby,
            points: &[AFTER],
            ..Self::restart()
        }
    }

    /// The first writes, and then fewer and fewer of them: 1, 2, 4, 7, 11.
    fn sample(store: &Arc<Store>) -> Self {
        Self {
            ground: Ground::server(store),
            heir: Heir::Standby,
            points: &[AFTER, UNANSWERED],
            writes: |turn| 1 + turn * (turn - 1) / 2,
        }
    }
}

/// Something that an operator asks for.
trait Operation {
    /// Makes what each round needs, with nothing armed.
    async fn prepare(&mut self, stage: &mut Stage);

    /// Asks for it. Gives the status of the answer, or nothing when none came.
    async fn begin(&mut self, stage: &Stage) -> Option<u16>;

    /// Whether it is finished or undone, when nothing is under way any more.
    async fn has_ended(&self, _stage: &Stage, _stats: &Stats) -> bool {
        true
    }
}

impl Stage {
    /// Has `operation` begun by a dashboard that dies at its first store write, then by one that
    /// dies at its second, until one lives through it; the same for each kind of death. Each time
    /// it must end, of which only the next leader takes care.
    async fn at_each_write(&mut self, name: &str, mut operation: impl Operation) {
        for point in self.plan.points {
            let mut hits = 0;
            for turn in 1.. {
                let count = (self.plan.writes)(turn);
                assert!(count < WRITES_MAX, "{name}, {point}: it never ends");
                self.at = format!("{name}, {point} {count}");
                if !self.rounds(point, count, &mut operation).await {
                    break;
                }
                hits += 1;
            }
            assert!(hits > 0, "{name}: {point} was never passed");
            eprintln!("{}: {name}, {point}: {hits} times", self.plan.ground.name);
        }
    }

    /// Tries until one round counts; gives whether that met its fault.
    async fn rounds(&mut self, point: &str, count: u32, operation: &mut impl Operation) -> bool {
        for _ in 0..TRIES {
            if let Some(met) = self.round(point, count, operation).await {
                return met;
            }
        }
        panic!("{}: no leader keeps its lease", self.at);
    }

    /// One try; gives whether it met its fault, or nothing when the one that was to meet it lost
    /// the lead before that.
    async fn round(
        &mut self,
        point: &str,
        count: u32,
        operation: &mut impl Operation,
    ) -> Option<bool> {
        operation.prepare(self).await;
        self.follow_the_lead().await;
        self.arm(point, count);
        let answer = self.begin(operation).await;
        let hit = self.meets_fault(answer, operation).await;
        let is_void = !hit && self.has_lost_the_lead().await;
        self.disarm();
        if hit && point != UNANSWERED {
            self.succeed().await;
        }
        let what = "the operation is finished or undone";
        let ended = async |stats: &Stats| operation.has_ended(self, stats).await;
        self.until_quiet(what, ended).await;
        self.follow_the_lead().await;
        self.check().await;
        (!is_void).then_some(hit)
    }

    /// Begins, again when it is refused: a sentinel or a proxy may not be ready yet.
    async fn begin(&self, operation: &mut impl Operation) -> Option<u16> {
        let deadline = tokio::time::Instant::now() + OUTCOME_MAX;
        loop {
            let answer = operation.begin(self).await;
            let refused = answer.is_some_and(|status| status != 200) && !self.is_hit();
            if !refused || tokio::time::Instant::now() > deadline {
                return answer;
            }
            self.until_quiet_or_hit("what was refused is over").await;
        }
    }

    /// Whether the point was reached. It was not when the operation ended without.
    async fn meets_fault(&self, answer: Option<u16>, operation: &impl Operation) -> bool {
        let deadline = tokio::time::Instant::now() + OUTCOME_MAX;
        loop {
            if self.is_hit() {
                return true;
            }
            if answer.is_some()
                && let Some(stats) = self.stats().await
                && is_quiet(&stats)
                && operation.has_ended(self, &stats).await
            {
                return self.is_hit();
            }
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "{}: neither ended nor met its fault", self.at);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Nothing is under way, and everybody holds what is on record.
fn is_quiet(stats: &Stats) -> bool {
    let busy = |state| matches!(state, ActionState::Pending | ActionState::Syncing);
    let at_rest = |group: &Group| {
        let mut servers = group.servers.iter();
        group.promoting.state == ActionState::Nothing
            && !group.out_of_sync
            && servers.all(|server| !busy(server.action.state))
    };
    let mut slots = stats.slots.iter();
    stats.group.models.iter().all(at_rest)
        && !stats.sentinels.model.out_of_sync
        && slots.all(|slot| slot.action.state == ActionState::Nothing)
}

/// Tests for each family of operations on a directory, and for all of them on a server.
macro_rules! families {
    ($($family:ident: $module:ident::$run:ident;)*) => {
        mod restarted {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $family() {
                super::$module::$run(super::Plan::restart()).await;
            })*
        }

        mod standby_leads {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $family() {
                super::$module::$run(super::Plan::standby()).await;
            })*
        }

        /// All families on one server, some at once, each in a product of its own.
        fn on_a_server(kind: Kind) {
            let store = Arc::new(Store::start(kind));
            let turns = tokio::sync::Semaphore::new(AT_ONCE);
            std::thread::scope(|scope| {
                $({
                    let (plan, turns) = (Plan::sample(&store), &turns);
                    let work = move || {
                        let runtime = runtime();
                        let _turn = runtime.block_on(turns.acquire()).unwrap();
                        runtime.block_on($module::$run(plan));
                    };
                    let name = format!("{kind:?}: {}", stringify!($family));
                    let thread = std::thread::Builder::new().name(name);
                    thread.spawn_scoped(scope, work).unwrap();
                })*
            });
        }
    };
}

families! {
    groups_come_and_go: groups::come_and_go;
    replicas_are_promoted_and_synced: groups::promote_and_sync;
    slots_are_assigned: groups::assign;
    proxies_come_and_go: groups::proxies;
    slots_move: moves::one_slot;
    moves_are_taken_back: moves::taken_back;
    slots_are_levelled: moves::levelled;
    sentinels_come_and_go: sentinels::come_and_go;
    sentinels_promote: sentinels::promote;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stock_sentinels_were_told_for_a_promotion_is_taken_back() {
    let plan = Plan {
        points: &[AFTER],
        ..Plan::restart()
    };
    sentinels::promote_by_stock(plan).await;
}

/// A directory makes a commit in several steps, and the process may die between any two.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_a_directory_is_whole_wherever_its_writer_dies() {
    let plan = Plan {
        points: &[
            "store.directory.staged",
            "store.directory.journal",
            "store.directory.step",
            "store.directory.synced",
        ],
        // Of the many renames of one commit: 1, 4, 13, 40.
        writes: |turn| (3_u32.pow(turn) - 1) / 2,
        ..Plan::restart()
    };
    groups::assign(plan).await;
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_standby_goes_on_with_every_operation_on_etcd() {
    on_a_server(Kind::Etcd);
}

#[test]
fn a_standby_goes_on_with_every_operation_on_zookeeper() {
    on_a_server(Kind::ZooKeeper);
}
