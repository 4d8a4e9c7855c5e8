//! The file that tells scripts the process id: decimal, no newline, gone after an orderly exit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// A pid file that is removed when this is dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes the id of this process.
    ///
    /// # Errors
    /// The file cannot be written. Daemons warn and go on.
    pub fn write(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        fs::write(&path, process::id().to_string())?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours = process::id().to_string();
        // A successor may have written its own id in the meantime.
        if fs::read_to_string(&self.path).is_ok_and(|held| held == ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
