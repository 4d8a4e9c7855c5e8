//! Wall time: for people to read, never to decide by.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 of the moment `age` before `now`.
pub fn millis_before(now: SystemTime, age: Duration) -> u64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_leads_back_in_time_but_not_before_1970() {
        let now = UNIX_EPOCH + Duration::from_secs(10);
        assert_eq!(millis_before(now, Duration::from_millis(1500)), 8500);
        assert_eq!(millis_before(now, Duration::from_secs(60)), 0);
    }
}
