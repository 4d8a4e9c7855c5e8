//! Logging: one line an event, to stderr or to a file that is rolled daily.
//!
//! Writing never blocks the daemon: lines go through a bounded queue ([`LINES_QUEUED_MAX`]) to a
//! thread of their own, and are dropped when a disk or a pipe does not keep up. A daemon keeps its
//! [`Handle`] until the end of `main` and calls [`Handle::flush`] there.

mod format;
mod level;

pub use level::{InvalidLevel, Level};

use std::fs;
use std::io;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, fmt, reload};

/// Lines that wait for the writer; more are dropped.
pub const LINES_QUEUED_MAX: usize = 16_384;

/// Where and how much to log.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The least severe level that is written.
    pub level: Level,
    /// The name of the log file less the date; stderr when there is none.
    pub file: Option<PathBuf>,
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file names a directory or nothing.
    #[error("log file {}: it must name a file", .0.display())]
    NotAFile(PathBuf),
    /// The directory of the log file cannot be used.
    #[error("log directory {}: {source}", .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Logging is started once a process.
    #[error("logging has been started already")]
    Started,
}

/// Changes the level at run time, and flushes at the end. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Handle {
    level: Arc<Mutex<Level>>,
    filter: reload::Handle<Targets, Registry>,
    writer: Arc<Mutex<Option<WorkerGuard>>>,
}

/// Starts logging for the whole process, and logs panics too.
///
/// # Errors
/// The log file cannot be written, or logging was started before.
pub fn init(options: Options) -> Result<Handle, Error> {
    let (writer, guard) = match &options.file {
        Some(file) => builder().finish(open_daily(file)?),
        None => builder().finish(io::stderr()),
    };
    let (filter, reload) = reload::Layer::new(options.level.targets());
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(layer(writer));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::Started)?;
    log_panics();
    Ok(Handle {
        level: Arc::new(Mutex::new(options.level)),
        filter: reload,
        writer: Arc::new(Mutex::new(Some(guard))),
    })
}

impl Handle {
    /// The level in force.
    pub fn level(&self) -> Level {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the level.
    pub fn set_level(&self, level: Level) {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = level;
        // It fails only when the subscriber is gone, and then there is nothing to filter.
        let _ = self.filter.reload(level.targets());
        tracing::info!(level = %level, "log level changed");
    }

    /// Writes what is queued and ends logging; later lines are lost.
    pub fn flush(&self) {
        let guard = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(guard);
    }
}

fn builder() -> NonBlockingBuilder {
    NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_QUEUED_MAX)
        .lossy(true)
        .thread_name("log-writer")
}

fn layer<S>(writer: NonBlocking) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer()
        .with_ansi(false)
        .event_format(format::Line)
        .with_writer(writer)
}

/// Opens `FILE.YYYY-MM-DD`; the directories above it are made.
fn open_daily(file: &Path) -> Result<rolling::RollingFileAppender, Error> {
    let not_a_file = || Error::NotAFile(file.to_owned());
    let name = file.file_name().ok_or_else(not_a_file)?;
    if file.is_dir() || file.as_os_str().to_string_lossy().ends_with('/') {
        return Err(not_a_file());
    }
    let dir = match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let failed = |source| Error::Directory {
        dir: dir.to_owned(),
        source,
    };
    fs::create_dir_all(dir).map_err(failed)?;
    rolling::RollingFileAppender::builder()
        .rotation(rolling::Rotation::DAILY)
        .filename_prefix(name.to_string_lossy())
        .build(dir)
        .map_err(|error| failed(io::Error::other(error)))
}

/// A panic ends up in the log file too, not on stderr alone.
fn log_panics() {
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("without a text");
        tracing::error!(place, "panic: {text}");
        shown(info);
    }));
}
