//! `CLIENT`: what a session tells about itself and others, and how they are ended or held up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::clients::{Client, Type};
use super::super::pause::Pause;
use super::super::render::{bulk, integer};
use super::super::session::{Replies, Session};
use super::local::Local;
use super::text;
use crate::pubsub::SessionId;

mod kill;
mod tracking;

/// Answers `CLIENT`; the subcommand is known and has the number of words that it needs.
pub fn run(session: &mut Session, subcommand: &str, args: &[Bytes]) -> Local {
    let rest = &args[2..];
    Local::Answer(match (subcommand, rest) {
        ("id", _) => id_value(session.id),
        ("getname", _) => own_name(session),
        ("setname", [name]) => set_name(session, name),
        ("setinfo", [option, value]) => set_info(session, option, value),
        ("info", _) => Value::verbatim(
            session
                .shared
                .clients()
                .line(session.id)
                .unwrap_or_default(),
        ),
        ("list", filters) => list(session, filters),
        ("kill", filters) => kill::run(session, filters),
        ("reply", [mode]) => return reply(session, mode),
        ("pause", words) => pause(session, &args[1], words),
        ("unpause", _) => {
            session.shared.pause.send_replace(None);
            Value::ok()
        }
        ("no-evict", [switch]) => no_evict(session, switch),
        ("unblock", words) => unblock(&args[1], words),
        ("tracking", words) => tracking::run(session, words),
        ("trackinginfo", _) => tracking::info(session),
        ("getredir", _) => tracking::redirect(session),
        ("caching", [switch]) => tracking::caching(session, switch),
        _ => Value::array(HELP.lines().map(Value::simple)),
    })
}

/// The number of a session as a reply.
pub fn id_value(id: SessionId) -> Value {
    integer(usize::try_from(id).unwrap_or(usize::MAX))
}

fn error(text: impl Into<String>) -> Value {
    Value::error(text.into().into_bytes())
}

fn syntax_error() -> Value {
    Value::error("ERR syntax error")
}

/// The error for a number of words that the table allows and the subcommand does not.
fn wrong_words(subcommand: &Bytes) -> Value {
    let word = text(subcommand);
    error(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try CLIENT HELP."
    ))
}

fn own_name(session: &Session) -> Value {
    let clients = session.shared.clients();
    match clients.get(session.id) {
        Some(client) if !client.name.is_empty() => bulk(&client.name),
        _ => Value::null(),
    }
}

/// Names the session; names have no blanks, as CLIENT LIST separates by them.
pub fn set_name(session: &Session, name: &Bytes) -> Value {
    if !name.iter().all(u8::is_ascii_graphic) {
        return error("ERR Client names cannot contain spaces, newlines or special characters.");
    }
    let name = text(name);
    update(session, |client| client.name = name);
    Value::ok()
}

fn set_info(session: &Session, option: &Bytes, value: &Bytes) -> Value {
    let lower = text(option).to_ascii_lowercase();
    let index = match lower.as_str() {
        "lib-name" => 0,
        "lib-ver" => 1,
        _ => return error(format!("ERR Unrecognized option '{}'", text(option))),
    };
    if !value.iter().all(u8::is_ascii_graphic) {
        return error(format!(
            "ERR {lower} cannot contain spaces, newlines or special characters."
        ));
    }
    let value = text(value);
    update(session, |client| client.library[index] = value);
    Value::ok()
}

fn list(session: &Session, filters: &[Bytes]) -> Value {
    let clients = session.shared.clients();
    let words: Vec<String> = filters.iter().map(text).collect();
    let lines = match words.as_slice() {
        [] => clients.lines(|_| true),
        [option, name] if option.eq_ignore_ascii_case("type") => match Type::from_name(name) {
            Some(kind) => clients.lines(|client| Type::of(client) == kind),
            None => return error(format!("ERR Unknown client type '{name}'")),
        },
        [option, ids @ ..] if option.eq_ignore_ascii_case("id") && !ids.is_empty() => {
            let mut lines = String::new();
            for id in ids {
                let Ok(id) = id.parse::<i64>() else {
                    return error("ERR Invalid client ID");
                };
                let id = SessionId::try_from(id).unwrap_or(0);
                lines.push_str(&clients.line(id).unwrap_or_default());
            }
            lines
        }
        _ => return syntax_error(),
    };
    Value::verbatim(lines)
}

