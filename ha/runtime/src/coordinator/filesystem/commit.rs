//! Changes of records, all or none, even when the process or the machine dies on the way.
//!
//! Values are written and synced on the desk of the process before the store is entered, so that
//! others wait for renames only. A change of one record is one rename. For several, the renames are
//! first written down in `{root}/journal`: once that file is in place the commit is made, and
//! whoever enters the store next carries out what the one before could not, from the desk that the
//! journal names and that is moved away first. An original does not know the journal: if it writes
//! one of the same records between a crash and that, its value is replaced.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::error::changed;
use super::desk::Staged;
use super::inside::Inside;
use super::tree::Tree;
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
    /// Puts the file of this name on the desk in the place of the record.
    Put { path: String, staged: String },
    /// Removes the record.
    Delete { path: String },
}

/// What is in `{root}/journal`.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    /// Where the staged files are, unless they were moved from there since.
    desk: String,
    steps: Vec<Step>,
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
        // Also for one that only deletes.
        tree.desk.prepare()?;
        let mut writes = Vec::with_capacity(self.writes.len());
        let mut files = Vec::with_capacity(self.writes.len());
        for (path, expected, value) in self.writes {
            let (staged, file) = match value {
                Some(value) => tree.desk.stage(&value).map(|(s, f)| (Some(s), Some(f)))?,
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
    /// Checks everything, then does everything.
    pub fn run(self, inside: &Inside<'_>) -> Result<(), Error> {
        point("store.directory.entered");
        self.check(inside)?;
        let parents = self.writes.iter().filter(|write| write.staged.is_some());
        for write in parents {
            inside.make_parents(self.operation, &write.path)?;
        }
        point("store.directory.staged");
        match <[Owned; 1]>::try_from(self.writes) {
            Ok([write]) => match write.staged {
                Some(staged) => inside.place(staged, &write.path),
                None => inside.remove(&write.path),
            },
            Err(several) => run_journal(inside, several),
        }
    }

    fn check(&self, inside: &Inside<'_>) -> Result<(), Error> {
        for (path, wanted) in &self.guards {
            if inside.read(path)?.as_ref() != Some(wanted) {
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
                Before::Missing if inside.exists(path)? => {
                    let path = path.clone();
                    return Err(Error::Exists { path });
                }
                Before::Value(wanted) if inside.read(path)?.as_ref() != Some(wanted) => {
                    return Err(changed(path));
                }
                _ => {}
            }
            match staged {
                Some(staged) => {
                    inside.check_put(self.operation, path)?;
                    if !staged.is_there() {
                        return Err(inside.taken());
                    }
                }
                None => inside.check_remove(self.operation, path)?,
            }
        }
        Ok(())
    }
}

fn run_journal(inside: &Inside<'_>, writes: Vec<Owned>) -> Result<(), Error> {
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
    let desk = inside.own_desk()?.to_owned();
    let journal = Journal { desk, steps };
    write_down(inside, &journal)?;
    // From here on it is made: carried out by us, or by the next one who comes.
    kept.into_iter().for_each(Staged::keep);
    point("store.directory.journal");
    sync_dir(inside.root())?;
    match carry_out(inside, &journal.desk, &journal.steps) {
        // By somebody else, who has the store now.
        Err(Error::Taken { .. }) => Ok(()),
        outcome => outcome,
    }
}

fn journal_file(tree: &Tree) -> PathBuf {
    tree.root().join("journal")
}

fn write_down(inside: &Inside<'_>, journal: &Journal) -> Result<(), Error> {
    let file = journal_file(inside);
    let text = serde_json::to_vec_pretty(journal)
        .map_err(std::io::Error::other)
        .map_err(io_error("write", &file))?;
    inside.put(inside.stage_journal(&text)?, &file)
}

/// Does again what may have been done in part, with what lies on `desk`.
fn carry_out(inside: &Inside<'_>, desk: &str, steps: &[Step]) -> Result<(), Error> {
    let dir = inside.desk.dir(desk);
    let mut touched = BTreeSet::new();
    for step in steps {
        let path = match step {
            Step::Put { path, staged } => {
                inside.make_parents("commit", path)?;
                // One that is missing is in its place already.
                inside.shift(desk, &dir.join(staged), &inside.file(path))?;
                path
            }
            Step::Delete { path } => {
                inside.remove_unsynced(desk, path)?;
                path
            }
        };
        touched.insert(inside.parent(path));
        point("store.directory.step");
    }
    for dir in touched.iter().filter(|dir| dir.is_dir()) {
        sync_dir(dir)?;
    }
    point("store.directory.synced");
    inside.discard(desk, &journal_file(inside))?;
    sync_dir(inside.root())
}

/// Finishes the commit of a process that died, or sleeps, in the middle.
pub fn roll_forward(inside: &Inside<'_>) -> Result<(), Error> {
    let Some(journal) = read_journal(inside)? else {
        return Ok(());
    };
    let moved = match inside.desk.take_away(&journal.desk)? {
        Some(moved) => moved,
        // Swept, with nothing on it: what is left to do are deletions.
        None => inside.desk.successor(&journal.desk)?,
    };
    carry_out(inside, &moved, &journal.steps)?;
    inside.desk.clear(&moved)?;
    let records = journal.steps.len();
    tracing::warn!(
        records,
        "finished the commit of a process that died or does not move"
    );
    Ok(())
}

/// Whether the journal needs what is on this desk.
pub fn is_named(tree: &Tree, desk: &str) -> Result<bool, Error> {
    Ok(read_journal(tree)?.is_some_and(|journal| journal.desk == desk))
}

fn read_journal(tree: &Tree) -> Result<Option<Journal>, Error> {
    let file = journal_file(tree);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", &file)(error)),
    };
    parse(&file, &text).map(Some)
}

fn parse(file: &Path, text: &[u8]) -> Result<Journal, Error> {
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
