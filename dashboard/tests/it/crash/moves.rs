//! Slots on their way, with keys.

use codis_core::api::Stats;
use codis_core::model::ActionState;
use codis_core::slot::SlotId;

use super::stage::Stage;
use super::{Operation, Plan};
use crate::bed::free_port;
use crate::double::Double;
use crate::plain::Server;

/// Groups of servers that speak SLOTS*, and the slots that move between them.
const FIRST: u32 = 3;
const SECOND: u32 = 4;
const SLOT: u16 = 1000;

/// A server with data behind one that knows its slots. It ends with the stage.
type Site = (Server, Double);

/// Groups 3 and 4, of which the first has [`SLOT`].
async fn sites(stage: &mut Stage) -> [Site; 2] {
    let sites = [FIRST, SECOND].map(|_| {
        let data = Server::start(&[]);
        // A port that no other product of the store has: its records outlive its servers.
        let double = Double::listen(&data, free_port());
        (data, double)
    });
    for (group, (_, double)) in (FIRST..).zip(&sites) {
        stage.put(&format!("group/create/X/{group}")).await;
        stage
            .put(&format!("group/add/X/{group}/{}", double.addr))
            .await;
    }
    stage.give(SLOT..=SLOT, FIRST).await;
    sites
}

/// Puts keys of a slot where the slot is, and has the stage look after them.
fn fill(stage: &mut Stage, slot: u16, count: usize, site: &Site) {
    let of_slot = |key: &String| SlotId::of_key(key.as_bytes()).get() == slot;
    let keys = (0_u32..).map(|number| format!("key-{number}"));
    for key in keys.filter(of_slot).take(count) {
        site.0.client().text(&["SET", &key, "value"]);
        stage.keys.push(key);
    }
}

fn other(group: u32) -> u32 {
    FIRST + SECOND - group
}

fn owner(stats: &Stats) -> u32 {
    stats.slots[usize::from(SLOT)].group_id
}

pub async fn one_slot(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    let sites = sites(&mut stage).await;
    fill(&mut stage, SLOT, 5, &sites[0]);
    stage.at_each_write("move a slot", OneSlot).await;
}

/// A slot that moves is at its new group with its keys, or still at the old one with them.
struct OneSlot;

impl Operation for OneSlot {
    async fn prepare(&mut self, _: &mut Stage) {}

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        // It may be gone: what was armed may meet a write of its own.
        let to = other(owner(&stage.stats().await?));
        let path = format!("slots/action/create/X/{SLOT}/{to}");
        stage.ask(&path, "").await
    }
}

/// A pause between keys, in microseconds: long enough to come between.
const PAUSE: u32 = 100_000;
const KEYS: usize = 6;

pub async fn taken_back(plan: Plan) {
    let mut stage = Stage::new(plan, "migration_async_numkeys = 1\n").await;
    let sites = sites(&mut stage).await;
    fill(&mut stage, SLOT, KEYS, &sites[0]);
    let path = format!("slots/action/interval/X/{PAUSE}");
    stage.put(&path).await;
    let taken_back = TakenBack { sites: &sites };
    stage.at_each_write("take a move back", taken_back).await;
}

/// A slot that is under way with some of its keys comes back with all of them, or arrives.
struct TakenBack<'a> {
    sites: &'a [Site; 2],
}

impl TakenBack<'_> {
    fn keys_of(&self, group: u32) -> usize {
        let (data, _) = &self.sites[usize::from(group == SECOND)];
        data.client().text(&["DBSIZE"]).parse().unwrap()
    }
}

impl Operation for TakenBack<'_> {
    async fn prepare(&mut self, stage: &mut Stage) {
        stage
            .until("some keys have moved, and some have not", async || {
                let stats = stage.now().await;
                let (state, to) = {
                    let slot = &stats.slots[usize::from(SLOT)];
                    (slot.action.state, slot.action.target_id)
                };
                if state == ActionState::Nothing {
                    // It has not begun, or all have moved while a busy machine did not look.
                    let to = other(owner(&stats));
                    let path = format!("slots/action/create/X/{SLOT}/{to}");
                    stage.put(&path).await;
                }
                state == ActionState::Migrating && self.keys_of(to) > 0
            })
            .await;
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        let path = format!("slots/action/cancel/X/{SLOT}");
        stage.ask(&path, "").await
    }
}

/// Slots of each group when they are level, but for two.
const LEVEL: [(u32, std::ops::RangeInclusive<u16>); 4] = [
    (1, 0..=255),
    (2, 256..=511),
    (3, 512..=769),
    (4, 770..=1023),
];
/// Those that a plan moves: the highest of the group that has too many.
const PLANNED: std::ops::RangeInclusive<u16> = 768..=769;

pub async fn levelled(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    let sites = sites(&mut stage).await;
    // Most slots go to servers that have never heard of their keys.
    stage.keys.clear();
    for (group, slots) in LEVEL {
        stage.give(slots, group).await;
    }
    let levels = Levels { sites: &sites };
    stage.at_each_write("rebalance", levels).await;
}

/// The whole plan is carried out, or nothing of it.
struct Levels<'a> {
    sites: &'a [Site; 2],
}

impl Operation for Levels<'_> {
    async fn prepare(&mut self, stage: &mut Stage) {
        let [first, second] = self.sites;
        second.0.client().text(&["FLUSHALL"]);
        stage.keys.clear();
        for slot in PLANNED {
            fill(stage, slot, 3, first);
        }
        stage.give(PLANNED, FIRST).await;
        stage
            .until_quiet("all is level but for two", async |_| true)
            .await;
    }

    async fn begin(&mut self, stage: &Stage) -> Option<u16> {
        stage.ask("slots/rebalance/X/1", "").await
    }

    async fn has_ended(&self, _: &Stage, stats: &Stats) -> bool {
        let owners = PLANNED.map(|slot| stats.slots[usize::from(slot)].group_id);
        let owners: Vec<u32> = owners.collect();
        owners == [FIRST; 2] || owners == [SECOND; 2]
    }
}
