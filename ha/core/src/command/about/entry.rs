//! What `COMMAND` says of one command.

use bytes::Bytes;

use crate::command::row::{Parts, Row};
use crate::command::{Access, Handling, Keys};
use crate::resp::Value;

/// The name as Redis lists it.
pub(super) fn name(row: &Row) -> Value {
    bulk(&row.name.to_ascii_lowercase())
}

/// Name, number of arguments, flags, first and last key and step, categories, tips, key
/// specifications, sub-commands.
pub(super) fn info(row: &'static Row) -> Value {
    named(row, row.name.to_ascii_lowercase())
}

/// As [`info`], by that name.
pub(super) fn named(row: &'static Row, name: String) -> Value {
    let (first, last, step) = plain_keys(row.keys);
    let parts = match row.handling {
        Handling::Parts(Parts(parts)) => parts,
        Handling::Forward
        | Handling::Local(_)
        | Handling::Special(_)
        | Handling::Split(_)
        | Handling::Unblocked
        | Handling::Refuse => &[],
    };
    let parts = parts.iter().map(|part| {
        let full = format!("{name}|{}", part.name.to_ascii_lowercase());
        named(part, full)
    });
    let parts = Value::array(parts);
    Value::array([
        bulk(&name),
        Value::Integer(i64::from(row.arity)),
        Value::array(flags(row)),
        Value::Integer(first),
        Value::Integer(last),
        Value::Integer(step),
        Value::array(categories(row)),
        Value::array([]),
        Value::array(specifications(row)),
        parts,
    ])
}

/// The name, and a map of what people may want to know.
pub(super) fn docs(row: &'static Row) -> (Value, Value) {
    docs_named(row, row.name.to_ascii_lowercase())
}

/// As [`docs`], by that name.
pub(super) fn docs_named(row: &'static Row, name: String) -> (Value, Value) {
    let summary = match (row.handling, row.access) {
        (Handling::Forward | Handling::Parts(_), Access::Read) => {
            "Reads on a replica or the master of the slot of its key"
        }
        (Handling::Forward | Handling::Parts(_), Access::ReadMaster) => {
            "Reads on the master of the slot of its key"
        }
        (Handling::Forward | Handling::Parts(_), Access::Write) => {
            "Runs on the master of the slot of its key"
        }
        (Handling::Unblocked, _) => "Runs on the server of its keys, and never waits for data",
        (Handling::Split(_), _) => "Runs on all servers that its keys are on",
        (Handling::Special(_), _) => "Runs on the server whose address is given, or on any",
        (Handling::Local(_), _) => "Answered by the proxy",
        (Handling::Refuse, _) => "Refused",
    };
    let pairs = vec![
        (bulk("summary"), bulk(summary)),
        (bulk("group"), bulk(row.group)),
        (bulk("arity"), Value::Integer(i64::from(row.arity))),
    ];
    (bulk(&name), Value::Map(pairs))
}

/// First key, last key and step, as far as three numbers can say.
fn plain_keys(keys: Keys) -> (i64, i64, i64) {
    match keys {
        Keys::One(key) => (key.into(), key.into(), 1),
        Keys::Range { first, last, step } => (first.into(), last.into(), step.into()),
        Keys::Stored { .. } | Keys::Counted { store: 1, .. } => (1, 1, 1),
        Keys::None | Keys::Streams | Keys::Counted { .. } => (0, 0, 0),
    }
}

fn flags(row: &Row) -> Vec<Value> {
    let access = match (row.keys, row.access) {
        (Keys::None, _) => None,
        (_, Access::Read | Access::ReadMaster) => Some("readonly"),
        (_, Access::Write) => Some("write"),
    };
    let movable = matches!(
        row.keys,
        Keys::Counted { .. } | Keys::Streams | Keys::Stored { .. }
    );
    let movable = movable.then_some("movablekeys");
    access.into_iter().chain(movable).map(status).collect()
}

fn categories(row: &Row) -> Vec<Value> {
    let access = match (row.keys, row.access) {
        (Keys::None, _) => None,
        (_, Access::Read | Access::ReadMaster) => Some("@read".to_owned()),
        (_, Access::Write) => Some("@write".to_owned()),
    };
    let kind = match row.group {
        "" => None,
        "generic" => Some("@keyspace".to_owned()),
        "sorted-set" => Some("@sortedset".to_owned()),
        "transactions" => Some("@transaction".to_owned()),
        kind => Some(format!("@{kind}")),
    };
    let all = access.into_iter().chain(kind);
    all.map(|name| Value::simple(Bytes::from(name))).collect()
}

fn specifications(row: &Row) -> Vec<Value> {
    let writes = row.access == Access::Write;
    let at = |index: u8, find: Value| specification(writes, begin("index", "index", index), find);
    match row.keys {
        Keys::None => Vec::new(),
        Keys::One(key) => vec![at(key, range(0, 1, 0))],
        Keys::Range { first, last, step } => {
            // From the end as it is; else counted from the first one.
            let last = if last < 0 { last } else { last - first as i8 };
            vec![at(first, range(last, step, 0))]
        }
        Keys::Counted { store, count, step } => {
            let stored = (store > 0).then(|| at(store, range(0, 1, 0)));
            let counted = specification(
                writes && store == 0,
                begin("index", "index", count),
                find(
                    "keynum",
                    &[("keynumidx", 0), ("firstkey", 1), ("keystep", step.into())],
                ),
            );
            stored.into_iter().chain([counted]).collect()
        }
        Keys::Streams => {
            let word = vec![
                (bulk("keyword"), bulk("STREAMS")),
                (bulk("startfrom"), Value::Integer(1)),
            ];
            let begin = typed("keyword", word);
            vec![specification(writes, begin, range(-1, 1, 2))]
        }
        Keys::Stored {
            words, patterns, ..
        } => {
            let unknown = |writes| {
                let unknown = || typed("unknown", Vec::new());
                specification(writes, unknown(), unknown())
            };
            let patterns = (!patterns.is_empty()).then(|| unknown(false));
            let stores = words.iter().map(|_| unknown(true));
            let key = specification(false, begin("index", "index", 1), range(0, 1, 0));
            [key].into_iter().chain(patterns).chain(stores).collect()
        }
    }
}

fn specification(writes: bool, begin: Value, find: Value) -> Value {
    let flag = status(if writes { "RW" } else { "RO" });
    Value::Map(vec![
        (bulk("flags"), Value::array([flag])),
        (bulk("begin_search"), begin),
        (bulk("find_keys"), find),
    ])
}

fn begin(kind: &str, what: &str, index: u8) -> Value {
    find(kind, &[(what, index.into())])
}

fn range(last: i8, step: u8, limit: i64) -> Value {
    find(
        "range",
        &[
            ("lastkey", last.into()),
            ("keystep", step.into()),
            ("limit", limit),
        ],
    )
}

fn find(kind: &str, numbers: &[(&str, i64)]) -> Value {
    let pairs = numbers.iter().map(|(n, v)| (bulk(n), Value::Integer(*v)));
    typed(kind, pairs.collect())
}

fn typed(kind: &str, spec: Vec<(Value, Value)>) -> Value {
    Value::Map(vec![
        (bulk("type"), bulk(kind)),
        (bulk("spec"), Value::Map(spec)),
    ])
}

fn bulk(text: &str) -> Value {
    Value::bulk(Bytes::copy_from_slice(text.as_bytes()))
}

fn status(text: &'static str) -> Value {
    Value::simple(text)
}
