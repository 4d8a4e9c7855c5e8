//! The file, its overrides, and the getters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::str::FromStr;

use toml_edit::{Item, Value};

use super::problems::{Problems, nearest};

/// A number with a unit, written as text (`"32mb"`, `"30s"`) or as a bare integer.
pub trait Quantity: FromStr + Display + PartialOrd + Copy {}

impl<T: FromStr + Display + PartialOrd + Copy> Quantity for T {}

/// Settings that are being read.
#[derive(Debug)]
pub struct Document {
    source: String,
    entries: BTreeMap<String, Entry>,
    asked: BTreeSet<String>,
    problems: Vec<(Place, String)>,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    value: Raw,
}

#[derive(Debug)]
enum Raw {
    /// A value of the file, and how it is written there.
    Toml(Value, String),
    /// From the command line, where everything is text.
    Text(String),
    /// `[key]`, which a flat file cannot have.
    Table,
}

/// Where a value was written; file lines come before flags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Line(usize),
    Flag(String),
    /// A default, or a rule that spans several keys.
    Nowhere,
}

impl Document {
    /// Settings without a file: flags may be added.
    pub fn empty() -> Self {
        Self {
            source: "command line".to_owned(),
            entries: BTreeMap::new(),
            asked: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is not a TOML text in UTF-8.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Problems> {
        let path = path.as_ref();
        let source = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => "no such file".to_owned(),
                io::ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
                _ => format!("read: {error}"),
            };
            Problems::one(&source, reason)
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = line_of(error.as_bytes(), valid);
            Problems::one(&source, format!("line {line}: not UTF-8 text"))
        })?;
        Self::parse(&source, &text)
    }

    /// Reads `text`, which problems call `source`.
    ///
    /// # Errors
    /// It is not TOML.
    pub fn parse(source: &str, text: &str) -> Result<Self, Problems> {
        let parsed = toml_edit::Document::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = line_of(text.as_bytes(), at);
            Problems::one(source, format!("line {line}: {}", error.message().trim()))
        })?;
        let table = parsed.as_table();
        let mut document = Self {
            source: source.to_owned(),
            ..Self::empty()
        };
        for (name, item) in table {
            let key = table.get_key_value(name).map(|(key, _)| key);
            let at = key.and_then(toml_edit::Key::span).or_else(|| item.span());
            let place = at.map_or(Place::Nowhere, |span| {
                Place::Line(line_of(text.as_bytes(), span.start))
            });
            let value = match item {
                Item::Value(value) => {
                    let written = value.span().and_then(|span| text.get(span));
                    Raw::Toml(value.clone(), written.unwrap_or_default().to_owned())
                }
                Item::None | Item::Table(_) | Item::ArrayOfTables(_) => Raw::Table,
            };
            document
                .entries
                .insert(name.to_owned(), Entry { place, value });
        }
        Ok(document)
    }

    /// Overrides `key` by the value of a command-line flag, which problems name (`--product_name`).
    pub fn set(&mut self, flag: &str, key: &str, value: impl Into<String>) {
        let place = Place::Flag(flag.to_owned());
        let value = Raw::Text(value.into());
        self.entries.insert(key.to_owned(), Entry { place, value });
    }

    /// Whether the file or a flag sets `key`.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Text that keeps `rule`, which says what is wrong.
    pub fn text(
        &mut self,
        key: &str,
        into: &mut String,
        rule: impl FnOnce(&str) -> Result<(), String>,
    ) {
        self.read(key, into, |raw| {
            let text = raw.text()?;
            rule(text).map(|()| text.to_owned())
        });
    }

    /// A whole number in `range`.
    pub fn integer<T>(&mut self, key: &str, into: &mut T, range: impl RangeBounds<T>)
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        self.read(key, into, |raw| {
            let number = raw.integer()?;
            let outside = || out_of_range(number, &range);
            let value = T::try_from(number).map_err(|_| outside())?;
            if range.contains(&value) {
                Ok(value)
            } else {
                Err(outside())
            }
        });
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str, into: &mut bool) {
        self.read(key, into, Raw::boolean);
    }

    /// A size in bytes in `range`: `"32mb"`, or an integer.
    pub fn bytes<T: Quantity>(&mut self, key: &str, into: &mut T, range: impl RangeBounds<T>)
    where
        T::Err: Display,
    {
        self.quantity(key, into, "a size such as \"32mb\"", range);
    }

    /// A span of time in `range`: `"30s"`, or an integer in seconds.
    pub fn span<T: Quantity>(&mut self, key: &str, into: &mut T, range: impl RangeBounds<T>)
    where
        T::Err: Display,
    {
        self.quantity(key, into, "a duration such as \"30s\"", range);
    }

    /// One of `choices`, by a name in any case.
    pub fn choice<T: Clone>(&mut self, key: &str, into: &mut T, choices: &[(&str, T)]) {
        self.read(key, into, |raw| {
            let text = raw.text()?;
            let found = choices
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(text));
            found.map(|(_, value)| value.clone()).ok_or_else(|| {
                let names: Vec<String> = choices
                    .iter()
                    .map(|(name, _)| format!("\"{name}\""))
                    .collect();
                format!("\"{text}\" is not one of {}", names.join(", "))
            })
        });
    }

    /// Whatever `T` reads from text, with `T`'s own word on what is wrong.
    pub fn parsed<T: FromStr>(&mut self, key: &str, into: &mut T)
    where
        T::Err: Display,
    {
        self.read(key, into, |raw| {
            raw.text()?
                .parse()
                .map_err(|error: T::Err| error.to_string())
        });
    }

    /// Accepts `key` without reading it: an old key that has no effect any more.
    pub fn ignore(&mut self, key: &str) {
        self.asked.insert(key.to_owned());
    }

    /// Adds a problem that a rule over several keys has found with `key`.
    pub fn problem(&mut self, key: &str, text: impl Display) {
        let place = self
            .entries
            .get(key)
            .map_or(Place::Nowhere, |entry| entry.place.clone());
        let told = format!("{}: {text}", place.of(key));
        self.problems.push((place, told));
    }

    /// Everything that is wrong, keys that were never asked for included.
    ///
    /// # Errors
    /// The problems, in the order of the file, those of flags after them.
    pub fn finish(mut self) -> Result<(), Problems> {
        for (key, entry) in &self.entries {
            if self.asked.contains(key) {
                continue;
            }
            let known = self.asked.iter().map(String::as_str);
            let hint = match (&entry.value, nearest(key, known)) {
                (Raw::Table, None) => ": the file has no tables".to_owned(),
                (_, Some(near)) => format!(", did you mean \"{near}\"?"),
                (_, None) => String::new(),
            };
            let text = format!("{}: unknown key{hint}", entry.place.of(key));
            self.problems.push((entry.place.clone(), text));
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by(|(a, _), (b, _)| a.cmp(b));
        let lines = self.problems.into_iter().map(|(_, text)| text).collect();
        Err(Problems {
            source: self.source,
            lines,
        })
    }

    fn quantity<T: Quantity>(
        &mut self,
        key: &str,
        into: &mut T,
        form: &str,
        range: impl RangeBounds<T>,
    ) where
        T::Err: Display,
    {
        self.read(key, into, |raw| {
            let text = raw.quantity(form)?;
            let value: T = text
                .parse()
                .map_err(|error: T::Err| format!("{error}: expected {form}"))?;
            if range.contains(&value) {
                Ok(value)
            } else {
                Err(out_of_range(value, &range))
            }
        });
    }

    fn read<T>(&mut self, key: &str, into: &mut T, get: impl FnOnce(&Raw) -> Result<T, String>) {
        self.asked.insert(key.to_owned());
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        match get(&entry.value) {
            Ok(value) => *into = value,
            Err(text) => self.problem(key, text),
        }
    }
}

