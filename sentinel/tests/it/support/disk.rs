//! A small disk of its own, that can be filled, made read-only and repaired. It needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system; it is unmounted with this.
pub struct Disk {
    _place: TempDir,
    path: PathBuf,
}

impl Disk {
    /// Mounts one of 256 KiB. Panics without root: nothing that must be tested is left out
    /// silently.
    pub fn mount() -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().to_owned();
        let words = ["-t", "tmpfs", "-o", "size=256k", "none"];
        run(
            "mount",
            &words,
            &path,
            "this test mounts a file system and must run as root",
        );
        Self {
            _place: place,
            path,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no room for another byte.
    pub fn fill(&self) {
        for size in [64 * 1024, 4096, 1] {
            for number in 0.. {
                let file = self.path.join(format!("fill.{size}.{number}"));
                if fs::write(file, vec![b'x'; size]).is_err() {
                    break;
                }
            }
        }
    }

    /// Gives the room back.
    pub fn empty(&self) {
        for entry in fs::read_dir(&self.path).unwrap() {
            let path = entry.unwrap().path();
            if path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("fill.")
            {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// `ro` or `rw`.
    pub fn remount(&self, mode: &str) {
        let options = format!("remount,{mode}");
        run(
            "mount",
            &["-o", &options],
            &self.path,
            "the disk is mounted again",
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process of the test may still be about to end: the last to leave closes it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn run(program: &str, words: &[&str], path: &Path, what: &str) {
    let done = Command::new(program)
        .args(words)
        .arg(path)
        .status()
        .unwrap();
    assert!(done.success(), "{what}");
}
