//! The file of the audit log: a line of JSON for each entry, rotated by size.
//!
//! One thread writes. Its queue has a limit; when a disk hangs for so long that the queue is full,
//! further lines are lost, counted, and the gap is told by the next line that gets through.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use codis_runtime::host;
use prometheus_client::metrics::counter::Counter;

/// Lines that wait for the disk.
const QUEUE_MAX: usize = 1024;
/// Old files that are kept: `FILE.1` is the newest of them.
const OLD_MAX: u32 = 4;
/// How long a flush may take.
const FLUSH_MAX: Duration = Duration::from_secs(2);
/// The owner writes and its group reads; entries tell addresses.
const MODE: u32 = 0o640;

/// The way to the thread that writes.
#[derive(Debug)]
pub struct Writer {
    queue: SyncSender<Message>,
    lost: Counter,
}

enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

impl Writer {
    /// Opens the file, makes its folder, and starts the thread.
    ///
    /// # Errors
    /// The text names the file and what to do.
    pub fn open(path: &Path, bytes_max: u64, lost: Counter) -> io::Result<Self> {
        let log = Log::open(path, bytes_max).map_err(|error| {
            let text = format!(
                "audit_log {}: {error}; name a file that this user may write",
                path.display()
            );
            io::Error::new(error.kind(), text)
        })?;
        let (queue, lines) = mpsc::sync_channel(QUEUE_MAX);
        let counted = lost.clone();
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || run(log, &lines, &counted))?;
        Ok(Self { queue, lost })
    }

    /// Queues a line; never waits.
    pub fn write(&self, line: String) {
        match self.queue.try_send(Message::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.inc();
            }
        }
    }

    /// Waits until what was queued is written, for a bounded time.
    pub fn flush(&self) {
        let (done, written) = mpsc::sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            // A disk that hangs must not hold up the end of the process.
            let _ = written.recv_timeout(FLUSH_MAX);
        }
    }
}

/// Writes what comes until nobody can send any more.
fn run(mut log: Log, lines: &Receiver<Message>, lost: &Counter) {
    let (mut told, mut well) = (lost.get(), true);
    while let Ok(message) = lines.recv() {
        let line = match message {
            Message::Line(line) => line,
            Message::Flush(done) => {
                // Whoever waited may have gone.
                let _ = done.send(());
                continue;
            }
        };
        let missing = lost.get() - told;
        let gap = (missing > 0).then(|| {
            let at = host::now_rfc3339();
            format!("{{\"at\":\"{at}\",\"kind\":\"gap\",\"lost\":{missing}}}")
        });
        let written = gap
            .iter()
            .chain([&line])
            .try_for_each(|line| log.write(line));
        match written {
            Ok(()) => {
                told += missing;
                if !well {
                    tracing::info!(path = %log.path.display(), "audit log is written again");
                }
                well = true;
            }
            Err(error) => {
                lost.inc();
                if well {
                    let path = log.path.display();
                    tracing::error!(%path, %error, "audit log is not written; entries are lost");
                }
                well = false;
            }
        }
    }
}

/// The file and its size.
struct Log {
    path: PathBuf,
    bytes_max: u64,
    file: File,
    size: u64,
}

impl Log {
    fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder)?;
        }
        let (file, size) = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            bytes_max,
            file,
            size,
        })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.follow()?;
        let len = line.len() as u64 + 1;
        if self.size > 0 && self.size + len > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.size += len;
        Ok(())
    }

    /// Opens the file anew when somebody has moved or removed it.
    fn follow(&mut self) -> io::Result<()> {
        let held = self.file.metadata()?;
        let there = fs::metadata(&self.path);
        let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()));
        if !same {
            (self.file, self.size) = open(&self.path)?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let old = |n: u32| PathBuf::from(format!("{}.{n}", self.path.display()));
        for n in (1..OLD_MAX).rev() {
            if let Err(error) = fs::rename(old(n), old(n + 1))
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        fs::rename(&self.path, old(1))?;
        (self.file, self.size) = open(&self.path)?;
        Ok(())
    }
}

/// Opens for appending. A line that a crash cut short is ended, so that the next one stands alone.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = File::options()
        .create(true)
        .read(true)
        .append(true)
        .mode(MODE)
        .open(path)?;
    let mut size = file.metadata()?.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}
