//! Where one process writes what is to become records, and what makes its writes harmless.
//!
//! A process may be stopped inside the store, at any instruction, and go on when another one has
//! long been there. So whatever it changes is a rename from its own directory in `temp/`, its desk,
//! or to it. Who takes the store from it moves the desk away first: what the sleeper would still do
//! fails, because the path that it names is gone. No name of a desk is used twice.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Error, io_error};

/// No write takes that long, so an older staged file has no writer any more.
const STAGED_AGE_MAX: Duration = Duration::from_secs(3600);

/// What the name of a desk that was moved away goes on with.
const MOVED: char = '~';

/// What the names of journals on a desk begin with.
const JOURNAL: &str = "journal-";

/// The desk of this process, made when it is needed.
#[derive(Debug)]
pub struct Desk {
    temp: PathBuf,
    name: Mutex<Option<String>>,
    names: AtomicU64,
}

/// A file on a desk; it is removed unless it becomes a record.
#[derive(Debug)]
pub struct Staged {
    file: PathBuf,
    kept: bool,
}

impl Staged {
    /// Whether it is still there: nobody moves a desk away while its owner is awake.
    pub fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.file).is_ok()
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its name on the desk.
    pub fn name(&self) -> String {
        let name = self.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Leaves it to whoever carries out the journal.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.file);
        }
    }
}

impl Desk {
    /// A process without a desk yet.
    pub fn new(temp: &Path) -> Self {
        Self {
            temp: temp.to_owned(),
            name: Mutex::new(None),
            names: AtomicU64::new(0),
        }
    }

    /// The directory of all desks.
    pub fn temp(&self) -> &Path {
        &self.temp
    }

    /// The directory of a desk.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.temp.join(name)
    }

    /// A name that nothing else in any store has.
    pub fn fresh_name(&self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let count = self.names.fetch_add(1, Ordering::Relaxed);
        let (seconds, nanos, pid) = (now.as_secs(), now.subsec_nanos(), process::id());
        format!("{seconds}.{pid}-{nanos}-{count}")
    }

    /// The desk; another one when it was moved away.
    pub fn prepare(&self) -> Result<String, Error> {
        let mut name = self.name();
        match &*name {
            Some(name) if self.dir(name).is_dir() => Ok(name.clone()),
            _ => self.renew(&mut name),
        }
    }

    /// The same for a process that ever had one; others only read.
    pub fn prepared(&self) -> Result<Option<String>, Error> {
        let had = self.name().is_some();
        had.then(|| self.prepare()).transpose()
    }

    fn renew(&self, name: &mut Option<String>) -> Result<String, Error> {
        let fresh = self.fresh_name();
        let dir = self.dir(&fresh);
        fs::create_dir(&dir).map_err(io_error("make directory", &dir))?;
        *name = Some(fresh.clone());
        Ok(fresh)
    }

    fn name(&self) -> MutexGuard<'_, Option<String>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `value` to a file on the desk, not yet synced. For who is not inside the store.
    pub fn stage(&self, value: &[u8]) -> Result<(Staged, File), Error> {
        loop {
            let desk = self.prepare()?;
            match self.stage_on(&desk, "", value) {
                // It was moved away, or swept, in this very moment.
                Err(Error::Io { source, .. })
                    if source.kind() == ErrorKind::NotFound && !self.dir(&desk).is_dir() => {}
                staged => return staged,
            }
        }
    }

    /// The same on a certain desk, which must be there.
    pub fn stage_on(
        &self,
        desk: &str,
        prefix: &str,
        value: &[u8],
    ) -> Result<(Staged, File), Error> {
        let name = format!("{prefix}{}", self.fresh_name());
        let staged = Staged {
            file: self.dir(desk).join(name),
            kept: false,
        };
        let written = write(&staged.file, value).map_err(io_error("write", &staged.file))?;
        Ok((staged, written))
    }

    /// The same for a journal.
    pub fn stage_journal(&self, desk: &str, text: &[u8]) -> Result<(Staged, File), Error> {
        self.stage_on(desk, JOURNAL, text)
    }

    /// Moves the desk `name` of another process away, so that this one alone changes anything with
    /// it. Gives its new name; nothing when there is none, whose owner has nothing under way.
    pub fn take_away(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(now) = self.find(name)? else {
            return Ok(None);
        };
        let moved = format!("{}{MOVED}{}", origin(name), self.fresh_name());
        let (from, to) = (self.dir(&now), self.dir(&moved));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            renamed => renamed.map_err(io_error("rename", &from))?,
        }
        // A system call of its owner that hangs half-way has found the directory already. It will
        // not put a journal in its place from here on.
        for file in files(&to)? {
            let is_journal = file.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name.starts_with(JOURNAL)
            });
            if is_journal {
                remove_file(&file)?;
            }
        }
        Ok(Some(moved))
    }

    /// An empty desk in the place of one that is gone, as [`Desk::take_away`] names it.
    pub fn successor(&self, name: &str) -> Result<String, Error> {
        let moved = format!("{}{MOVED}{}", origin(name), self.fresh_name());
        let dir = self.dir(&moved);
        fs::create_dir(&dir).map_err(io_error("make directory", &dir))?;
        Ok(moved)
    }

    /// Removes a desk that was taken away, with all that is on it: what hangs half-way finds
    /// neither file nor directory after that.
    pub fn clear(&self, moved: &str) -> Result<(), Error> {
        let dir = self.dir(moved);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(io_error("delete", &dir)),
        }
    }

    /// Under which name the desk is there, moved or not.
    fn find(&self, name: &str) -> Result<Option<String>, Error> {
        let origin = origin(name);
        for entry in fs::read_dir(&self.temp).map_err(io_error("list", &self.temp))? {
            let entry = entry.map_err(io_error("list", &self.temp))?;
            let found = entry.file_name().to_string_lossy().into_owned();
            if self::origin(&found) == origin {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Removes what dead writers left; failing to is no reason not to open the store.
    pub fn sweep(&self) {
        for entry in fs::read_dir(&self.temp).into_iter().flatten().flatten() {
            let path = entry.path();
            if !is_old(&path) {
                continue;
            }
            if path.is_dir() {
                let inside = files(&path).into_iter().flatten();
                inside.filter(|file| is_old(file)).for_each(|file| {
                    let _ = fs::remove_file(file);
                });
                let _ = fs::remove_dir(&path);
            } else {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(name) = self.name().take() {
            let _ = fs::remove_dir(self.dir(&name));
        }
    }
}

/// The name that a desk had before it was moved.
fn origin(name: &str) -> &str {
    name.split(MOVED).next().unwrap_or(name)
}

fn is_old(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
    let age = modified.ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age > STAGED_AGE_MAX)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(io_error("list", dir))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths: io::Result<_> = paths.collect();
    paths.map_err(io_error("list", dir))
}

/// Removes a file that may be gone already.
pub fn remove_file(file: &Path) -> Result<(), Error> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(io_error("delete", file)),
    }
}

fn write(staged: &Path, value: &[u8]) -> io::Result<File> {
    let mut file = File::create_new(staged)?;
    file.write_all(value)?;
    Ok(file)
}
