//! Metrics in the OpenMetrics text form.
//!
//! Each daemon has one [`Metrics`]; what it measures is declared beside the thing measured and
//! registered here. Names come out as `codis_<daemon>_<thing>_<unit>`. Build and process figures
//! are there from the start.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::{build, process};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of one daemon. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// A registry whose names start with `codis_<daemon>_`.
    pub fn new(daemon: &str) -> Self {
        let mut registry = Registry::with_prefix(format!("codis_{daemon}"));
        let labels = vec![("version", build::version()), ("compile", build::compile())];
        registry.register("build", "Which build this is", Info::new(labels));
        registry.register_collector(Box::new(ProcessCollector));
        Self {
            registry: Arc::new(Mutex::new(registry)),
        }
    }

    /// Lets `add` register what it measures.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(&mut self.registry())
    }

    /// Registers counters without labels: name, what is counted, counter.
    pub fn counters<'a>(&self, rows: impl IntoIterator<Item = (&'a str, &'a str, &'a Counter)>) {
        let mut registry = self.registry();
        for (name, help, counter) in rows {
            registry.register(name, help, counter.clone());
        }
    }

    /// All metrics as text.
    ///
    /// # Errors
    /// A collector failed.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(4096);
        prometheus_client::encoding::text::encode(&mut text, &self.registry())?;
        Ok(text)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the figures of this process at each scrape.
#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Without /proc there is nothing to tell, and no reason to fail the scrape.
        let Ok(sample) = process::Sample::take() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(sample.busy().as_secs_f64());
        put(
            &mut encoder,
            "process_cpu_seconds",
            "CPU time used since the start",
            &cpu,
        )?;
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Memory in use",
                Some(sample.raw.vm_rss),
            ),
            (
                "process_virtual_memory_bytes",
                "Memory mapped",
                Some(sample.raw.vm_size),
            ),
            ("process_threads", "Threads", Some(sample.raw.num_threads)),
            (
                "process_open_files",
                "Open file descriptors",
                process::open_files(),
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                put(&mut encoder, name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }
}

/// Encodes one metric without labels: what a [collector](prometheus_client::collector::Collector)
/// is made of.
///
/// # Errors
/// The writer's.
pub fn put(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    let metric_encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(metric_encoder)
}
