//! What the figures are held to.

use std::fmt;

use super::contender::Contender;

/// A figure of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// CPU seconds of the proxy for a million requests.
    Cpu,
    /// Requests a second.
    Rate,
    /// The latency that 99 of 100 requests stay below.
    P99,
}

/// How a contender must do beside another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Who.
    pub contender: Contender,
    /// In what.
    pub metric: Metric,
    /// Beside whom, in the same round.
    pub beside: Contender,
    /// The ratio: of a rate at least, of everything else at most.
    pub limit: f64,
}

impl Target {
    /// Ours may cost that part of what `beside` costs.
    pub const fn cpu(beside: Contender, limit: f64) -> Self {
        Self {
            contender: Contender::Ours(1),
            metric: Metric::Cpu,
            beside,
            limit,
        }
    }

    /// Two worker threads may cost so much more than one.
    pub const TWO_WORKERS: Self = Self {
        contender: Contender::Ours(2),
        ..Self::cpu(Contender::Ours(1), 1.10)
    };

    /// Whether a ratio is as it should be.
    pub fn is_met(&self, ratio: f64) -> bool {
        match self.metric {
            Metric::Rate => ratio >= self.limit,
            Metric::Cpu | Metric::P99 => ratio <= self.limit,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, sign) = match self.metric {
            Metric::Cpu => ("CPU", "<="),
            Metric::Rate => ("rate", ">="),
            Metric::P99 => ("p99", "<="),
        };
        let (who, beside, limit) = (self.contender.name(), self.beside.name(), self.limit);
        write!(f, "{metric} of {who} {sign} {limit:.2} of {beside}")
    }
}