impl Raw {
    fn text(&self) -> Result<&str, String> {
        match self {
            Self::Toml(Value::String(text), _) => Ok(text.value()),
            Self::Text(text) => Ok(text),
            Self::Toml(..) | Self::Table => Err(self.unlike("a string")),
        }
    }

    fn integer(&self) -> Result<i64, String> {
        match self {
            Self::Toml(Value::Integer(number), _) => Ok(*number.value()),
            Self::Text(text) => text.trim().parse().map_err(|_| self.unlike("an integer")),
            Self::Toml(..) | Self::Table => Err(self.unlike("an integer")),
        }
    }

    fn boolean(&self) -> Result<bool, String> {
        match self {
            Self::Toml(Value::Boolean(value), _) => Ok(*value.value()),
            Self::Text(text) => text
                .trim()
                .parse()
                .map_err(|_| self.unlike("true or false")),
            Self::Toml(..) | Self::Table => Err(self.unlike("true or false")),
        }
    }

    fn quantity(&self, form: &str) -> Result<String, String> {
        match self {
            Self::Toml(Value::String(text), _) => Ok(text.value().clone()),
            Self::Toml(Value::Integer(number), _) => Ok(number.value().to_string()),
            Self::Text(text) => Ok(text.clone()),
            Self::Toml(..) | Self::Table => Err(self.unlike(form)),
        }
    }

    fn unlike(&self, expected: &str) -> String {
        let found = match self {
            Self::Table => "a table".to_owned(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Toml(value, written) => format!("the {} {written}", value.type_name()),
        };
        format!("expected {expected}, found {found}")
    }
}

impl Place {
    fn of(&self, key: &str) -> String {
        match self {
            Self::Line(line) => format!("key \"{key}\" at line {line}"),
            Self::Flag(flag) => format!("flag {flag}"),
            Self::Nowhere => format!("key \"{key}\""),
        }
    }
}

/// Says what is accepted, with the bounds that are open left out.
fn out_of_range<T: Display>(value: impl Display, range: &impl RangeBounds<T>) -> String {
    let expected = match (range.start_bound(), range.end_bound()) {
        (Bound::Included(min), Bound::Included(max)) => format!("{min}..={max}"),
        (Bound::Included(min), Bound::Excluded(max)) => format!("{min}..{max}"),
        (Bound::Included(min), Bound::Unbounded) => format!("at least {min}"),
        (Bound::Excluded(min), Bound::Unbounded) => format!("more than {min}"),
        (Bound::Excluded(min), Bound::Included(max) | Bound::Excluded(max)) => {
            format!("more than {min}, up to {max}")
        }
        (Bound::Unbounded, Bound::Included(max)) => format!("at most {max}"),
        (Bound::Unbounded, Bound::Excluded(max)) => format!("less than {max}"),
        (Bound::Unbounded, Bound::Unbounded) => "a value that fits".to_owned(),
    };
    format!("{value} is out of range, expected {expected}")
}

/// The line, counted from 1, of the byte at `at`.
fn line_of(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}
