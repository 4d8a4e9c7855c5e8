//! The slow log: requests that took longer than `slowlog_log_slower_than`.
//!
//! Each worker keeps its own ring, so that a fast request costs one comparison; whoever reads the
//! log merges the rings by the ids of their entries. Arguments are cut as Redis cuts them, and
//! passwords are left out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::session::Session;

/// Arguments of a request that an entry shows; the last one says how many more there were.
const ARGS_MAX: usize = 32;
/// Bytes of an argument that an entry shows, before it says how many more there were.
const ARG_BYTES_MAX: usize = 128;
/// Stands for a password.
const REDACTED: &[u8] = b"(redacted)";

/// A slow request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unique in the process, ascending in time.
    pub id: u64,
    /// When its reply came, in seconds since 1970.
    pub time: u64,
    /// From its decoding to its reply, in microseconds.
    pub micros: u64,
    /// The command and its arguments, cut.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub client: String,
    /// The client's name, often empty.
    pub name: Vec<u8>,
    /// The server that answered last; empty when the proxy did.
    pub backend: String,
}

/// What is known of a slow request beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// From its decoding to its reply, in microseconds.
    pub micros: u64,
    /// The client's address.
    pub client: &'a str,
    /// The client's name.
    pub name: &'a [u8],
    /// The server that answered; empty when the proxy did.
    pub backend: &'a str,
}

/// The ring of one worker.
#[derive(Debug)]
pub struct SlowLog {
    ids: Arc<AtomicU64>,
    len_max: usize,
    entries: Mutex<VecDeque<Arc<Entry>>>,
}

impl SlowLog {
    /// A ring of `len_max` entries that takes its ids from `ids`.
    pub fn new(ids: Arc<AtomicU64>, len_max: usize) -> Self {
        Self {
            ids,
            len_max,
            entries: Mutex::default(),
        }
    }

    /// How many entries all rings that share the ids have taken.
    pub fn taken(&self) -> u64 {
        self.ids.load(Ordering::Relaxed)
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a request, given as a multi-bulk. The oldest entry makes room.
    pub fn add(&self, raw: &[u8], told: Told<'_>) {
        if self.len_max == 0 {
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut entry = Entry {
            id: 0,
            time: time.map_or(0, |span| span.as_secs()),
            micros: told.micros,
            args: shown(raw),
            client: told.client.to_owned(),
            name: told.name.to_vec(),
            backend: told.backend.to_owned(),
        };
        let mut entries = self.entries();
        entry.id = self.ids.fetch_add(1, Ordering::Relaxed);
        entries.truncate(self.len_max - 1);
        entries.push_front(Arc::new(entry));
    }
}

impl Session {
    /// Keeps a request in the slow log, if what it took belongs there. For one whose place was
    /// gone, the time since it began to wait counts.
    pub fn note_time(&self, took: Option<u64>, since: u64, raw: &[u8], backend: &str) {
        let micros = took.unwrap_or_else(|| self.local.now().saturating_sub(since));
        if self.local.is_slow(micros) {
            self.note_slow(micros, raw, backend);
        }
    }

    #[cold]
    fn note_slow(&self, micros: u64, raw: &[u8], backend: &str) {
        let told = Told {
            micros,
            client: &self.peer(),
            name: &self.name(),
            backend,
        };
        self.local.slow().add(raw, told);
    }
}

/// The latest entries of all rings, newest first, `max` at the most.
pub fn latest<'a>(rings: impl Iterator<Item = &'a SlowLog>, max: usize) -> Vec<Arc<Entry>> {
    let mut all = Vec::new();
    let mut len_max = 0;
    for ring in rings {
        len_max = ring.len_max;
        all.extend(ring.entries().iter().cloned());
    }
    all.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    all.truncate(max.min(len_max));
    all
}

/// How many entries [`latest`] would give without a limit.
pub fn len<'a>(rings: impl Iterator<Item = &'a SlowLog>) -> usize {
    let (mut all, mut len_max) = (0, 0);
    for ring in rings {
        len_max = ring.len_max;
        all += ring.entries().len();
    }
    all.min(len_max)
}

/// Forgets all entries; ids go on.
pub fn reset<'a>(rings: impl Iterator<Item = &'a SlowLog>) {
    for ring in rings {
        ring.entries().clear();
    }
}

