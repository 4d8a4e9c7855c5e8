//! The slots that move while the dashboard is lost.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use codis_core::api::Stats;
use codis_core::model::{ActionState, SlotMapping};

use crate::control::Control;
use crate::scenario::failover::POLL;

/// They begin in group 1 and go to and fro between it and group 2, once a run.
pub const SLOTS: (u16, u16) = (242, 341);
/// The name of the lanes of clients that write to them.
pub const MOVING: u32 = 0;
/// So many have arrived when the dashboard is lost.
const ARRIVED: usize = 10;
const BEGIN_MAX: Duration = Duration::from_secs(60);

/// Which way the slots go.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// The group that has them.
    pub from: u32,
    /// The group that they go to.
    pub to: u32,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = SLOTS;
        let Self { from, to } = self;
        write!(f, "{first} to {last} from group {from} to group {to}")
    }
}

impl Course {
    /// Away from where they are.
    pub fn choose(stats: &Stats) -> anyhow::Result<Self> {
        let first = slots(stats).next().context("no slot is known")?;
        match first.group_id {
            1 => Ok(Self { from: 1, to: 2 }),
            2 => Ok(Self { from: 2, to: 1 }),
            other => anyhow::bail!("slot {} is in group {other}, not in 1 or 2", first.id),
        }
    }

    /// How many slots have not arrived.
    pub fn left(&self, stats: &Stats) -> usize {
        let arrived = slots(stats)
            .filter(|slot| slot.group_id == self.to && slot.action.state == ActionState::Nothing);
        let (first, last) = SLOTS;
        usize::from(last - first + 1) - arrived.count()
    }
}

fn slots(stats: &Stats) -> impl Iterator<Item = &SlotMapping> {
    let (first, last) = SLOTS;
    let ours = move |slot: &&SlotMapping| (first..=last).contains(&slot.id);
    stats.slots.iter().filter(ours)
}

/// Orders the slots to move and waits until some have; gives how many have not.
pub async fn begin(control: &Control, course: Course) -> anyhow::Result<usize> {
    let ordered = control.move_slots(SLOTS, course.to).await;
    ordered.with_context(|| format!("move slots {course}"))?;
    let (first, last) = SLOTS;
    let enough = usize::from(last - first + 1) - ARRIVED;
    let deadline = Instant::now() + BEGIN_MAX;
    loop {
        let left = control.stats().await.map(|stats| course.left(&stats));
        let late = Instant::now() >= deadline;
        match left {
            Ok(left) if left <= enough => return Ok(left),
            Ok(left) if late => {
                anyhow::bail!("slots do not move: {left} are left after {BEGIN_MAX:?}")
            }
            Err(error) if late => return Err(error).context("ask how the slots move"),
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(POLL).await;
    }
}
