//! The table, put together from the files of its subjects.
//!
//! Within a subject the rows are sorted by name; [`super::index`] finds a row by a hash.

mod connection;
mod hashes;
mod json;
mod keys;
mod lists;
mod scripts;
mod search;
mod server;
mod sets;
mod sketches;
mod slots;
mod sorted_sets;
mod streams;
mod strings;
mod vectors;

use super::row::Row;

/// The subjects, with the names that Redis has for them.
const GROUPS: &[(&str, &[Row])] = &[
    ("string", strings::STRINGS),
    ("bitmap", strings::BITMAPS),
    ("hyperloglog", strings::HYPERLOGLOGS),
    ("generic", keys::KEYS),
    ("hash", hashes::HASHES),
    ("list", lists::LISTS),
    ("set", sets::SETS),
    ("sorted-set", sorted_sets::SORTED_SETS),
    ("geo", sorted_sets::PLACES),
    ("stream", streams::STREAMS),
    ("scripting", scripts::SCRIPTS),
    ("connection", connection::CONNECTION),
    ("pubsub", connection::PUBSUB),
    ("transactions", connection::TRANSACTIONS),
    ("server", server::SERVER),
    ("codis", slots::SLOTS),
    ("json", json::JSON),
    ("bf", sketches::BLOOM),
    ("cf", sketches::CUCKOO),
    ("cms", sketches::COUNT_MIN),
    ("topk", sketches::TOP_K),
    ("tdigest", sketches::T_DIGEST),
    ("timeseries", search::TIME_SERIES),
    ("search", search::SEARCH),
    ("vector_set", vectors::VECTOR_SETS),
    ("array", vectors::ARRAYS),
];

/// How many rows there are.
pub(super) const LEN: usize = {
    let mut len = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        len += GROUPS[group].1.len();
        group += 1;
    }
    len
};

/// All rows, subject by subject.
pub(super) static TABLE: [Row; LEN] = {
    let mut table = [GROUPS[0].1[0]; LEN];
    let mut next = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        let (name, rows) = GROUPS[group];
        let mut row = 0;
        while row < rows.len() {
            table[next] = Row {
                group: name,
                ..rows[row]
            };
            next += 1;
            row += 1;
        }
        group += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_is_sorted() {
        for (group, rows) in GROUPS {
            assert!(rows.is_sorted_by(|a, b| a.name < b.name), "{group}");
        }
    }
}
