//! Slots: who owns them.

use anyhow::{Context, ensure};
use codis_core::api::Slot;
use codis_core::model::SlotMapping;

use super::Dashboard;
use crate::cli::Options;
use crate::output::print_json;

/// The highest slot.
const SLOT_MAX: u32 = 1023;

/// `--slots-assign`: shows the mapping, and with `--confirm` makes it so.
pub async fn assign(dashboard: &Dashboard, options: &Options) -> anyhow::Result<()> {
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
        print_json(&slots)?;
        eprintln!(
            "nothing was changed; add --confirm to assign these {} slots",
            slots.len()
        );
        return Ok(());
    }
    let path = if options.has("offline") {
        format!("{}/offline", dashboard.path("slots/assign", &[]))
    } else {
        dashboard.path("slots/assign", &[])
    };
    let _: serde_json::Value = dashboard
        .client
        .put_json(&dashboard.addr, &path, &slots)
        .await
        .with_context(|| format!("assign slots {beg} to {end}"))?;
    Ok(())
}

/// `--slots-status`: all slots as the proxies should have them.
pub async fn status(dashboard: &Dashboard) -> anyhow::Result<()> {
    let slots: Vec<Slot> = dashboard.get_json("slots").await?;
    print_json(&slots)
}
