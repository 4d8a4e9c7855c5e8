//! What waits for slots, and what migration does, for `/metrics`.

use std::fmt;

use codis_runtime::metrics::put;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::control::Control;

pub(super) fn encode(
    control: &Control,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let figures = &control.figures;
    let counters: [(&str, &str, u64); 4] = [
        (
            "slot_wait_timeouts",
            "Requests that waited for a locked or migrating slot for too long",
            figures.sum(|c| &c.slot_timeouts),
        ),
        (
            "slot_wait_refusals",
            "Requests that found no memory to wait for a locked or migrating slot",
            figures.sum(|c| &c.slot_refusals),
        ),
        (
            "migrate_moves",
            "Orders to move a key that a request of a migrating slot needs",
            figures.sum(|c| &c.migrate_moves),
        ),
        (
            "migrate_waits",
            "Pauses of requests whose key was being moved",
            figures.sum(|c| &c.migrate_waits),
        ),
    ];
    for (name, help, value) in counters {
        put(encoder, name, help, &ConstCounter::new(value))?;
    }
    let gauges: [(&str, &str, u64); 3] = [
        (
            "slot_waiting",
            "Requests that wait for a locked or migrating slot",
            figures.sum(|c| &c.slot_waiting),
        ),
        (
            "slot_waiting_bytes",
            "Memory of the requests that wait for a locked or migrating slot",
            figures.sum(|c| &c.slot_waiting_bytes),
        ),
        (
            "slot_waiting_bytes_max",
            "Memory that they may take",
            control.settings().slot_wait_max_bytes.as_usize() as u64,
        ),
    ];
    for (name, help, value) in gauges {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        put(encoder, name, help, &ConstGauge::new(value))?;
    }
    Ok(())
}
