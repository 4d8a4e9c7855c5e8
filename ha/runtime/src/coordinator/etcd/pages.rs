//! All keys below a path, a page at a time and all at one revision: an answer has a limited size.

use etcd_client::{GetOptions, GetResponse, KeyValue, Txn, TxnOp};

/// The most records of one answer: with the small records of Codis far below the 4 MiB that a
/// client takes.
const PAGE_RECORDS: usize = 512;

/// Where the next page begins.
pub struct Pages {
    from: Vec<u8>,
    /// The first key that is not below the path.
    end: Vec<u8>,
    /// The revision of the first page, which the others are read at.
    revision: Option<i64>,
    done: bool,
}

impl Pages {
    /// What lies below `prefix`, which ends with `/`.
    pub fn of(prefix: &str) -> Self {
        let from = prefix.as_bytes().to_vec();
        let mut end = from.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self {
            from,
            end,
            revision: None,
            done: false,
        }
    }

    /// Asks for the next page, and whether `path` is a record itself; nothing after the last one.
    pub fn next(&mut self, path: &str) -> Option<Txn> {
        if self.done {
            return None;
        }
        let revision = self.revision.unwrap_or(0);
        let page = GetOptions::new()
            .with_range(self.end.clone())
            .with_limit(i64::try_from(PAGE_RECORDS).unwrap_or(i64::MAX))
            .with_revision(revision);
        let count = GetOptions::new().with_count_only().with_revision(revision);
        Some(Txn::new().and_then(vec![
            TxnOp::get(self.from.clone(), Some(page)),
            TxnOp::get(path, Some(count)),
        ]))
    }

    /// The records of a page that was read at `revision`.
    pub fn take(&mut self, page: Option<GetResponse>, revision: i64) -> Vec<KeyValue> {
        let records = page.map_or_else(Vec::new, |mut page| page.take_kvs());
        self.revision.get_or_insert(revision);
        match records.last() {
            Some(last) if records.len() >= PAGE_RECORDS => {
                // The least key that is greater.
                self.from = [last.key(), &[0]].concat();
            }
            _ => self.done = true,
        }
        records
    }
}
