//! Points at which a test kills the process that passes them, as `kill -9` does.
//!
//! The module is part of debug builds alone, and so is whoever names it: a release build has
//! neither the points nor the variable. Even there it does nothing but in processes that were
//! started with [`VARIABLE`] in their environment. It names a file. A test that writes
//! `POINT COUNT` into it, such as `store.write.before 3`, is answered at the third passing of that
//! point from then on: the file is renamed to its name and [`DUE`], so that it happens once, and
//! then what was asked for happens. Without the file nothing does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::process::{Signal, getpid, kill_process};

/// The environment variable with the name of the file.
pub const VARIABLE: &str = "CODIS_FAULT_POINTS";
/// What the name of the file ends with once its point was passed.
pub const DUE: &str = ".due";

/// What the file said, and how often the point was passed since it says so.
static PASSED: Mutex<(String, u32)> = Mutex::new((String::new(), 0));

/// Whether this process was started to be killed.
pub fn is_armed() -> bool {
    file().is_some()
}

/// Dies here if a test wants it.
pub fn point(name: &str) {
    if is_due(name) {
        die();
    }
}

/// Whether a test wants something to go wrong at this passing of the point.
pub fn is_due(name: &str) -> bool {
    file().is_some_and(|file| is_due_by(file, name))
}

fn file() -> Option<&'static Path> {
    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    FILE.as_deref()
}

fn is_due_by(file: &Path, name: &str) -> bool {
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    let told = std::fs::read_to_string(file).unwrap_or_default();
    if passed.0 != told {
        *passed = (told.clone(), 0);
    }
    let Some((point, count)) = told.trim().split_once(' ') else {
        return false;
    };
    if point != name {
        return false;
    }
    passed.1 += 1;
    let is_due = count.parse() == Ok(passed.1) && std::fs::rename(file, due(file)).is_ok();
    if is_due {
        // The same may be asked for again.
        *passed = (String::new(), 0);
    }
    is_due
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
