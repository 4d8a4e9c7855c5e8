//! Changes as one transaction each: what must hold, what is done, and what is looked at to say why
//! it was not.
//!
//! etcd has keys and no directories. A directory is a path with keys below it, so a transaction
//! that writes a key also checks that nothing lies below it and that no ancestor is a key.

use std::collections::BTreeSet;

use etcd_client::{
    Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse,
};

use crate::coordinator::error::{DIRECTORY, DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, changed, kind};
use crate::coordinator::path::ancestors;
use crate::coordinator::{Error, Expected, Guard, Write};

/// Conditional changes of records, all or none.
pub struct Step<'a> {
    pub operation: &'static str,
    pub writes: &'a [Write<'a>],
    pub guards: &'a [Guard<'a>],
    /// Whose end is the end of what is written; 0 is for ever.
    pub lease: i64,
}

/// What a question of the `else` branch found: whether anything, and the first value.
type Found<'a> = (bool, Option<&'a [u8]>);

impl Step<'_> {
    /// The transaction. Its `else` branch reads what [`Step::outcome`] needs.
    pub fn transaction(&self) -> Txn {
        Txn::new()
            .when(self.conditions())
            .and_then(self.changes())
            .or_else(self.questions())
    }

    fn conditions(&self) -> Vec<Compare> {
        let absent = |key: &str| Compare::version(key, CompareOp::Equal, 0);
        let holds = |key: &str, value: &[u8]| Compare::value(key, CompareOp::Equal, value);
        let mut all = Vec::new();
        for write in self.writes {
            all.push(absent(&below(write.path)).with_prefix());
            match write.expected {
                Expected::Anything => {}
                Expected::Missing => all.push(absent(write.path)),
                Expected::Value(value) => all.push(holds(write.path, value)),
            }
        }
        all.extend(self.directories().into_iter().map(absent));
        all.extend(
            self.guards
                .iter()
                .map(|guard| holds(guard.path, guard.value)),
        );
        all
    }

    fn changes(&self) -> Vec<TxnOp> {
        let options = PutOptions::new().with_lease(self.lease);
        self.writes
            .iter()
            .map(|write| match write.value {
                Some(value) => TxnOp::put(write.path, value, Some(options.clone())),
                None => TxnOp::delete(write.path, None),
            })
            .collect()
    }

    /// Of each write what is below it and the record, then the directories, then the guards.
    fn questions(&self) -> Vec<TxnOp> {
        let mut all = Vec::new();
        for write in self.writes {
            all.extend([first_below(write.path), TxnOp::get(write.path, None)]);
        }
        let exists = || Some(GetOptions::new().with_count_only());
        let directories = self.directories().into_iter();
        all.extend(directories.map(|key| TxnOp::get(key, exists())));
        all.extend(self.guards.iter().map(|guard| TxnOp::get(guard.path, None)));
        all
    }

    /// The paths that must not be records, because records are put below them.
    fn directories(&self) -> BTreeSet<&str> {
        let puts = self.writes.iter().filter(|write| write.value.is_some());
        puts.flat_map(|write| ancestors(write.path)).collect()
    }

    /// Says why nothing was changed, when nothing was.
    pub fn outcome(&self, response: &TxnResponse) -> Result<(), Error> {
        if response.succeeded() {
            return Ok(());
        }
        let answers = response.op_responses();
        let mut found = answers.iter().map(|answer| match answer {
            TxnOpResponse::Get(got) => (got.count() > 0, got.kvs().first().map(|kv| kv.value())),
            _ => (false, None),
        });
        for write in self.writes {
            let directory = found.next().unwrap_or_default();
            self.judge(write, directory, found.next().unwrap_or_default())?;
        }
        let directories = self.directories();
        let records: BTreeSet<&str> = directories
            .into_iter()
            .zip(found.by_ref())
            .filter_map(|(path, (there, _))| there.then_some(path))
            .collect();
        for write in self.writes.iter().filter(|write| write.value.is_some()) {
            if ancestors(write.path).any(|above| records.contains(above)) {
                return Err(kind(self.operation, write.path, PARENT_IS_RECORD));
            }
        }
        for (guard, (_, value)) in self.guards.iter().zip(found) {
            if value != Some(guard.value) {
                return Err(changed(guard.path));
            }
        }
        // The transaction and its questions are one step, so one of them was answered no.
        Err(changed(self.first_path()))
    }

    /// Whether what lies at and below the path of `write` is what it expects.
    fn judge(
        &self,
        write: &Write<'_>,
        (is_directory, _): Found<'_>,
        (is_record, value): Found<'_>,
    ) -> Result<(), Error> {
        let path = write.path;
        match (write.expected, write.value) {
            (Expected::Missing, _) if is_directory || is_record => Err(Error::Exists {
                path: path.to_owned(),
            }),
            (_, None) if is_directory => Err(kind(self.operation, path, DIRECTORY_NOT_EMPTY)),
            (_, Some(_)) if is_directory => Err(kind(self.operation, path, DIRECTORY)),
            (Expected::Value(wanted), _) if value != Some(wanted) => Err(changed(path)),
            _ => Ok(()),
        }
    }

    /// What an error is about that is about all of it.
    pub fn first_path(&self) -> &str {
        let write = self.writes.first().map(|write| write.path);
        let guard = self.guards.first().map(|guard| guard.path);
        write.or(guard).unwrap_or("/")
    }
}

/// The prefix of everything below `path`.
pub fn below(path: &str) -> String {
    format!("{path}/")
}

/// Asks for any key below `path`.
pub fn first_below(path: &str) -> TxnOp {
    let options = GetOptions::new()
        .with_prefix()
        .with_keys_only()
        .with_limit(1);
    TxnOp::get(below(path), Some(options))
}
