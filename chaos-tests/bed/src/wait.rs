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

/// How often a busy machine may try to show that something takes no longer than it may.
const TRIES: usize = 6;

/// Tries until one try takes less than `limit`. A busy machine may be slow with any of them; what
/// is always slow is slow each time.
pub async fn once_within(limit: Duration, what: &str, mut attempt: impl AsyncFnMut() -> Duration) {
    let mut slow = Vec::new();
    for _ in 0..TRIES {
        let took = attempt().await;
        if took < limit {
            return;
        }
        slow.push(took);
    }
    panic!("not once within {limit:?}: {what}: {slow:?}");
}

/// The same as [`until`], with another limit.
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
