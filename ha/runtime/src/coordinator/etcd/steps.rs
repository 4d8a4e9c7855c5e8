//! Changes as one transaction each: what must hold, what is done, and what is looked at to say why
//! it was not.
//!
//! etcd has keys and no directories. A directory is a path with keys below it, so a transaction
//! that writes a key also checks that nothing lies below it and that no ancestor is a key.

use etcd_client::{
    Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse,
};

use crate::coordinator::error::{DIRECTORY, DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, changed, kind};
use crate::coordinator::{Error, Expected, Guard};

/// What is to become of a record.
pub enum Change<'a> {
    /// It holds these bytes, for as long as the lease lives; 0 is for ever.
    Put { value: &'a [u8], lease: i64 },
    /// It is gone.
    Delete,
}

/// One conditional change of a record.
pub struct Step<'a> {
    pub operation: &'static str,
    pub path: &'a str,
    pub expected: Expected<'a>,
    pub guards: &'a [Guard<'a>],
    pub change: Change<'a>,
}

impl Step<'_> {
    /// The transaction. Its `else` branch reads what [`Step::outcome`] needs.
    pub fn transaction(&self) -> Txn {
        Txn::new()
            .when(self.conditions())
            .and_then(vec![self.change()])
            .or_else(self.questions())
    }

    fn conditions(&self) -> Vec<Compare> {
        let absent = |key: &str| Compare::version(key, CompareOp::Equal, 0);
        let holds = |key: &str, value: &[u8]| Compare::value(key, CompareOp::Equal, value);
        let mut all = vec![absent(&below(self.path)).with_prefix()];
        if matches!(self.change, Change::Put { .. }) {
            all.extend(ancestors(self.path).map(absent));
        }
        match self.expected {
            Expected::Anything => {}
            Expected::Missing => all.push(absent(self.path)),
            Expected::Value(value) => all.push(holds(self.path, value)),
        }
        all.extend(
            self.guards
                .iter()
                .map(|guard| holds(guard.path, guard.value)),
        );
        all
    }

    fn change(&self) -> TxnOp {
        match self.change {
            Change::Put { value, lease } => {
                TxnOp::put(self.path, value, Some(PutOptions::new().with_lease(lease)))
            }
            Change::Delete => TxnOp::delete(self.path, None),
        }
    }

    /// The children, the record, the ancestors, the guards: in this order.
    fn questions(&self) -> Vec<TxnOp> {
        let mut all = vec![first_below(self.path), TxnOp::get(self.path, None)];
        let exists = || Some(GetOptions::new().with_count_only());
        all.extend(ancestors(self.path).map(|key| TxnOp::get(key, exists())));
        all.extend(self.guards.iter().map(|guard| TxnOp::get(guard.path, None)));
        all
    }

    /// Says why nothing was changed, when nothing was.
    pub fn outcome(&self, response: &TxnResponse) -> Result<(), Error> {
        if response.succeeded() {
            return Ok(());
        }
        let found = response.op_responses();
        let mut found = found.iter().map(|response| match response {
            TxnOpResponse::Get(got) => (got.count() > 0, got.kvs().first().map(|kv| kv.value())),
            _ => (false, None),
        });
        let (is_directory, _) = found.next().unwrap_or_default();
        let (is_record, value) = found.next().unwrap_or_default();
        let exists = || Error::Exists {
            path: self.path.to_owned(),
        };
        if is_directory {
            return Err(match (&self.change, self.expected) {
                (_, Expected::Missing) => exists(),
                (Change::Delete, _) => kind(self.operation, self.path, DIRECTORY_NOT_EMPTY),
                (Change::Put { .. }, _) => kind(self.operation, self.path, DIRECTORY),
            });
        }
        let parents = found.by_ref().take(ancestors(self.path).count());
        if parents.filter(|(there, _)| *there).count() > 0
            && matches!(self.change, Change::Put { .. })
        {
            return Err(kind(self.operation, self.path, PARENT_IS_RECORD));
        }
        match self.expected {
            Expected::Missing if is_record => return Err(exists()),
            Expected::Value(wanted) if value != Some(wanted) => return Err(changed(self.path)),
            _ => {}
        }
        for (guard, (_, value)) in self.guards.iter().zip(found) {
            if value != Some(guard.value) {
                return Err(changed(guard.path));
            }
        }
        // The transaction and its questions are one step, so one of them was answered no.
        Err(changed(self.path))
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

/// The paths above `path`, the root not among them.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').skip(1).map(|(at, _)| &path[..at])
}
