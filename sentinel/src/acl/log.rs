//! What was refused lately, for ACL LOG.

use std::collections::VecDeque;
use std::time::Duration;

use codis_core::time::Time;

/// How long an entry takes up others like it.
const MERGE_WITHIN: Duration = Duration::from_secs(60);

/// The newest entries among which one like it is looked for, as in Redis.
const MERGE_AMONG: usize = 10;

/// Bytes of one text of an entry.
const TEXT_BYTES_MAX: usize = 1024;

/// Entries when nothing else is configured.
pub const LEN_DEFAULT: usize = 128;

/// Entries at most, whatever is configured.
pub const LEN_MAX: usize = 100_000;

/// Something that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: u64,
    /// How often.
    pub count: u64,
    /// `auth`, `command` or `channel`.
    pub reason: &'static str,
    /// The command, the channel, or the command that carried the wrong password.
    pub object: String,
    /// Who it was, or said to be.
    pub username: String,
    /// The line of CLIENT LIST at the last time.
    pub client: String,
    /// The first time, on the clock of the log and on that of the wall.
    pub created: Moment,
    /// The last time.
    pub updated: Moment,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For ages.
    pub time: Time,
    /// Milliseconds since 1970.
    pub unix_ms: i64,
}

/// The entries, the newest first.
#[derive(Clone, Debug)]
pub struct Log {
    entries: VecDeque<Entry>,
    len_max: usize,
    next_id: u64,
}

impl Log {
    /// An empty log of that many entries.
    pub fn new(len_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            len_max: len_max.min(LEN_MAX),
            next_id: 0,
        }
    }

    /// Adds a refusal, to an entry of the last minute that is like it if there is one.
    pub fn add(
        &mut self,
        now: Moment,
        reason: &'static str,
        object: &str,
        username: &str,
        client: String,
    ) {
        let (object, username) = (shortened(object), shortened(username));
        let alike = |entry: &Entry| {
            entry.reason == reason
                && entry.object == object
                && entry.username == username
                && now.time.since(entry.updated.time) <= MERGE_WITHIN
        };
        let known = self.entries.iter().take(MERGE_AMONG).position(alike);
        let entry = known.and_then(|at| self.entries.remove(at));
        let mut entry = entry.unwrap_or_else(|| {
            self.next_id += 1;
            Entry {
                id: self.next_id - 1,
                count: 0,
                reason,
                object: object.to_owned(),
                username: username.to_owned(),
                client: String::new(),
                created: now,
                updated: now,
            }
        });
        entry.count += 1;
        entry.client = shortened(&client).to_owned();
        entry.updated = now;
        self.entries.push_front(entry);
        self.entries.truncate(self.len_max);
    }

    /// The entries, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

fn shortened(text: &str) -> &str {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment {
            time: Time::from_origin(Duration::from_secs(seconds)),
            unix_ms: 1_000 * i64::try_from(seconds).unwrap(),
        }
    }

    #[test]
    fn equal_refusals_within_a_minute_are_one_entry() {
        let mut log = Log::new(3);
        log.add(at(0), "auth", "AUTH", "bob", "c1".into());
        log.add(at(5), "command", "info", "bob", "c1".into());
        log.add(at(50), "auth", "AUTH", "bob", "c2".into());
        let shown: Vec<_> = log.iter().map(|e| (e.id, e.count, e.reason)).collect();
        assert_eq!(shown, [(0, 2, "auth"), (1, 1, "command")]);
        let newest = log.iter().next().unwrap();
        assert_eq!((newest.created, newest.updated), (at(0), at(50)));
        assert_eq!(newest.client, "c2");
        log.add(at(111), "auth", "AUTH", "bob", "c1".into());
        assert_eq!(log.iter().next().unwrap().id, 2);
        log.clear();
        assert_eq!(log.iter().count(), 0);
    }

    #[test]
    fn the_log_is_bounded() {
        let mut log = Log::new(2);
        for name in ["a", "b", "c"] {
            log.add(at(0), "auth", "AUTH", name, "ü".repeat(5_000));
        }
        let names: Vec<&str> = log.iter().map(|e| e.username.as_str()).collect();
        assert_eq!(names, ["c", "b"]);
        assert!(log.iter().all(|e| e.client.len() <= TEXT_BYTES_MAX));
        Log::new(0).add(at(0), "auth", "AUTH", "a", String::new());
    }
}
