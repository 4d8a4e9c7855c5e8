//! Changes that must succeed on a machine that is busy.

use std::time::{Duration, Instant};

use codis_bed::patience;
use codis_bed::wait::WAIT_MAX;

use super::{Answer, Dashboard, call};

const PAUSE: Duration = Duration::from_millis(50);

/// Whether an answer tells of nothing but lateness.
pub fn is_late(answer: &Answer) -> bool {
    answer.status == 800 && patience::is_late(&answer.body)
}

impl Dashboard {
    /// A change that must succeed; `path` without the secret, which goes behind its first two
    /// words. One that is late is asked for again, as an operator would.
    pub async fn put(&self, path: &str) {
        self.put_body(path, "").await;
    }

    pub async fn put_body(&self, path: &str, body: &str) {
        let begun = Instant::now();
        let mut again = false;
        loop {
            let answer = self.try_put(path, body).await;
            if answer.status == 200 {
                assert_eq!(answer.body, "\"OK\"", "{path}");
                return;
            }
            if again && patience::is_done(&answer.body) {
                return;
            }
            let may_wait = is_late(&answer) && begun.elapsed() < WAIT_MAX;
            assert!(may_wait, "{path}: {} {}", answer.status, answer.body);
            eprintln!("again: {path}: {}", answer.body);
            again = true;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A read that must succeed. A standby may give its own records, which are older.
    pub async fn read(&self, path: &str) -> Answer {
        self.read_when(path, |_| true).await
    }

    /// The same, as the one that leads tells it.
    pub async fn read_fresh(&self, path: &str) -> Answer {
        let is_fresh = |answer: &Answer| !answer.head.contains("x-codis-stale");
        self.read_when(path, is_fresh).await
    }

    async fn read_when(&self, path: &str, is_wanted: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = call(&self.addr, "GET", path, "").await.unwrap();
            let told = answer.status == 200;
            if told && is_wanted(&answer) {
                return answer;
            }
            let may_wait = (told || is_late(&answer)) && begun.elapsed() < WAIT_MAX;
            assert!(may_wait, "{path}: {} {}", answer.status, answer.body);
            eprintln!("again: {path}: {}", answer.head);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Gives a range of slots to a group; all proxies hold it then.
    pub async fn give(&self, slots: std::ops::RangeInclusive<u16>, group: u32) {
        self.put_body("slots/assign/X", &super::mappings(slots, group))
            .await;
    }
}
