//! The overview and the statistics.

use std::collections::BTreeMap;

use codis_core::api::{GroupSection, Overview, ProxySection, SentinelSection, SlotRange, Stats};
use codis_core::model::SlotMapping;
use codis_runtime::build;

use crate::core::Core;

/// `GET /topom`.
pub fn overview(core: &Core) -> Overview {
    Overview {
        version: build::version(),
        compile: build::compile(),
        config: core.settings.shown(),
        model: core.model.clone(),
        stats: stats(core),
    }
}

/// `GET /topom/stats`, from the newest snapshot and the last answers.
pub fn stats(core: &Core) -> Stats {
    let cluster = core.state.cluster();
    let mut proxies: Vec<_> = cluster.proxies().cloned().collect();
    proxies.sort_by_key(|proxy| proxy.id);
    let masters = core.belief.masters();
    Stats {
        closed: false,
        slots: cluster.slots().to_vec(),
        group: GroupSection {
            models: cluster.groups().cloned().collect(),
            stats: core.polls.servers(),
        },
        proxy: ProxySection {
            models: proxies,
            stats: core.polls.proxies(),
        },
        slot_action: core.slot_actions.section(core),
        sentinels: SentinelSection {
            model: cluster.sentinel().clone(),
            stats: core.polls.sentinels(),
            masters: masters
                .into_iter()
                .map(|(group, master)| (group.to_string(), master))
                .collect::<BTreeMap<_, _>>(),
        },
    }
}

/// `GET /topom/slots/ranges`: neighbours with the same group and action are one.
pub fn ranges(slots: &[SlotMapping]) -> Vec<SlotRange> {
    let mut ranges: Vec<SlotRange> = Vec::new();
    for slot in slots {
        let next = SlotRange {
            begin: slot.id,
            end: slot.id,
            group_id: slot.group_id,
            state: slot.action.state,
            target_id: slot.action.target_id,
        };
        match ranges.last_mut() {
            Some(last) if goes_on(last, &next) => last.end = next.end,
            _ => ranges.push(next),
        }
    }
    ranges
}

fn goes_on(last: &SlotRange, next: &SlotRange) -> bool {
    last.end + 1 == next.begin
        && (last.group_id, last.state, last.target_id)
            == (next.group_id, next.state, next.target_id)
}
