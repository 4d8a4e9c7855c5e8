//! Points at which a test kills the process that passes them, as `kill -9` does.
//!
//! They exist in debug builds only, and there only for processes that were started with
//! [`VARIABLE`] in their environment: a release build has neither the names nor the variable.
//! It names a file. A test that writes `POINT COUNT` into it, such as `store.write.before 3`, is
//! answered at the third passing of that point from then on; without the file nothing happens.

/// The environment variable with the name of the file.
#[cfg(debug_assertions)]
pub const VARIABLE: &str = "CODIS_FAULT_POINTS";

/// Whether this process was started to be killed.
#[cfg(debug_assertions)]
pub fn is_armed() -> bool {
    armed::file().is_some()
}

/// Dies here if a test wants it.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    if is_due(name) {
        armed::die();
    }
}

/// Whether a test wants something to go wrong at this passing of the point.
#[cfg(debug_assertions)]
pub fn is_due(name: &str) -> bool {
    armed::file().is_some_and(|file| armed::count(file, name))
}

#[cfg(debug_assertions)]
mod armed {
    use std::path::{Path, PathBuf};
    use std::sync::{LazyLock, Mutex, PoisonError};

    use rustix::process::{Signal, getpid, kill_process};

    /// What the file said, and how often the point was passed since it says so.
    static PASSED: Mutex<(String, u32)> = Mutex::new((String::new(), 0));

    pub fn file() -> Option<&'static Path> {
        static FILE: LazyLock<Option<PathBuf>> =
            LazyLock::new(|| std::env::var_os(super::VARIABLE).map(PathBuf::from));
        FILE.as_deref()
    }

    pub fn count(file: &Path, name: &str) -> bool {
        let told = std::fs::read_to_string(file).unwrap_or_default();
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.0 != told {
            *passed = (told.clone(), 0);
        }
        match told.trim().split_once(' ') {
            Some((point, count)) if point == name => {
                passed.1 += 1;
                count.parse() == Ok(passed.1)
            }
            _ => false,
        }
    }

    /// Nothing is flushed, closed or told to anybody.
    pub fn die() {
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
