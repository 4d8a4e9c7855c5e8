//! Wall-clock texts. They are for people: nothing is ever decided by them.

use std::sync::OnceLock;
use std::time::Instant;

use time::OffsetDateTime;

/// Now in UTC with milliseconds: `2026-11-20T10:21:25.216Z`.
pub fn now_rfc3339() -> String {
    let now = OffsetDateTime::now_utc();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        now.year(),
        u8::from(now.month()),
        now.day(),
        now.hour(),
        now.minute(),
        now.second(),
        now.millisecond()
    )
}

/// Now in the form that Codis shows in statistics: `2026-11-20 10:21:25.216656057 +0000 UTC`.
pub fn now_text() -> String {
    let now = OffsetDateTime::now_utc();
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:09} +0000 UTC",
        now.year(),
        u8::from(now.month()),
        now.day(),
        now.hour(),
        now.minute(),
        now.second(),
        now.nanosecond()
    )
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