fn reply(session: &mut Session, mode: &Bytes) -> Local {
    match text(mode).to_ascii_lowercase().as_str() {
        "on" => session.replies = Replies::On,
        "off" => session.replies = Replies::Off,
        "skip" if session.replies == Replies::Off => {}
        "skip" => session.replies = Replies::SkipNext,
        _ => return Local::Answer(syntax_error()),
    }
    if session.replies == Replies::On {
        Local::Answer(Value::ok())
    } else {
        Local::Silent
    }
}

fn pause(session: &Session, subcommand: &Bytes, words: &[Bytes]) -> Value {
    let (timeout, mode) = match words {
        [timeout] => (timeout, "all".to_owned()),
        [timeout, mode] => (timeout, text(mode).to_ascii_lowercase()),
        _ => return wrong_words(subcommand),
    };
    let all = match mode.as_str() {
        "all" => true,
        "write" => false,
        _ => return error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
    };
    let Ok(millis) = text(timeout).parse::<i64>() else {
        return error("ERR timeout is not an integer or out of range");
    };
    let Ok(millis) = u64::try_from(millis) else {
        return error("ERR timeout is negative");
    };
    let now = Instant::now();
    let Some(until) = now.checked_add(Duration::from_millis(millis)) else {
        return error("ERR timeout is out of range");
    };
    session.shared.pause.send_modify(|pause| {
        *pause = Some(Pause { until, all }.over(pause.as_ref(), now));
    });
    Value::ok()
}

fn no_evict(session: &Session, switch: &Bytes) -> Value {
    let on = match text(switch).to_ascii_lowercase().as_str() {
        "on" => true,
        "off" => false,
        _ => return syntax_error(),
    };
    update(session, |client| client.no_evict = on);
    Value::ok()
}

/// Nothing in a sentinel blocks a client so that another could unblock it.
fn unblock(subcommand: &Bytes, words: &[Bytes]) -> Value {
    let (id, reason) = match words {
        [id] => (id, "timeout".to_owned()),
        [id, reason] => (id, text(reason).to_ascii_lowercase()),
        _ => return wrong_words(subcommand),
    };
    if !matches!(reason.as_str(), "timeout" | "error") {
        return error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
    match text(id).parse::<i64>() {
        Ok(_) => Value::Integer(0),
        Err(_) => error("ERR value is not an integer or out of range"),
    }
}

fn update(session: &Session, change: impl FnOnce(&mut Client)) {
    session.shared.clients().update(session.id, change);
}

const HELP: &str = "\
CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CACHING (YES|NO)
    Whether the keys of the next command are tracked; a sentinel has no keys.
GETREDIR
    The id of the client that is told of tracked keys, -1 without tracking.
GETNAME
    The name of this connection.
ID
    The id of this connection.
INFO
    The line of this connection.
KILL <ip:port>
    Close the connection made from <ip:port>.
KILL <option> <value> [<option> <value> [...]]
    Close all connections for which every option holds. Options are:
    * ADDR (<ip:port>|<unixsocket>:0)
      Made from this address.
    * LADDR (<ip:port>|<unixsocket>:0)
      Made to this address.
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Of this type.
    * USER <username>
      Authenticated as this user.
    * SKIPME (YES|NO)
      Not this connection (default: yes).
    * ID <client-id>
      With this id.
    * MAXAGE <maxage>
      Connected for at least so many seconds.
LIST [options ...]
    A line for each connection. Options:
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Only those of this type.
    * ID <client-id> [<client-id> ...]
      Only those with these ids.
UNPAUSE
    End the pause.
PAUSE <timeout> [WRITE|ALL]
    Hold up all commands, or only PUBLISH, for so many milliseconds.
REPLY (ON|OFF|SKIP)
    Whether commands of this connection are answered.
SETNAME <name>
    Name this connection.
SETINFO <option> <value>
    Tell about the client. Options are:
    * LIB-NAME: the name of its library.
    * LIB-VER: the version of its library.
UNBLOCK <clientid> [TIMEOUT|ERROR]
    End the wait of a blocked client; a sentinel blocks none.
TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]
         [OPTIN] [OPTOUT] [NOLOOP]
    Track keys; a sentinel has none.
TRACKINGINFO
    What was set by TRACKING.
NO-EVICT (ON|OFF)
    Keep this connection when memory is short; a sentinel closes none for that.
HELP
    This text.";
