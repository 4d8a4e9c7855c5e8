//! What may be done inside the store, and by whom.

use std::fs;
use std::io::ErrorKind;
use std::ops::Deref;
use std::path::Path;

use super::super::error::{DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, kind};
use super::desk::{Staged, remove_file};
use super::oslock::OsLock;
use super::tree::{Tree, is_missing};
use super::{Error, io_error, sync_dir};

/// The right to read and write, until this is dropped, or until another process takes the store
/// because this one does not move. From then on every change fails with [`Error::Taken`].
#[derive(Debug)]
pub struct Inside<'t> {
    tree: &'t Tree,
    /// Named in the note; a process that only reads has none.
    desk: Option<String>,
    /// Left first: an original may wait for it.
    data: OsLock,
    _queue: Option<OsLock>,
}

impl Deref for Inside<'_> {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        self.tree
    }
}

impl<'t> Inside<'t> {
    /// With the lock of the store, and the place in the queue.
    pub fn new(
        tree: &'t Tree,
        desk: Option<String>,
        data: OsLock,
        queue: Option<OsLock>,
    ) -> Inside<'t> {
        Inside {
            tree,
            desk,
            data,
            _queue: queue,
        }
    }

    /// Whether what was read is one state of the store: nobody else has been inside since.
    pub fn check(&self) -> Result<(), Error> {
        let file = &self.tree.lock_file;
        match self.data.is_at(file).map_err(io_error("look up", file))? {
            true => Ok(()),
            false => Err(self.taken()),
        }
    }

    /// What a change fails with whose desk was moved away.
    pub fn taken(&self) -> Error {
        Error::Taken {
            store: self.tree.root().to_owned(),
        }
    }

    /// The desk of this process.
    pub fn own_desk(&self) -> Result<&str, Error> {
        self.desk.as_deref().ok_or_else(|| self.taken())
    }

    /// Brings `value` to the disk, to become a record later.
    pub fn stage(&self, value: &[u8]) -> Result<Staged, Error> {
        let (staged, file) = self.taken_or(self.tree.desk.stage_on(self.own_desk()?, "", value))?;
        self.tree.sync_staged(&[file])?;
        Ok(staged)
    }

    /// The same for a journal.
    pub fn stage_journal(&self, text: &[u8]) -> Result<Staged, Error> {
        let staged = self.tree.desk.stage_journal(self.own_desk()?, text);
        let (staged, file) = self.taken_or(staged)?;
        self.tree.sync_staged(&[file])?;
        Ok(staged)
    }

    fn taken_or<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        match outcome {
            Err(Error::Io { source, .. })
                if source.kind() == ErrorKind::NotFound && !self.has_desk(self.own_desk()?) =>
            {
                Err(self.taken())
            }
            outcome => outcome,
        }
    }

    fn has_desk(&self, desk: &str) -> bool {
        self.tree.desk.dir(desk).is_dir()
    }

    /// A rename from or to `desk`; says whether there was anything to rename.
    pub fn shift(&self, desk: &str, from: &Path, to: &Path) -> Result<bool, Error> {
        match fs::rename(from, to) {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => match self.has_desk(desk) {
                true => Ok(false),
                false => Err(self.taken()),
            },
            Err(error) => Err(io_error("rename", to)(error)),
        }
    }

    /// Puts what was staged in the place of `target`, a file of the store.
    pub fn put(&self, staged: Staged, target: &Path) -> Result<(), Error> {
        match self.shift(self.own_desk()?, staged.file(), target)? {
            true => {
                staged.keep();
                Ok(())
            }
            // Missing are the directory above the target, or the desk on which it was staged, which
            // was moved away before this entry.
            false => Err(match staged.is_there() {
                true => io_error("rename", target)(ErrorKind::NotFound.into()),
                false => self.taken(),
            }),
        }
    }

    /// Makes the record in one step: a reader without a lock sees the old value or the new one.
    pub fn place(&self, staged: Staged, path: &str) -> Result<(), Error> {
        self.put(staged, &self.tree.file(path))?;
        sync_dir(&self.tree.parent(path))
    }

    /// Removes a record, or a directory that is empty.
    pub fn remove(&self, path: &str) -> Result<(), Error> {
        match self.remove_unsynced(self.own_desk()?, path)? {
            true => sync_dir(&self.tree.parent(path)),
            false => Ok(()),
        }
    }

    /// The same by way of `desk`, to be synced with others; says whether there was anything.
    pub fn remove_unsynced(&self, desk: &str, path: &str) -> Result<bool, Error> {
        let target = self.tree.file(path);
        match fs::symlink_metadata(&target) {
            // An empty one is nobody's record: it needs no fence.
            Ok(found) if found.is_dir() => match fs::remove_dir(&target) {
                Ok(()) => Ok(true),
                Err(error) if is_missing(&error) => Ok(false),
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                    Err(kind("delete", path, DIRECTORY_NOT_EMPTY))
                }
                Err(error) => Err(io_error("delete", &target)(error)),
            },
            Ok(_) => self.discard(desk, &target),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(io_error("look up", &target)(error)),
        }
    }

    /// Removes a file of the store by way of `desk`.
    pub fn discard(&self, desk: &str, target: &Path) -> Result<bool, Error> {
        let dir = self.tree.desk.dir(desk);
        let waste = dir.join(format!("waste-{}", self.tree.desk.fresh_name()));
        let moved = self.shift(desk, target, &waste)?;
        if moved {
            remove_file(&waste)?;
        }
        Ok(moved)
    }

    /// Makes the missing directories above a record, each one durable in the one above it.
    pub fn make_parents(&self, operation: &'static str, path: &str) -> Result<(), Error> {
        let data = self.tree.data();
        let parent = self.tree.parent(path);
        let in_store = parent.ancestors().take_while(|dir| *dir != data);
        let missing: Vec<&Path> = in_store.take_while(|dir| !dir.is_dir()).collect();
        for dir in missing.into_iter().rev() {
            match fs::create_dir(dir) {
                Ok(()) => sync_dir(dir.parent().unwrap_or(data))?,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::AlreadyExists | ErrorKind::NotADirectory
                    ) =>
                {
                    return Err(kind(operation, path, PARENT_IS_RECORD));
                }
                Err(error) => return Err(io_error("make directory", dir)(error)),
            }
        }
        Ok(())
    }
}
