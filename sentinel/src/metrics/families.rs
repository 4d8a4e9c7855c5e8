//! Writing families of metrics.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The labels of one figure.
pub type Labels = Vec<(&'static str, String)>;

/// Writes families to an encoder.
pub struct Families<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl<'a> Families<'a> {
    /// Families that go to this encoder.
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self { encoder }
    }

    /// One gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.rows(name, help, [(Labels::new(), ConstGauge::new(value))])
    }

    /// A gauge with labels for each row; nothing when there is none.
    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let gauge = |(labels, value)| (labels, ConstGauge::new(value));
        self.rows(name, help, rows.into_iter().map(gauge))
    }

    /// One counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.rows(name, help, [(Labels::new(), ConstCounter::new(value))])
    }

    /// A counter with labels for each row; nothing when there is none.
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let counter = |(labels, value)| (labels, ConstCounter::new(value));
        self.rows(name, help, rows.into_iter().map(counter))
    }

    fn rows<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut rows = rows.into_iter().peekable();
        let Some((_, first)) = rows.peek() else {
            return Ok(());
        };
        let kind = first.metric_type();
        let mut family = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, metric) in rows {
            if labels.is_empty() {
                return metric.encode(family);
            }
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
