//! What the operating system is asked for at start: descriptors, and a life in the background.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};

/// Descriptors for anything but clients: links, files, scripts.
const DESCRIPTORS_RESERVED: usize = 512;

/// Tells the second process that it is the one in the background.
const DETACHED: &str = "CODIS_SENTINEL_DETACHED";

/// How many clients there are descriptors for, at most `wanted`; raises the limit if it may.
pub(super) fn room_for(wanted: usize) -> usize {
    let needed = (wanted + DESCRIPTORS_RESERVED) as u64;
    let limit = getrlimit(Resource::Nofile);
    let mut current = limit.current.unwrap_or(u64::MAX);
    if current < needed {
        let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
        let request = Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        };
        if setrlimit(Resource::Nofile, request).is_ok() {
            current = raised;
        }
    }
    let room = usize::try_from(current).unwrap_or(usize::MAX);
    wanted.min(room.saturating_sub(DESCRIPTORS_RESERVED).max(1))
}

/// Whether this process is the one in the background. It leaves the session of its parent then.
pub(super) fn is_detached() -> bool {
    let detached = std::env::var_os(DETACHED).is_some();
    if detached {
        // It fails only when the process leads a session already, which is as good.
        let _ = setsid();
    }
    detached
}

/// Starts this program again in the background, in the directory in which it was started.
pub(super) fn detach(words: &[String], place: &Path) -> io::Result<()> {
    Command::new(std::env::current_exe()?)
        .args(words)
        .current_dir(place)
        .env(DETACHED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_a_few_clients_at_least() {
        assert_eq!(room_for(3), 3);
        assert!(room_for(1 << 40) >= 1);
    }
}
