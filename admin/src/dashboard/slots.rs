//! Slots: who owns them.

use std::time::Duration;

use anyhow::{Context, ensure};
use codis_core::api::Slot;
use codis_core::model::SlotMapping;

use super::{Dashboard, advised, is_refused_unseen};
use crate::cli::Options;
use crate::output::Answer;
use crate::progress::Bar;

/// Between two looks at how far an assignment is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The highest slot.
const SLOT_MAX: u32 = 1023;

/// `--slots-assign`: shows the mapping, and with `--confirm` makes it so.
pub async fn assign(dashboard: &Dashboard, options: &Options) -> anyhow::Result<Answer> {
    let (beg, end) = (options.needed_number("beg")?, options.needed_number("end")?);
    ensure!(
        beg <= end && end <= SLOT_MAX,
        "invalid slot range [{beg},{end}]: give 0 <= --beg <= --end <= {SLOT_MAX}"
    );
    let group_id = options.number("gid").unwrap_or(0);
    ensure!(
        options.has("offline") || group_id != 0,
        "invalid group id = 0, out of range"
    );
    let slots: Vec<SlotMapping> = (beg..=end)
        .filter_map(|id| u16::try_from(id).ok())
        .map(|id| SlotMapping {
            id,
            group_id,
            ..SlotMapping::default()
        })
        .collect();
    if !options.has("confirm") {
        eprintln!(
            "codis-admin: nothing was changed; add --confirm to assign these {} slots",
            slots.len()
        );
        return Answer::json(&slots);
    }
    let path = if options.has("offline") {
        format!("{}/offline", dashboard.path("slots/assign", &[]))
    } else {
        dashboard.path("slots/assign", &[])
    };
    send(dashboard, &path, &slots)
        .await
        .with_context(|| format!("assign slots {beg} to {end}"))?;
    Ok(Answer::Done)
}

/// Sends the mapping in one call, which the dashboard carries out as a whole. Who watches a
/// terminal sees how far it is: the dashboard tells meanwhile who owns which slot.
async fn send(dashboard: &Dashboard, path: &str, slots: &[SlotMapping]) -> anyhow::Result<()> {
    let put = async |addr: &str| dashboard.talk.put_json(addr, path, slots).await;
    let call = dashboard.ask(put, is_refused_unseen);
    let bar = Bar::new("slots assigned", slots.len());
    let watch = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Ok(stats) = dashboard.stats().await {
                let given = |slot: &&SlotMapping| {
                    let held = stats.slots.get(usize::from(slot.id));
                    held.is_some_and(|held| held.group_id == slot.group_id)
                };
                bar.at(slots.iter().filter(given).count());
            }
        }
    };
    tokio::select! {
        outcome = call => {
            let _: serde_json::Value = advised(outcome)?;
            Ok(())
        }
        () = watch, if bar.is_seen() => Ok(()),
    }
}

/// `--slots-status`: all slots as the proxies should have them.
pub async fn status(dashboard: &Dashboard) -> anyhow::Result<Answer> {
    let slots: Vec<Slot> = dashboard.get_json("slots").await?;
    Answer::json(&slots)
}
