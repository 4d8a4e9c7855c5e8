//! The commands of a sentinel as data: names, numbers of words, flags, categories, documentation.
//!
//! One table decides which commands exist, what `COMMAND` tells about them, and what ACL rules can
//! name. Its rows are JSON next to this file, one row for each command and each subcommand, and
//! agree with those that Redis 7.2 shows in sentinel mode. What only this sentinel has is marked as
//! an extension: it can be asked for by name and named in rules, but is not listed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

mod find;

pub use find::{find, resolve, unknown};

/// Rows that fit into a set of commands.
pub const ROWS_MAX: usize = 128;

/// Every ACL category of Redis, in the order in which it lists them.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The files that hold the rows.
const FILES: [&str; 5] = [
    include_str!("table/plain.json"),
    include_str!("table/acl.json"),
    include_str!("table/client.json"),
    include_str!("table/command.json"),
    include_str!("table/sentinel.json"),
];

/// One command or subcommand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// In lower case; that of a subcommand is `command|subcommand`.
    pub name: String,
    /// Words of a request, those of the name included; negative is "at least".
    pub arity: i32,
    /// Flags as `COMMAND INFO` shows them.
    pub flags: Vec<String>,
    /// ACL categories without their `@`.
    pub categories: Vec<String>,
    /// Tips for clients of a cluster.
    #[serde(default)]
    pub tips: Vec<String>,
    /// The version of Redis that had it first; of this crate for an extension.
    pub since: String,
    /// The group of the documentation.
    pub group: String,
    /// One sentence.
    pub summary: String,
    /// Cost, when it is known.
    pub complexity: Option<String>,
    /// The version that advises against it.
    pub deprecated_since: Option<String>,
    /// What to use instead.
    pub replaced_by: Option<String>,
    /// Flags of the documentation.
    #[serde(default)]
    pub doc_flags: Vec<String>,
    /// Versions and what they changed.
    #[serde(default)]
    pub history: Vec<(String, String)>,
    /// Arguments after the name.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// Known to this crate alone.
    #[serde(default)]
    pub extension: bool,
    /// Its place in [`rows`].
    #[serde(skip)]
    pub number: usize,
    /// The numbers of its subcommands.
    #[serde(skip)]
    parts: Vec<usize>,
}

/// An argument of a command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// `string`, `integer`, `oneof`, `block`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// How it is shown, when not by its name.
    pub display_text: Option<String>,
    /// The word in front of it.
    pub token: Option<String>,
    /// The version that had it first.
    pub since: Option<String>,
    /// The version that advises against it.
    pub deprecated_since: Option<String>,
    /// `optional`, `multiple`, ...
    #[serde(default)]
    pub flags: Vec<String>,
    /// The parts of a `oneof` or a `block`.
    #[serde(default)]
    pub arguments: Vec<Argument>,
}

impl Spec {
    /// The command that it is a part of, or itself.
    pub fn container(&self) -> &str {
        self.name.split('|').next().unwrap_or_default()
    }

    /// Whether it is a part of another command.
    pub fn is_subcommand(&self) -> bool {
        self.name.contains('|')
    }

    /// Whether it is a command of which only subcommands do something.
    pub fn is_container(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether a flag is set.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    /// Whether it is in a category.
    pub fn is_in(&self, category: &str) -> bool {
        self.categories.iter().any(|known| known == category)
    }

    /// Whether a request may have so many words.
    pub fn fits(&self, words: usize) -> bool {
        let wanted = usize::try_from(self.arity.unsigned_abs()).unwrap_or(usize::MAX);
        if self.arity < 0 {
            words >= wanted
        } else {
            words == wanted
        }
    }
}

#[derive(Debug)]
struct Table {
    rows: Vec<Spec>,
    by_name: BTreeMap<String, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let rows = |text| -> Vec<Spec> {
        serde_json::from_str(text).expect("the table is a part of the program, and a test reads it")
    };
    let mut rows: Vec<Spec> = FILES.into_iter().flat_map(rows).collect();
    let names = rows.iter().map(|row| row.name.clone());
    let by_name: BTreeMap<String, usize> = names.enumerate().map(|(id, name)| (name, id)).collect();
    for number in 0..rows.len() {
        rows[number].number = number;
        if rows[number].is_subcommand()
            && let Some(&container) = by_name.get(rows[number].container())
        {
            rows[container].parts.push(number);
        }
    }
    Table { rows, by_name }
});

/// All rows. The index of a row is its number.
pub fn rows() -> &'static [Spec] {
    &TABLE.rows
}

/// The row of that name, in any case; of a subcommand with its bar.
pub fn get(name: &str) -> Option<&'static Spec> {
    let number = TABLE.by_name.get(&name.to_ascii_lowercase());
    number.map(|number| &TABLE.rows[*number])
}

/// The parts of a command.
pub fn subcommands(spec: &Spec) -> impl Iterator<Item = &'static Spec> {
    spec.parts.iter().map(|number| &TABLE.rows[*number])
}

/// The commands that are no part of another.
pub fn top_level() -> impl Iterator<Item = &'static Spec> {
    TABLE.rows.iter().filter(|row| !row.is_subcommand())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_what_redis_7_2_lists() {
        let listed: Vec<&Spec> = rows().iter().filter(|row| !row.extension).collect();
        assert_eq!(listed.len(), 73);
        assert_eq!(top_level().count(), 15);
        assert_eq!(subcommands(get("client").unwrap()).count(), 17);
        assert!(rows().len() <= ROWS_MAX);
        assert_eq!(TABLE.by_name.len(), rows().len(), "names are unique");
        for row in rows() {
            assert!(get(row.container()).is_some(), "{}", row.name);
            let known = |category: &String| CATEGORIES.contains(&category.as_str());
            assert!(row.categories.iter().all(known), "{}", row.name);
            assert!(row.is_in("fast") != row.is_in("slow"), "{}", row.name);
        }
    }

    #[test]
    fn numbers_of_words_count_the_name() {
        let monitor = get("SENTINEL|Monitor").unwrap();
        assert!(monitor.fits(6) && !monitor.fits(5) && !monitor.fits(7));
        let set = get("sentinel|set").unwrap();
        assert!(set.fits(5) && set.fits(50) && !set.fits(4));
    }
}
