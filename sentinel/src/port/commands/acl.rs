//! `ACL`: users and their rules, in the words and shapes of Redis.

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::render::bulk;
use super::super::session::Session;
use super::super::table;
use super::text;
use crate::acl::log::{Entry, Moment};
use crate::acl::{Digest, Selector, User};
use crate::random;

pub mod change;
pub mod file;

/// Entries of ACL LOG that are shown when no number is given.
const LOG_SHOWN: usize = 10;

/// Bits of ACL GENPASS when no number is given, and at most.
const GENPASS_BITS: usize = 256;
const GENPASS_BITS_MAX: usize = 4096;

/// Answers what changes no user; the name and the number of words are right.
pub(super) fn answer(session: &Session, subcommand: &str, args: &[Bytes]) -> Value {
    let access = &session.shared.access;
    let rest = &args[2..];
    match (subcommand, rest) {
        ("whoami", _) => bulk(session.user.as_str()),
        ("users", _) => {
            let state = access.state();
            Value::array(state.users.iter().map(|user| bulk(user.name())))
        }
        ("list", _) => Value::array(access.state().users.lines().into_iter().map(bulk)),
        ("getuser", [name]) => {
            let state = access.state();
            let user = state.users.get(&text(name));
            user.map_or(Value::Null, describe)
        }
        ("cat", []) => Value::array(table::CATEGORIES.map(bulk)),
        ("cat", [category]) => category_of(category),
        ("dryrun", [name, request @ ..]) => dry_run(session, name, request),
        ("genpass", []) => generate(GENPASS_BITS),
        ("genpass", [bits]) => generate_given(bits),
        ("log", []) => show_log(session, LOG_SHOWN),
        ("log", [word]) => log(session, word),
        ("help", _) => Value::array(HELP.lines().map(Value::simple)),
        _ => wrong_words(&args[1]),
    }
}

/// The error for a number of words that the table allows and the subcommand does not.
fn wrong_words(subcommand: &Bytes) -> Value {
    let word = text(subcommand);
    error(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try ACL HELP."
    ))
}

fn error(text: impl Into<String>) -> Value {
    Value::error(text.into().into_bytes())
}

fn category_of(category: &Bytes) -> Value {
    let wanted = text(category).to_ascii_lowercase();
    if !table::CATEGORIES.contains(&wanted.as_str()) {
        return error(format!("ERR Unknown category '{}'", text(category)));
    }
    let rows = table::rows().iter();
    let listed = rows.filter(|row| row.is_in(&wanted) && !row.extension);
    Value::array(listed.map(|row| bulk(row.name.as_str())))
}

fn describe(user: &User) -> Value {
    let flags = user.flags().into_iter().map(bulk).collect();
    let digest = |digest: &Digest| bulk(digest.to_string());
    let mut pairs = vec![
        (bulk("flags"), Value::Set(flags)),
        (
            bulk("passwords"),
            Value::array(user.passwords().iter().map(digest)),
        ),
    ];
    pairs.extend(permissions(user.root()));
    let selectors = user.selectors().iter();
    let selectors = selectors.map(|selector| Value::Map(permissions(selector).into()));
    pairs.push((bulk("selectors"), Value::array(selectors)));
    Value::Map(pairs)
}

fn permissions(selector: &Selector) -> [(Value, Value); 3] {
    [
        (bulk("commands"), bulk(selector.commands())),
        (bulk("keys"), bulk(selector.keys())),
        (bulk("channels"), bulk(selector.channels())),
    ]
}

fn dry_run(session: &Session, name: &Bytes, request: &[Bytes]) -> Value {
    let name = text(name);
    let state = session.shared.access.state();
    let Some(user) = state.users.get(&name) else {
        return error(format!("ERR User '{name}' not found"));
    };
    let Ok(spec) = table::resolve(request) else {
        let command = request.first().map(text).unwrap_or_default();
        return error(format!("ERR Command '{command}' not found"));
    };
    if !spec.fits(request.len()) {
        let command = &spec.name;
        return error(format!(
            "ERR wrong number of arguments for '{command}' command"
        ));
    }
    match user.check(spec, request) {
        Ok(()) => Value::ok(),
        Err(denied) => bulk(denied.sentence(&name)),
    }
}

fn generate_given(bits: &Bytes) -> Value {
    let Ok(bits) = text(bits).parse::<i64>() else {
        return Value::error("ERR value is not an integer or out of range");
    };
    match usize::try_from(bits) {
        Ok(bits) if (1..=GENPASS_BITS_MAX).contains(&bits) => generate(bits),
        _ => error(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to {GENPASS_BITS_MAX}"
        )),
    }
}

/// Random hexadecimal digits that hold at least so many bits.
fn generate(bits: usize) -> Value {
    let digits = bits.div_ceil(4);
    match random::hex(digits.div_ceil(2)) {
        Ok(mut password) => {
            password.truncate(digits);
            bulk(password)
        }
        Err(_) => Value::error("ERR cannot read random numbers"),
    }
}

fn log(session: &Session, word: &Bytes) -> Value {
    let word = text(word);
    if word.eq_ignore_ascii_case("reset") {
        session.shared.access.state().log.clear();
        return Value::ok();
    }
    match word.parse::<i64>() {
        Ok(count) => show_log(session, usize::try_from(count).unwrap_or(0)),
        Err(_) => Value::error("ERR value is not an integer or out of range"),
    }
}

fn show_log(session: &Session, count: usize) -> Value {
    let access = &session.shared.access;
    let now = access.now();
    let state = access.state();
    Value::array(state.log.iter().take(count).map(|entry| show(entry, now)))
}

fn show(entry: &Entry, now: Moment) -> Value {
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let age = now.time.since(entry.updated.time).as_millis() as f64 / 1000.0;
    Value::Map(vec![
        (bulk("count"), number(entry.count)),
        (bulk("reason"), bulk(entry.reason)),
        // There are no transactions and no scripts in a sentinel.
        (bulk("context"), bulk("toplevel")),
        (bulk("object"), bulk(entry.object.as_str())),
        (bulk("username"), bulk(entry.username.as_str())),
        (bulk("age-seconds"), Value::Double(age.to_string().into())),
        (bulk("client-info"), bulk(entry.client.as_str())),
        (bulk("entry-id"), number(entry.id)),
        (
            bulk("timestamp-created"),
            Value::Integer(entry.created.unix_ms),
        ),
        (
            bulk("timestamp-last-updated"),
            Value::Integer(entry.updated.unix_ms),
        ),
    ])
}

const HELP: &str = "\
ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CAT [<category>]
    List all commands that belong to <category>, or all command categories
    when no category is specified.
DELUSER <username> [<username> ...]
    Delete a list of users.
DRYRUN <username> <command> [<arg> ...]
    Returns whether the user can execute the given command without executing the command.
GETUSER <username>
    Get the user's details.
GENPASS [<bits>]
    Generate a secure 256-bit user password. The optional `bits` argument can
    be used to specify a different size.
LIST
    Show users details in config file format.
LOAD
    Reload users from the ACL file.
LOG [<count> | RESET]
    Show the ACL log entries.
SAVE
    Save the current config to the ACL file.
SETUSER <username> <attribute> [<attribute> ...]
    Create or modify a user with the specified attributes.
USERS
    List all the registered usernames.
WHOAMI
    Return the current connection username.
HELP
    Prints this help.";
