//! The log, in the line format of Redis Sentinel:
//! `pid:X DD Mon YYYY HH:MM:SS.mmm L text`.
//!
//! A sentinel whose log is a full pipe or a hung disk must go on, so lines are written by a thread
//! of their own behind a bounded queue. When the queue is full lines are lost, and the log says
//! how many.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Zoned;

pub mod syslog;

use syslog::Syslog;

/// Lines that may wait for the writer.
const QUEUE_LEN: usize = 16_384;

/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How often it looks whether they are written.
const FLUSH_POLL: Duration = Duration::from_millis(1);

/// How loud a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// `.`
    Debug,
    /// `-`
    Verbose,
    /// `*`
    Notice,
    /// `#`
    Warning,
    /// As a threshold: no line at all.
    Nothing,
}

impl Level {
    /// The level of that name in the configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "debug" => Self::Debug,
            "verbose" => Self::Verbose,
            "notice" => Self::Notice,
            "warning" => Self::Warning,
            "nothing" => Self::Nothing,
            _ => return None,
        })
    }

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Verbose => "verbose",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Nothing => "nothing",
        }
    }

    const fn mark(self) -> char {
        match self {
            Self::Debug => '.',
            Self::Verbose => '-',
            Self::Notice => '*',
            Self::Warning | Self::Nothing => '#',
        }
    }
}

/// A handle to the log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    queue: SyncSender<Order>,
    /// A [`Level`] as a number; shared by all handles.
    threshold: Arc<AtomicU8>,
    lost: Arc<AtomicU64>,
}

/// Ends the log when it is dropped: waits until every line is written, unless the log is stuck.
#[derive(Debug)]
pub struct Guard {
    queue: SyncSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// One line, and the moment that it is about.
struct Entry {
    level: Level,
    at: Zoned,
    text: String,
}

enum Order {
    Line(Entry),
    Reopen,
    Stop,
}

/// Starts the log. `path` absent is standard output; lines go to `syslog` as well.
pub fn start(
    path: Option<&Path>,
    threshold: Level,
    syslog: Option<Syslog>,
) -> io::Result<(Log, Guard)> {
    let sink = Sink::open(path, syslog)?;
    let (queue, orders) = sync_channel(QUEUE_LEN);
    let lost = Arc::new(AtomicU64::new(0));
    let thread = {
        let lost = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(sink, &orders, &lost))?
    };
    let log = Log {
        queue: queue.clone(),
        threshold: Arc::new(AtomicU8::new(threshold as u8)),
        lost,
    };
    let guard = Guard {
        queue,
        thread: Some(thread),
    };
    Ok((log, guard))
}

impl Log {
    /// Sets the level from which on lines are written.
    pub fn set_threshold(&self, threshold: Level) {
        self.threshold.store(threshold as u8, Ordering::Relaxed);
    }

    /// Writes one line.
    pub fn write(&self, level: Level, text: &str) {
        if (level as u8) < self.threshold.load(Ordering::Relaxed) {
            return;
        }
        let order = Order::Line(Entry::new(level, text));
        if let Err(TrySendError::Full(_)) = self.queue.try_send(order) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes one line at `warning`.
    pub fn warning(&self, text: &str) {
        self.write(Level::Warning, text);
    }

    /// Writes one line at `notice`.
    pub fn notice(&self, text: &str) {
        self.write(Level::Notice, text);
    }

    /// Writes one line at `debug`.
    pub fn debug(&self, text: &str) {
        self.write(Level::Debug, text);
    }

    /// Opens the log file again, after it was moved away.
    pub fn reopen(&self) {
        // A full queue means that the writer is stuck: there is nothing to open then.
        let _ = self.queue.try_send(Order::Reopen);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let mut stopped = false;
        while !thread.is_finished() && Instant::now() < deadline {
            stopped = stopped || self.queue.try_send(Order::Stop).is_ok();
            std::thread::sleep(FLUSH_POLL);
        }
    }
}

impl Entry {
    fn new(level: Level, text: &str) -> Self {
        Self {
            level,
            at: Zoned::now(),
            text: text.replace(['\n', '\r'], " "),
        }
    }

    fn line(&self) -> String {
        let (pid, mark, text) = (std::process::id(), self.level.mark(), &self.text);
        let at = self.at.strftime("%d %b %Y %H:%M:%S%.3f");
        format!("{pid}:X {at} {mark} {text}\n")
    }
}

fn write_all(mut sink: Sink, orders: &Receiver<Order>, lost: &AtomicU64) {
    while let Ok(order) = orders.recv() {
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let text = format!("{missing} log lines were lost: the log could not keep up");
            sink.write(&Entry::new(Level::Warning, &text));
        }
        match order {
            Order::Line(entry) => sink.write(&entry),
            Order::Reopen => sink.reopen(),
            Order::Stop => return,
        }
    }
}

/// Where lines go.
struct Sink {
    path: Option<PathBuf>,
    file: Option<File>,
    syslog: Option<Syslog>,
}

impl Sink {
    fn open(path: Option<&Path>, syslog: Option<Syslog>) -> io::Result<Self> {
        Ok(Self {
            path: path.map(Path::to_owned),
            file: path.map(append).transpose()?,
            syslog,
        })
    }

    /// Writes a line. One that cannot be written is lost: there is nowhere to say so.
    fn write(&mut self, entry: &Entry) {
        let line = entry.line();
        let _ = match &mut self.file {
            Some(file) => file.write_all(line.as_bytes()),
            None => io::stdout().write_all(line.as_bytes()),
        };
        if let Some(syslog) = &mut self.syslog {
            syslog.write(entry.level, &entry.text);
        }
    }

    fn reopen(&mut self) {
        if let Some(Ok(file)) = self.path.as_deref().map(append) {
            self.file = Some(file);
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_format_of_redis_and_pass_the_threshold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (log, guard) = start(Some(&path), Level::Notice, None).unwrap();
        log.debug("unseen");
        log.warning("+sdown master m 127.0.0.1 6379");
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        log.reopen();
        log.notice("after");
        drop((log, guard));
        let old = std::fs::read_to_string(dir.path().join("old")).unwrap();
        let new = std::fs::read_to_string(&path).unwrap();
        let text = old + &new;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let words: Vec<&str> = lines[0].split(' ').collect();
        assert_eq!(words[0], format!("{}:X", std::process::id()));
        assert_eq!((words[1].len(), words[2].len(), words[3].len()), (2, 3, 4));
        assert_eq!(words[4].len(), "12:34:56.789".len());
        assert_eq!(words[5..].join(" "), "# +sdown master m 127.0.0.1 6379");
        assert!(new.ends_with(" * after\n"));
    }
}