/// The arguments of a multi-bulk request as an entry shows them.
fn shown(raw: &[u8]) -> Vec<Vec<u8>> {
    let (count, mut rest) = header(raw, b'*').unwrap_or((0, &[]));
    let mut args = Vec::with_capacity(count.min(ARGS_MAX));
    while args.len() < count {
        if args.len() == ARGS_MAX - 1 && count > ARGS_MAX {
            let more = count - ARGS_MAX + 1;
            args.push(format!("... ({more} more arguments)").into_bytes());
            break;
        }
        let Some((len, data)) = header(rest, b'$') else {
            break;
        };
        let Some((arg, behind)) = data.split_at_checked(len) else {
            break;
        };
        args.push(cut(arg));
        rest = behind.get(2..).unwrap_or_default();
    }
    redact(&mut args);
    args
}

/// The number behind `mark` at the start of `text`, and what comes behind its line.
fn header(text: &[u8], mark: u8) -> Option<(usize, &[u8])> {
    let text = text.strip_prefix(&[mark])?;
    let end = text.iter().position(|byte| *byte == b'\r')?;
    let number = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((number, text.get(end + 2..)?))
}

fn cut(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= ARG_BYTES_MAX {
        return arg.to_vec();
    }
    let mut out = arg[..ARG_BYTES_MAX].to_vec();
    let more = arg.len() - ARG_BYTES_MAX;
    out.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
    out
}

fn redact(args: &mut [Vec<u8>]) {
    let Some((name, args)) = args.split_first_mut() else {
        return;
    };
    let open = if name.eq_ignore_ascii_case(b"AUTH") {
        0
    } else if name.eq_ignore_ascii_case(b"HELLO") {
        1
    } else {
        return;
    };
    for arg in args.iter_mut().skip(open) {
        *arg = REDACTED.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use codis_core::resp::encode_command;

    use super::*;

    fn raw(args: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_command(&mut out, args);
        out
    }

    fn texts(args: &[&str]) -> Vec<String> {
        let shown = shown(&raw(args));
        shown
            .into_iter()
            .map(|arg| String::from_utf8(arg).unwrap())
            .collect()
    }

    fn told(micros: u64) -> Told<'static> {
        Told {
            micros,
            client: "127.0.0.1:1",
            name: b"n",
            backend: "b:1",
        }
    }

    #[test]
    fn arguments_are_cut_as_redis_cuts_them() {
        let long = "x".repeat(130);
        assert_eq!(
            texts(&["GET", &long]),
            ["GET", &format!("{}... (2 more bytes)", "x".repeat(128))]
        );
        let many: Vec<&str> = std::iter::repeat_n("a", 33).collect();
        let shown = texts(&many);
        assert_eq!((shown.len(), &*shown[31]), (32, "... (2 more arguments)"));
        assert_eq!(texts(&many[..32]).len(), 32);
        assert_eq!(texts(&many[..32])[31], "a");
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(
            texts(&["auth", "u", "p"]),
            ["auth", "(redacted)", "(redacted)"]
        );
        assert_eq!(
            texts(&["HELLO", "2", "AUTH", "u", "p"]),
            ["HELLO", "2", "(redacted)", "(redacted)", "(redacted)"]
        );
    }

    #[test]
    fn broken_bytes_show_what_is_whole() {
        assert_eq!(shown(b""), Vec::<Vec<u8>>::new());
        assert_eq!(shown(b"*2\r\n$3\r\nGET\r\n$9\r\nab"), vec![b"GET".to_vec()]);
        assert_eq!(shown(b"*2\r\n$-1\r\n"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn rings_are_merged_newest_first_and_bounded() {
        let ids = Arc::new(AtomicU64::new(0));
        let rings = [SlowLog::new(ids.clone(), 3), SlowLog::new(ids, 3)];
        for n in 0..10 {
            rings[n % 2].add(&raw(&["GET", "k"]), told(n as u64));
        }
        let newest: Vec<u64> = latest(rings.iter(), 2).iter().map(|e| e.id).collect();
        assert_eq!(newest, [9, 8]);
        assert_eq!(latest(rings.iter(), usize::MAX).len(), 3);
        assert_eq!(len(rings.iter()), 3);
        reset(rings.iter());
        assert_eq!(len(rings.iter()), 0);
        rings[0].add(&raw(&["GET", "k"]), told(1));
        assert_eq!(latest(rings.iter(), 1)[0].id, 10);
    }

    #[test]
    fn a_length_of_zero_keeps_nothing() {
        let ring = SlowLog::new(Arc::default(), 0);
        ring.add(&raw(&["GET"]), told(1));
        assert_eq!(len(std::iter::once(&ring)), 0);
    }
}
