//! What the stall fence did, and what was told by dashboards that do not lead, for `/metrics`.

use std::fmt;

use codis_runtime::metrics::put;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;

use crate::control::Control;

pub(super) fn encode(
    control: &Control,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let fence = &control.shared.fence;
    let counters: [(&str, &str, u64); 4] = [
        (
            "stalls",
            "Times that a worker stood still for 2.5 s or longer",
            fence.stalls(),
        ),
        (
            "stall_fences",
            "Times that a worker then held its requests for the word of a dashboard",
            fence.raised(),
        ),
        (
            "stall_fences_expired",
            "Times that it went on without that word",
            fence.expired(),
        ),
        (
            "stale_dashboard_calls",
            "Calls refused because their dashboard does not lead any more",
            control.stale_calls(),
        ),
    ];
    for (name, help, value) in counters {
        put(encoder, name, help, &ConstCounter::new(value))?;
    }
    let help = "For how long workers held requests after they stood still, summed";
    let held = ConstCounter::new(fence.held().as_secs_f64());
    put(encoder, "stall_fence_held_seconds", help, &held)
}
