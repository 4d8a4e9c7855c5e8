//! What `COMMAND` answers: the table, in the shapes of Redis.
//!
//! Clients read it to learn which commands there are and where their keys are. What the proxy
//! refuses is left out, and what it forwards without knowing it cannot be listed.

mod entry;

use super::keys::Args;
use super::row::{self, Parts, Row};
use super::table::TABLE;
use super::{Handling, Keys, index};
use crate::resp::Value;

/// The reply to `COMMAND ...` with these arguments, the name included.
pub fn describe<A: Args + ?Sized>(args: &A) -> Value {
    let Some(rest) = args.count().checked_sub(2) else {
        return Value::array(listed().map(entry::info));
    };
    let words = || (2..args.count()).map(|index| args.get(index));
    match &args.get(1).to_ascii_lowercase()[..] {
        b"count" if rest == 0 => Value::Integer(listed().count() as i64),
        b"count" => wrong_arguments("count"),
        b"info" if rest == 0 => Value::array(listed().map(entry::info)),
        b"info" => Value::array(words().map(|name| {
            let found = find(name);
            found.map_or(Value::null(), |(row, name)| entry::named(row, name))
        })),
        b"docs" if rest == 0 => Value::Map(listed().map(entry::docs).collect()),
        b"docs" => Value::Map(
            words()
                .filter_map(find)
                .map(|(row, name)| entry::docs_named(row, name))
                .collect(),
        ),
        b"list" if rest == 0 => Value::array(listed().map(entry::name)),
        b"list" => Value::error("ERR COMMAND LIST takes no filter here"),
        b"getkeys" if rest == 0 => wrong_arguments("getkeys"),
        b"getkeys" => keys(&words().collect::<Vec<_>>()),
        b"help" => Value::array(HELP.map(Value::simple)),
        _ => {
            let part = String::from_utf8_lossy(args.get(1)).replace(['\r', '\n'], " ");
            Value::error(format!(
                "ERR unknown subcommand '{part}'. Try COMMAND HELP."
            ))
        }
    }
}

const HELP: [&str; 9] = [
    "COMMAND [<subcommand> [<arg> ...]]. Without one: all commands that the proxy knows.",
    "COUNT",
    "    Their number.",
    "DOCS [<name> ...]",
    "    What becomes of them.",
    "GETKEYS <name> [<arg> ...]",
    "    The keys of a whole command.",
    "INFO [<name> ...], LIST",
    "    Their number of arguments, flags and keys; their names.",
];

fn listed() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(|row| row.handling != Handling::Refuse)
}

/// A command, or with `|` one of its sub-commands, and its name in lower case.
fn find(name: &[u8]) -> Option<(&'static Row, String)> {
    let mut words = name.split(|&byte| byte == b'|');
    let (_, row) = index::find(words.next().filter(|name| !name.is_empty())?)?;
    let lower = row.name.to_ascii_lowercase();
    match (words.next(), row.handling) {
        (None, Handling::Refuse) => None,
        (None, _) => Some((row, lower)),
        (Some(part), Handling::Parts(Parts(parts))) => parts
            .iter()
            .find(|row| row.name.as_bytes().eq_ignore_ascii_case(part))
            .map(|row| (row, format!("{lower}|{}", row.name.to_ascii_lowercase()))),
        (Some(_), _) => None,
    }
}

fn keys(request: &[&[u8]]) -> Value {
    let found = request.first().filter(|name| !name.is_empty());
    let found = found.and_then(|name| super::lookup(name).ok());
    let command = found
        .filter(|command| command.index().is_some())
        .and_then(|command| command.resolve(request).ok());
    let Some(command) = command else {
        return Value::error("ERR Invalid command specified");
    };
    if command.keys() == Keys::None {
        return Value::error("ERR The command has no key arguments");
    }
    if !command.takes(request.len()) {
        return Value::error("ERR Invalid number of arguments specified for command");
    }
    match command.keys().positions(request) {
        Some(keys) => Value::array(keys.map(|key| Value::bulk(request[key].to_vec()))),
        // Scripts need no keys, and Redis does not tell malformed ones from those without.
        None if command.row.keys == row::SCRIPT => Value::array([]),
        None => Value::error("ERR Invalid arguments specified for command"),
    }
}

fn wrong_arguments(part: &str) -> Value {
    Value::error(format!(
        "ERR wrong number of arguments for 'command|{part}' command"
    ))
}

#[cfg(test)]
mod tests;
