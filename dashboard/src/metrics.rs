//! What the dashboard counts.

use codis_runtime::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;

/// The counters of the dashboard. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Changes stored.
    pub edits: Counter,
    /// Changes that the store did not take.
    pub edits_failed: Counter,
    /// Masters adopted from sentinels.
    pub adoptions: Counter,
    /// Bodies of slots that proxies took.
    pub fills: Counter,
    /// Bodies of slots that proxies did not take.
    pub fills_failed: Counter,
    /// Promotions by hand that ended well.
    pub promotions: Counter,
    /// Promotions by hand that did not.
    pub promotions_failed: Counter,
    /// Slots that reached their group.
    pub slots_moved: Counter,
    /// Migrate commands given.
    pub migrate_commands: Counter,
    /// Migrate commands that failed.
    pub migrate_commands_failed: Counter,
}

impl Counters {
    /// Counters that `metrics` shows.
    pub fn register(metrics: &Metrics) -> Self {
        let counters = Self::default();
        let all = [
            (
                "edits",
                "Changes of records that were stored",
                &counters.edits,
            ),
            (
                "edits_failed",
                "Changes of records that the store refused",
                &counters.edits_failed,
            ),
            (
                "adoptions",
                "Masters adopted from sentinels",
                &counters.adoptions,
            ),
            (
                "fills",
                "Bodies of slots that proxies took",
                &counters.fills,
            ),
            (
                "fills_failed",
                "Bodies of slots that proxies did not take",
                &counters.fills_failed,
            ),
            (
                "promotions",
                "Promotions by hand that ended well",
                &counters.promotions,
            ),
            (
                "promotions_failed",
                "Promotions by hand that failed",
                &counters.promotions_failed,
            ),
            (
                "slots_moved",
                "Slots that reached their group",
                &counters.slots_moved,
            ),
            (
                "migrate_commands",
                "Migrate commands given",
                &counters.migrate_commands,
            ),
            (
                "migrate_commands_failed",
                "Migrate commands that failed",
                &counters.migrate_commands_failed,
            ),
        ];
        metrics.register(|registry| {
            for (name, help, counter) in all {
                registry.register(name, help, counter.clone());
            }
        });
        counters
    }
}
