//! What the dashboard counts; `docs/dashboard-metrics.md` explains each name.

mod cluster;
mod leadership;

use axum::http::{Method, StatusCode};
use codis_runtime::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::api::App;
pub use leadership::{Forwarded, Forwards, Refusals, RefusedBy};

/// Shows, at each scrape, the state of the cluster that `app` leads.
pub fn watch(metrics: &Metrics, app: App) {
    let figures = Box::new(cluster::Figures::new(app));
    metrics.register(|registry| registry.register_collector(figures));
}

/// One of few texts, so that a caller cannot make labels at will.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    status: u16,
}

/// What of the store failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

/// How long changes take: 1 ms to 32 s, each bucket twice the one before.
#[derive(Clone, Debug)]
pub struct Durations(Histogram);

impl Default for Durations {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.001, 2.0, 16)))
    }
}

impl Durations {
    /// Counts one.
    pub fn observe(&self, seconds: f64) {
        self.0.observe(seconds);
    }
}

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
    /// How long changes took, from the decision to the answer of the store.
    pub edit_seconds: Durations,
    /// Calls passed on to the leader.
    pub forwards: Forwards,
    /// What was refused because it does not lead any more.
    pub refusals: Refusals,
    requests: Family<Request, Counter>,
    store_errors: Family<Operation, Counter>,
}

impl Counters {
    /// Counters that `metrics` shows.
    pub fn register(metrics: &Metrics) -> Self {
        let counters = Self::default();
        metrics.counters(counters.plain());
        metrics.register(|registry| {
            let durations = counters.edit_seconds.0.clone();
            let help = "From the decision for a change to the answer of the store";
            registry.register("edit_duration_seconds", help, durations);
            let help = "HTTP requests by method and status";
            registry.register("http_requests", help, counters.requests.clone());
            let help = "Reads and writes of records that failed";
            registry.register("store_errors", help, counters.store_errors.clone());
            counters.forwards.register(registry);
            counters.refusals.register(registry);
        });
        for operation in ["load", "write"] {
            // A family shows what was asked for once: zero is a figure too.
            let _ = counters
                .store_errors
                .get_or_create(&Operation { operation });
        }
        counters
    }

    /// The counters without labels: name, what is counted, counter.
    fn plain(&self) -> [(&'static str, &'static str, &Counter); 10] {
        [
            ("edits", "Changes of records that were stored", &self.edits),
            (
                "edits_failed",
                "Changes of records that the store refused",
                &self.edits_failed,
            ),
            (
                "adoptions",
                "Masters adopted from sentinels",
                &self.adoptions,
            ),
            ("fills", "Bodies of slots that proxies took", &self.fills),
            (
                "fills_failed",
                "Bodies of slots that proxies did not take",
                &self.fills_failed,
            ),
            (
                "promotions",
                "Promotions by hand that ended well",
                &self.promotions,
            ),
            (
                "promotions_failed",
                "Promotions by hand that failed",
                &self.promotions_failed,
            ),
            (
                "slots_moved",
                "Slots that reached their group",
                &self.slots_moved,
            ),
            (
                "migrate_commands",
                "Migrate commands given",
                &self.migrate_commands,
            ),
            (
                "migrate_commands_failed",
                "Migrate commands that failed",
                &self.migrate_commands_failed,
            ),
        ]
    }

    /// Counts a request that was answered.
    pub fn answered(&self, method: &Method, status: StatusCode) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::PUT => "PUT",
            _ => "other",
        };
        // On its way out a wrong method becomes an unknown route.
        let status = match status {
            StatusCode::METHOD_NOT_ALLOWED => StatusCode::NOT_FOUND.as_u16(),
            status => status.as_u16(),
        };
        let labels = Request { method, status };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts records that could not be read.
    pub fn load_failed(&self) {
        let operation = "load";
        self.store_errors
            .get_or_create(&Operation { operation })
            .inc();
    }

    /// Counts a commit that the store did not take.
    pub fn write_failed(&self) {
        let operation = "write";
        self.store_errors
            .get_or_create(&Operation { operation })
            .inc();
    }
}
