//! Waiting for conditions instead of times.

use std::time::{Duration, Instant};

/// How long a condition may take to come true on a busy machine, when time is not what is tested.
pub const WAIT_MAX: Duration = Duration::from_secs(150);
/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(10);

/// Waits for a condition; gives how long that took.
pub async fn until(what: &str, condition: impl AsyncFnMut() -> bool) -> Duration {
    until_within(WAIT_MAX, what, condition).await
}

/// The same, with another limit.
pub async fn until_within(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) -> Duration {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(EVERY).await;
    }
    begun.elapsed()
}
