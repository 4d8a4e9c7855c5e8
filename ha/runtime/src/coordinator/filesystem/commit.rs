//! Changes of records, all or none, even when the process or the machine dies on the way.
//!
//! Values are written and synced in `temp/` before the store is entered, so that others wait for
//! renames only. A change of one record is one rename. For several, the renames are first written
//! down in `{root}/journal`: once that file is in place the commit is made, and whoever enters the
//! store next carries out what the one before could not. An original does not know the journal: if
//! it writes one of the same records between a crash and that, its value is replaced.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::error::changed;
use super::tree::{Staged, Tree};
use super::{Error, Expected, Guard, Write, io_error, sync_dir};

/// A commit that owns what it was asked for.
pub struct Commit {
    operation: &'static str,
    writes: Vec<Owned>,
    guards: Vec<(String, Vec<u8>)>,
}

struct Owned {
    path: String,
    expected: Before,
    /// The new value in a file of its own; `None` deletes.
    staged: Option<Staged>,
}

/// [`Expected`], owned.
enum Before {
    Anything,
    Missing,
    Value(Vec<u8>),
}

/// What a commit does once it is sure.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// Puts the file of this name in `temp/` in the place of the record.
    Put { path: String, staged: String },
    /// Removes the record.
    Delete { path: String },
}

/// The values of a commit, before they are on the disk.
pub struct Request {
    operation: &'static str,
    writes: Vec<(String, Before, Option<Vec<u8>>)>,
    guards: Vec<(String, Vec<u8>)>,
}

impl Request {
    pub fn of(operation: &'static str, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Self {
        let owned = |write: &Write<'_>| {
            let before = match write.expected {
                Expected::Anything => Before::Anything,
                Expected::Missing => Before::Missing,
                Expected::Value(value) => Before::Value(value.to_vec()),
            };
            let value = write.value.map(<[u8]>::to_vec);
            (write.path.to_owned(), before, value)
        };
        let guard = |guard: &Guard<'_>| (guard.path.to_owned(), guard.value.to_vec());
        Self {
            operation,
            writes: writes.iter().map(owned).collect(),
            guards: guards.iter().map(guard).collect(),
        }
    }

    /// Brings the values to the disk; nobody waits for that.
    pub fn stage(self, tree: &Tree) -> Result<Commit, Error> {
        let mut writes = Vec::with_capacity(self.writes.len());
        let mut files = Vec::with_capacity(self.writes.len());
        for (path, expected, value) in self.writes {
            let (staged, file) = match value {
                Some(value) => tree
                    .stage_unsynced(&value)
                    .map(|(s, f)| (Some(s), Some(f)))?,
                None => (None, None),
            };
            files.extend(file);
            writes.push(Owned {
                path,
                expected,
                staged,
            });
        }
        tree.sync_staged(&files)?;
        Ok(Commit {
            operation: self.operation,
            writes,
            guards: self.guards,
        })
    }
}

impl Commit {
    /// Checks everything, then does everything. The caller is inside the store.
    pub fn run(self, tree: &Tree) -> Result<(), Error> {
        self.check(tree)?;
        let parents = self.writes.iter().filter(|write| write.staged.is_some());
        for write in parents {
            tree.make_parents(self.operation, &write.path)?;
        }
        point("store.directory.staged");
        match <[Owned; 1]>::try_from(self.writes) {
            Ok([write]) => match write.staged {
                Some(staged) => tree.place(staged, &write.path),
                None => tree.remove(&write.path),
            },
            Err(several) => run_journal(tree, several),
        }
    }

    fn check(&self, tree: &Tree) -> Result<(), Error> {
        for (path, wanted) in &self.guards {
            if tree.read(path)?.as_ref() != Some(wanted) {
                return Err(changed(path));
            }
        }
        for Owned {
            path,
            expected,
            staged,
        } in &self.writes
        {
            match expected {
                Before::Missing if tree.exists(path)? => {
                    let path = path.clone();
                    return Err(Error::Exists { path });
                }
                Before::Value(wanted) if tree.read(path)?.as_ref() != Some(wanted) => {
                    return Err(changed(path));
                }
                _ => {}
            }
            match staged {
                Some(staged) => {
                    tree.check_put(self.operation, path)?;
                    staged.check()?;
                }
                None => tree.check_remove(self.operation, path)?,
            }
        }
        Ok(())
    }
}

fn run_journal(tree: &Tree, writes: Vec<Owned>) -> Result<(), Error> {
    if writes.is_empty() {
        return Ok(());
    }
    let mut steps = Vec::with_capacity(writes.len());
    let mut kept = Vec::new();
    for Owned { path, staged, .. } in writes {
        steps.push(match staged {
            Some(staged) => {
                let name = staged.name();
                kept.push(staged);
                Step::Put { path, staged: name }
            }
            None => Step::Delete { path },
        });
    }
    write_down(tree, &steps)?;
    // From here on it is made: carried out by us, or by the next one who comes.
    kept.into_iter().for_each(Staged::keep);
    point("store.directory.journal");
    sync_dir(tree.root())?;
    carry_out(tree, &steps)
}

fn journal(tree: &Tree) -> PathBuf {
    tree.root().join("journal")
}

fn write_down(tree: &Tree, steps: &[Step]) -> Result<(), Error> {
    let file = journal(tree);
    let text = serde_json::to_vec_pretty(steps)
        .map_err(std::io::Error::other)
        .map_err(io_error("write", &file))?;
    tree.stage(&text)?.rename(&file)
}

/// Does again what may have been done in part.
fn carry_out(tree: &Tree, steps: &[Step]) -> Result<(), Error> {
    let mut touched = BTreeSet::new();
    for step in steps {
        let path = match step {
            Step::Put { path, staged } => {
                tree.make_parents("commit", path)?;
                tree.place_unless_done(staged, path)?;
                path
            }
            Step::Delete { path } => {
                tree.remove_unsynced(path)?;
                path
            }
        };
        touched.insert(tree.parent(path));
        point("store.directory.step");
    }
    for dir in touched.iter().filter(|dir| dir.is_dir()) {
        sync_dir(dir)?;
    }
    point("store.directory.synced");
    let file = journal(tree);
    fs::remove_file(&file).map_err(io_error("delete", &file))?;
    sync_dir(tree.root())
}

/// Finishes the commit of a process that died in the middle. The caller is inside the store.
pub fn roll_forward(tree: &Tree) -> Result<(), Error> {
    let file = journal(tree);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("read", &file)(error)),
    };
    let steps = parse(&file, &text)?;
    carry_out(tree, &steps)?;
    let records = steps.len();
    tracing::warn!(records, "finished the commit of a process that died");
    Ok(())
}

fn parse(file: &Path, text: &[u8]) -> Result<Vec<Step>, Error> {
    serde_json::from_slice(text)
        .map_err(std::io::Error::other)
        .map_err(io_error("understand", file))
}

/// Where tests kill the process; see [`fault`](crate::fault).
#[cfg(debug_assertions)]
fn point(name: &str) {
    crate::fault::point(name);
}

#[cfg(not(debug_assertions))]
const fn point(_: &str) {}

#[cfg(test)]
mod tests;
