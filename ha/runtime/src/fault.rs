//! Points at which a test kills the process that passes them, as `kill -9` does, or stops it.
//!
//! The module is part of debug builds alone, and so is whoever names it: a release build has
//! neither the points nor the variable. Even there it does nothing but in processes that were
//! started with [`VARIABLE`] in their environment. It names a file. A test that writes
//! `POINT COUNT` into it, such as `store.write.before 3`, is answered at the third passing of that
//! point from then on: the file is renamed to its name and [`DUE`], so that it happens once, and
//! then what was asked for happens. With `stop` after the count the process is stopped, as by
//! SIGSTOP, and goes on from there when somebody continues it. Without the file nothing happens.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::process::{Signal, getpid, kill_process};

/// The environment variable with the name of the file.
pub const VARIABLE: &str = "CODIS_FAULT_POINTS";
/// What the name of the file ends with once its point was passed.
pub const DUE: &str = ".due";

/// Within that a signal that a process sends itself has stopped it.
const STOP_TAKES_MAX: std::time::Duration = std::time::Duration::from_millis(50);

/// What the file said, and how often the point was passed since it says so.
static PASSED: Mutex<(String, u32)> = Mutex::new((String::new(), 0));

/// Whether this process was started to be killed.
pub fn is_armed() -> bool {
    file().is_some()
}

/// What a test wants to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Kill,
    Stop,
}

/// Dies here, or sleeps, if a test wants it.
pub fn point(name: &str) {
    match file().and_then(|file| due_by(file, name)) {
        None => {}
        Some(Blow::Kill) => die(),
        Some(Blow::Stop) => sleep(),
    }
}

/// Whether a test wants something to go wrong at this passing of the point.
pub fn is_due(name: &str) -> bool {
    file().is_some_and(|file| due_by(file, name).is_some())
}

fn file() -> Option<&'static Path> {
    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    FILE.as_deref()
}

fn due_by(file: &Path, name: &str) -> Option<Blow> {
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    let told = std::fs::read_to_string(file).unwrap_or_default();
    if passed.0 != told {
        *passed = (told.clone(), 0);
    }
    let words: Vec<&str> = told.split_whitespace().collect();
    let (point, count, blow) = match words[..] {
        [point, count] => (point, count, Blow::Kill),
        [point, count, "stop"] => (point, count, Blow::Stop),
        _ => return None,
    };
    if point != name {
        return None;
    }
    passed.1 += 1;
    let is_due = count.parse() == Ok(passed.1) && std::fs::rename(file, due(file)).is_ok();
    if is_due {
        // The same may be asked for again.
        *passed = (String::new(), 0);
    }
    is_due.then_some(blow)
}

fn due(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(DUE);
    PathBuf::from(name)
}

/// Nothing is flushed, closed or told to anybody.
fn die() {
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

/// Returns when the process is continued.
fn sleep() {
    let _ = kill_process(getpid(), Signal::STOP);
    // The signal may reach another thread first: this one does nothing until it has.
    std::thread::sleep(STOP_TAKES_MAX);
}
