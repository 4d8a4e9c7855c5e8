//! The time constants of the sentinel, which `SENTINEL DEBUG` replaces at run time.
//!
//! The defaults are those of Redis Sentinel. This machine is driven by events and often faster
//! than they say; so each is the upper bound, or the idle pace, of what its name means there.

use std::time::Duration;

/// How much of a period hellos may be late before they are sent again: one part of this many.
const PUBLISH_RETRIES: u32 = 4;
/// Upper bound of a pause after a hello that could not be sent.
const PUBLISH_RETRY_MAX: Duration = Duration::from_millis(500);

/// The time constants of the whole sentinel. Each is more than 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// `info-period`: between two INFO of a server of which nothing is expected; no INFO is rarer.
    pub info_period: Duration,
    /// `ping-period`: the longest time between two PINGs, and between two tries to connect.
    pub ping_period: Duration,
    /// `ask-period`: the longest time between two questions to a sentinel about a master that is
    /// down. Its word counts for five of them.
    pub ask_period: Duration,
    /// `publish-period`: between two hellos.
    pub publish_period: Duration,
    /// `default-down-after`: of masters that are added by an order.
    pub default_down_after: Duration,
    /// `default-failover-timeout`: of masters that are added by an order.
    pub default_failover_timeout: Duration,
    /// `tilt-trigger`: a stall of this process that is longer makes it doubt its own judgement.
    pub tilt_trigger: Duration,
    /// `tilt-period`: the longest time for which it does.
    pub tilt_period: Duration,
    /// `slave-reconf-timeout`: within it a replica obeys the order to follow another master.
    pub replica_reconf_timeout: Duration,
    /// `min-link-reconnect-period`: a connection that is younger is not closed for its silence.
    pub min_link_reconnect_period: Duration,
    /// `election-timeout`: no attempt to be elected takes longer.
    pub election_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            info_period: secs(10),
            ping_period: secs(1),
            ask_period: secs(1),
            publish_period: secs(2),
            default_down_after: secs(30),
            default_failover_timeout: secs(180),
            tilt_trigger: secs(2),
            tilt_period: secs(30),
            replica_reconf_timeout: secs(10),
            min_link_reconnect_period: secs(15),
            election_timeout: secs(10),
        }
    }
}

impl Timing {
    /// The last proof of life of a candidate for promotion is no older.
    pub(crate) fn silence_max(&self) -> Duration {
        5 * self.ping_period
    }

    /// The word of a sentinel about a master counts for this long.
    pub(crate) fn opinion_age_max(&self) -> Duration {
        5 * self.ask_period
    }

    /// Silence on a pub/sub connection, on which at least our own hellos arrive, that closes it.
    pub(crate) fn pubsub_silence_max(&self) -> Duration {
        3 * self.publish_period
    }

    /// A replica that says it is a master is left alone this long, when nothing more is known of
    /// it.
    pub(crate) fn convert_after(&self) -> Duration {
        4 * self.publish_period
    }

    /// Time until a hello that could not be sent, or was refused, is tried again.
    pub(crate) fn publish_retry(&self) -> Duration {
        (self.publish_period / PUBLISH_RETRIES).clamp(MIN, PUBLISH_RETRY_MAX)
    }
}

/// No pause is shorter.
const MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_multiples_of_the_defaults_are_those_of_redis() {
        let timing = Timing::default();
        let all = [
            timing.silence_max(),
            timing.opinion_age_max(),
            timing.pubsub_silence_max(),
            timing.convert_after(),
            timing.publish_retry(),
        ];
        assert_eq!(all.map(|it| it.as_millis()), [5000, 5000, 6000, 8000, 500]);
    }

    #[test]
    fn no_multiple_is_zero_or_overflows() {
        for period in [MIN, Duration::from_millis(i64::MAX.unsigned_abs())] {
            let timing = Timing {
                ping_period: period,
                ask_period: period,
                publish_period: period,
                ..Timing::default()
            };
            assert!(timing.publish_retry() >= MIN);
            assert!(timing.silence_max() > period && timing.convert_after() > period);
        }
    }
}
