//! `COMMAND`: what the command table says, in the shapes of Redis.

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::render::{bulk, integer};
use super::super::table::{self, Argument, Spec};
use super::text;
use crate::glob;

/// Answers a request whose name and number of words are right.
pub(super) fn run(args: &[Bytes]) -> Value {
    let Some(subcommand) = args.get(1) else {
        return Value::array(table::top_level().map(describe));
    };
    let rest = &args[2..];
    match text(subcommand).to_ascii_lowercase().as_str() {
        "count" => integer(table::top_level().count()),
        "info" if rest.is_empty() => Value::array(table::top_level().map(describe)),
        "info" => Value::array(rest.iter().map(|name| {
            let spec = table::get(&text(name));
            spec.map_or(Value::null(), describe)
        })),
        "docs" if rest.is_empty() => documents(table::top_level()),
        "docs" => documents(rest.iter().filter_map(|name| table::get(&text(name)))),
        "list" => list(rest),
        "getkeys" | "getkeysandflags" => keys(rest),
        _ => Value::array(HELP.lines().map(Value::simple)),
    }
}

/// The names of what Redis lists. No command of a sentinel comes from a module.
fn list(words: &[Bytes]) -> Value {
    let words: Vec<String> = words.iter().map(text).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let lower = |word: &str| word.to_ascii_lowercase();
    match words.as_slice() {
        [] => names(|_| true),
        [by, kind, value] if lower(by) == "filterby" => match lower(kind).as_str() {
            "module" => names(|_| false),
            "aclcat" => names(|spec| spec.is_in(&lower(value))),
            "pattern" => {
                let pattern = lower(value);
                names(|spec| glob::matches(pattern.as_bytes(), spec.name.as_bytes()))
            }
            _ => Value::error("ERR syntax error"),
        },
        _ => Value::error("ERR syntax error"),
    }
}

fn names(wanted: impl Fn(&Spec) -> bool) -> Value {
    let listed = table::rows().iter().filter(|spec| !spec.extension);
    let wanted = listed.filter(|spec| wanted(spec));
    Value::array(wanted.map(|spec| bulk(spec.name.as_str())))
}

/// No command of a sentinel has keys.
fn keys(request: &[Bytes]) -> Value {
    let command = table::resolve(request);
    Value::error(match command {
        Ok(_) => "ERR The command has no key arguments",
        Err(_) => "ERR Invalid command specified",
    })
}

fn set(words: &[String]) -> Value {
    Value::Set(words.iter().map(|w| bulk(w.as_str())).collect())
}

fn statuses(words: impl IntoIterator<Item = String>) -> Value {
    Value::Set(words.into_iter().map(Value::simple).collect())
}

/// The parts of a container that are listed.
fn parts(spec: &Spec) -> Vec<&'static Spec> {
    let parts = table::subcommands(spec);
    parts.filter(|part| !part.extension).collect()
}

fn describe(spec: &Spec) -> Value {
    let categories = spec
        .categories
        .iter()
        .map(|category| format!("@{category}"));
    // As in Redis, a set while there is none.
    let parts: Vec<Value> = parts(spec).into_iter().map(describe).collect();
    let subcommands = if parts.is_empty() {
        Value::Set(parts)
    } else {
        Value::array(parts)
    };
    Value::array([
        bulk(spec.name.as_str()),
        Value::Integer(i64::from(spec.arity)),
        statuses(spec.flags.iter().cloned()),
        // The first key, the last, and the step between keys.
        Value::Integer(0),
        Value::Integer(0),
        Value::Integer(0),
        statuses(categories),
        set(&spec.tips),
        Value::Set(Vec::new()),
        subcommands,
    ])
}

/// Pairs of which those without a value are left out.
#[derive(Default)]
struct Pairs(Vec<(Value, Value)>);

impl Pairs {
    fn text(&mut self, key: &'static str, value: Option<&String>) {
        if let Some(value) = value {
            self.value(key, bulk(value.as_str()));
        }
    }

    fn value(&mut self, key: &'static str, value: Value) {
        self.0.push((Value::bulk(key), value));
    }
}

fn documents<'a>(specs: impl Iterator<Item = &'a Spec>) -> Value {
    Value::Map(
        specs
            .map(|spec| (bulk(spec.name.as_str()), document(spec)))
            .collect(),
    )
}

fn document(spec: &Spec) -> Value {
    let mut pairs = Pairs::default();
    pairs.text("summary", Some(&spec.summary));
    pairs.text("since", Some(&spec.since));
    pairs.text("group", Some(&spec.group));
    pairs.text("complexity", spec.complexity.as_ref());
    if !spec.doc_flags.is_empty() {
        pairs.value("doc_flags", statuses(spec.doc_flags.iter().cloned()));
    }
    pairs.text("deprecated_since", spec.deprecated_since.as_ref());
    pairs.text("replaced_by", spec.replaced_by.as_ref());
    if !spec.history.is_empty() {
        let change = |(version, what): &(String, String)| {
            Value::array([bulk(version.as_str()), bulk(what.as_str())])
        };
        pairs.value(
            "history",
            Value::Set(spec.history.iter().map(change).collect()),
        );
    }
    if !spec.arguments.is_empty() {
        pairs.value(
            "arguments",
            Value::array(spec.arguments.iter().map(argument)),
        );
    }
    let parts = parts(spec);
    if !parts.is_empty() {
        pairs.value("subcommands", documents(parts.into_iter()));
    }
    Value::Map(pairs.0)
}

fn argument(argument: &Argument) -> Value {
    let mut pairs = Pairs::default();
    pairs.text("name", Some(&argument.name));
    pairs.text("type", Some(&argument.kind));
    if !matches!(argument.kind.as_str(), "oneof" | "block") {
        let shown = argument.display_text.as_ref().unwrap_or(&argument.name);
        pairs.text("display_text", Some(shown));
    }
    pairs.text("token", argument.token.as_ref());
    pairs.text("since", argument.since.as_ref());
    pairs.text("deprecated_since", argument.deprecated_since.as_ref());
    if !argument.flags.is_empty() {
        pairs.value("flags", statuses(argument.flags.iter().cloned()));
    }
    if !argument.arguments.is_empty() {
        let parts = argument.arguments.iter().map(self::argument);
        pairs.value("arguments", Value::array(parts));
    }
    Value::Map(pairs.0)
}

const HELP: &str = "\
COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
(no subcommand)
    Return details about all Redis commands.
COUNT
    Return the total number of commands in this Redis server.
LIST
    Return a list of all commands in this Redis server.
INFO [<command-name> ...]
    Return details about multiple Redis commands.
    If no command names are given, documentation details for all
    commands are returned.
DOCS [<command-name> ...]
    Return documentation details about multiple Redis commands.
    If no command names are given, documentation details for all
    commands are returned.
GETKEYS <full-command>
    Return the keys from a full Redis command.
GETKEYSANDFLAGS <full-command>
    Return the keys and the access flags from a full Redis command.
HELP
    Prints this help.";
