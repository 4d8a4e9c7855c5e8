//! Wall-clock texts. They are for people: nothing is ever decided by them.

use std::sync::OnceLock;
use std::time::Instant;

use jiff::Timestamp;

/// Now in UTC with milliseconds: `2026-11-20T10:21:25.216Z`.
pub fn now_rfc3339() -> String {
    Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
        .to_string()
}

/// Now in the form that Codis shows in statistics: `2026-11-20 10:21:25.216656057 +0000 UTC`.
pub fn now_text() -> String {
    Timestamp::now()
        .strftime("%Y-%m-%d %H:%M:%S.%9f +0000 UTC")
        .to_string()
}

/// The time of the first call, in the form of a record's `start_time`. Daemons call it first thing.
pub fn start_time_text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let before = Instant::now();
        let text = now_text();
        format!("{text} m=+{:.9}", before.elapsed().as_secs_f64())
    })
}
