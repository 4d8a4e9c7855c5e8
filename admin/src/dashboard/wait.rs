//! `--wait`: stays until queued slots are where they should be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use codis_core::api::Stats;
use codis_core::model::ActionState;

use super::Dashboard;
use crate::progress::Bar;

/// Between two looks at the slots.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long no dashboard may answer: the migration goes on meanwhile, and so does a takeover.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Slots that an error lists.
const SLOTS_SHOWN_MAX: usize = 16;

/// How many of the wanted slots moved, and those that nobody moves any more.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    moved: usize,
    left: Vec<u16>,
}

/// Waits until each slot belongs to its group and its migration is over.
pub async fn until_moved(dashboard: &Dashboard, wanted: &BTreeMap<u16, u32>) -> anyhow::Result<()> {
    let bar = Bar::new("slots moved", wanted.len());
    let (mut answered, mut paused) = (Instant::now(), false);
    loop {
        match dashboard.fresh_stats().await {
            Ok(stats) => {
                answered = Instant::now();
                let seen = look(&stats, wanted);
                bar.at(seen.moved);
                bar.tell(&stats.slot_action.progress.status);
                if seen.moved + seen.left.len() == wanted.len() {
                    return settled(&seen.left);
                }
                if stats.slot_action.disabled && !paused {
                    bar.note(
                        "slot actions are disabled: nothing moves until --slot-action --disabled=0",
                    );
                }
                paused = stats.slot_action.disabled;
            }
            Err(error) if answered.elapsed() < SILENCE_MAX => bar.tell(&format!("{error:#}")),
            Err(error) => {
                return Err(error).context(
                    "no dashboard answers any more; the slots stay queued, and move as soon as one \
                     leads again",
                );
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn look(stats: &Stats, wanted: &BTreeMap<u16, u32>) -> Seen {
    let (mut moved, mut left) = (0, Vec::new());
    for slot in &stats.slots {
        let Some(group) = wanted.get(&slot.id) else {
            continue;
        };
        if slot.action.state != ActionState::Nothing {
            continue;
        }
        if slot.group_id == *group {
            moved += 1;
        } else {
            left.push(slot.id);
        }
    }
    Seen { moved, left }
}

fn settled(left: &[u16]) -> anyhow::Result<()> {
    let shown: Vec<String> = left
        .iter()
        .take(SLOTS_SHOWN_MAX)
        .map(u16::to_string)
        .collect();
    let more = if left.len() > SLOTS_SHOWN_MAX {
        ", ..."
    } else {
        ""
    };
    ensure!(
        left.is_empty(),
        "{} slots did not move, their actions were removed or cancelled meanwhile: {}{more}; queue \
         them again when they should",
        left.len(),
        shown.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use codis_core::model::{SlotAction, SlotMapping};

    use super::*;

    #[test]
    fn slots_are_there_on_their_way_or_left_behind() {
        let slot = |id, group_id, state| SlotMapping {
            id,
            group_id,
            action: SlotAction {
                state,
                ..SlotAction::default()
            },
        };
        let stats = Stats {
            slots: vec![
                slot(0, 2, ActionState::Nothing),
                slot(1, 1, ActionState::Migrating),
                slot(2, 1, ActionState::Nothing),
                slot(3, 1, ActionState::Nothing),
            ],
            ..Stats::default()
        };
        let wanted = BTreeMap::from([(0, 2), (1, 2), (2, 2)]);
        let seen = look(&stats, &wanted);
        let expected = Seen {
            moved: 1,
            left: vec![2],
        };
        assert_eq!(seen, expected);
        let told = settled(&seen.left).unwrap_err().to_string();
        assert!(told.starts_with("1 slots did not move"), "{told}");
        assert!(settled(&[]).is_ok());
    }
}
