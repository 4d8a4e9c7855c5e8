//! What must be so before a cluster can start: tools, programs, a writable directory, free ports.
//!
//! Everything is looked at before anything is started, and all that is wrong is said at once.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layout::Layout;
use crate::ports;

/// The lowest major version of redis-server that a group may run on.
const REDIS_MAJOR_MIN: u32 = 7;

/// How many taken ports are named; where a whole cluster runs, these say enough.
const TAKEN_SHOWN: usize = 4;

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The directory of our own programs.
    pub dir: PathBuf,
    /// The stock server.
    pub redis_server: PathBuf,
}

impl Programs {
    /// Our programs in `dir`, the stock server from the path.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            redis_server: on_path("redis-server").unwrap_or_else(|| "redis-server".into()),
        }
    }

    /// Our programs in the directory of this one, as cargo lays them out. Test programs are one
    /// directory further down.
    ///
    /// # Errors
    /// The operating system does not say where this program is.
    pub fn beside_this() -> std::io::Result<Self> {
        let exe = std::env::current_exe()?;
        let mut dir = exe.parent().unwrap_or(Path::new(".")).to_owned();
        if dir.ends_with("deps") {
            dir.pop();
        }
        Ok(Self::in_dir(dir))
    }

    /// The file of `program`.
    pub fn file(&self, program: &str) -> PathBuf {
        if program == "redis-server" {
            self.redis_server.clone()
        } else {
            self.dir.join(program)
        }
    }
}

/// What stands in the way, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Obstacles(pub Vec<String>);

/// A hold on the state directory, free again when this is dropped or the process ends.
#[derive(Debug)]
pub struct StateLock(
    #[allow(dead_code, reason = "the lock lives as long as the file is open")] File,
);

/// Checks everything and takes the state directory.
///
/// # Errors
/// Anything that would keep the cluster from starting, all at once.
pub fn check(layout: &Layout, programs: &Programs, state: &Path) -> Result<StateLock, Obstacles> {
    let mut wrong = Vec::new();
    wrong.extend(check_redis(&programs.redis_server).err());
    for program in [
        "codis-sentinel",
        "codis-proxy",
        "codis-dashboard",
        "codis-fe",
    ] {
        let file = programs.file(program);
        if !file.is_file() {
            wrong.push(format!(
                "{} is missing: build it with `cargo build --workspace --bins`, or `make build`",
                file.display()
            ));
        }
    }
    let lock = match lock_state(state) {
        Ok(lock) => Some(lock),
        Err(text) => {
            wrong.push(text);
            None
        }
    };
    wrong.extend(check_ports(layout));
    match lock {
        Some(lock) if wrong.is_empty() => Ok(lock),
        _ => Err(Obstacles(wrong)),
    }
}

fn check_ports(layout: &Layout) -> Vec<String> {
    let taken = ports::taken(layout);
    let mut lines: Vec<_> = taken
        .iter()
        .take(TAKEN_SHOWN)
        .map(ToString::to_string)
        .collect();
    if taken.len() > TAKEN_SHOWN {
        lines.push(format!(
            "and {} more ports in use",
            taken.len() - TAKEN_SHOWN
        ));
    }
    if !taken.is_empty() {
        let net = layout.net;
        lines.push(format!(
            "stop what runs on {net}.*, or choose another net with --net"
        ));
    }
    lines
}

fn check_redis(program: &Path) -> Result<(), String> {
    let hint = "install it with `make setup`";
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|_| format!("redis-server is not on the path: {hint}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match version(&text) {
        Some(major) if major >= REDIS_MAJOR_MIN => Ok(()),
        _ => Err(format!(
            "redis-server {REDIS_MAJOR_MIN}.0 or newer is needed, found `{}`: {hint}",
            text.trim()
        )),
    }
}

/// The major version in `Redis server v=7.0.15 sha=...`.
fn version(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("v=")?;
    rest.split('.').next()?.parse().ok()
}

/// Takes the state directory, which is made where it is missing.
///
/// # Errors
/// It is in use or cannot be written.
pub fn lock_state(state: &Path) -> Result<StateLock, String> {
    let refuse = |what: &str, error: &dyn std::fmt::Display| {
        format!("state directory {}: {what}: {error}", state.display())
    };
    fs::create_dir_all(state).map_err(|e| refuse("cannot be made", &e))?;
    let file = File::create(state.join("lock")).map_err(|e| refuse("cannot be written", &e))?;
    match file.try_lock() {
        Ok(()) => Ok(StateLock(file)),
        Err(TryLockError::WouldBlock) => Err(format!(
            "state directory {} is used by a running cluster",
            state.display()
        )),
        Err(TryLockError::Error(error)) => Err(refuse("cannot be locked", &error)),
    }
}

/// Whether a running cluster holds the state directory.
pub fn is_in_use(state: &Path) -> bool {
    File::open(state.join("lock"))
        .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The first file called `program` in a directory of `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Net;

    #[test]
    fn everything_missing_is_said_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::six_hosts(Net::loopback(251, 9));
        let mut programs = Programs::in_dir(dir.path().join("nowhere"));
        programs.redis_server = dir.path().join("redis-server");
        let Obstacles(lines) = check(&layout, &programs, dir.path()).unwrap_err();
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[0].starts_with("redis-server is not on the path"));
        assert!(lines[1].contains("codis-sentinel is missing"));
    }

    #[test]
    fn a_state_directory_serves_one_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock_state(dir.path()).unwrap();
        let text = lock_state(dir.path()).unwrap_err();
        assert!(text.ends_with("is used by a running cluster"), "{text}");
        drop(held);
        assert!(lock_state(dir.path()).is_ok());
    }

    #[test]
    fn old_and_odd_versions_are_told_apart() {
        assert_eq!(version("Redis server v=7.0.15 sha=00000000:0"), Some(7));
        assert_eq!(version("Redis server v=6.2.1"), Some(6));
        assert_eq!(version("something else"), None);
    }
}
