//! Commands that a session answers by itself.

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::render::{Map, bulk, integer};
use super::super::session::Session;
use super::super::table;
use super::{about, text};
use crate::process::VERSION_COMPATIBLE;

/// What a session does with a request.
#[derive(Debug)]
pub enum Local {
    /// Answer it.
    Answer(Value),
    /// Ask the event loop.
    Forward,
}

/// Answers a request, or passes it on when it is in order but not the session's to answer.
pub fn run(session: &mut Session, command: &str, args: &[Bytes]) -> Local {
    if let Err(error) = admissible(session, command, args) {
        return Local::Answer(Value::error(error.into_bytes()));
    }
    Local::Answer(match command {
        "ping" => ping(session, args),
        "auth" => auth(session, &args[1..]),
        "client" => client(session, args),
        "hello" => hello(session, args),
        "command" => about::run(args),
        _ => return Local::Forward,
    })
}

/// Whether a request may be carried out, as far as its name and number of words tell.
fn admissible(session: &Session, command: &str, args: &[Bytes]) -> Result<(), String> {
    const WHILE_SUBSCRIBED: &[&str] = &[
        "ping",
        "psubscribe",
        "punsubscribe",
        "subscribe",
        "unsubscribe",
    ];
    table::find(args)?;
    if !session.authenticated && !matches!(command, "auth" | "hello") {
        return Err("NOAUTH Authentication required.".into());
    }
    if session.subscriptions > 0 && !WHILE_SUBSCRIBED.contains(&command) {
        return Err(format!(
            "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context"
        ));
    }
    Ok(())
}

fn ping(session: &Session, args: &[Bytes]) -> Value {
    match args {
        [_] if session.subscriptions > 0 => Value::array([bulk("pong"), bulk("")]),
        [_] => Value::simple("PONG"),
        [_, word] if session.subscriptions > 0 => {
            Value::array([bulk("pong"), Value::bulk(word.clone())])
        }
        [_, word] => Value::bulk(word.clone()),
        _ => Value::error("ERR wrong number of arguments for 'ping' command"),
    }
}

fn auth(session: &mut Session, credentials: &[Bytes]) -> Value {
    let Some(required) = &session.shared.requirepass else {
        return match credentials {
            [_] => Value::error(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ),
            [user, _] if user == "default" => Value::ok(),
            [_, _] => wrong_password(),
            _ => Value::error("ERR syntax error"),
        };
    };
    let (user, pass) = match credentials {
        [pass] => (None, pass),
        [user, pass] => (Some(user), pass),
        _ => return Value::error("ERR syntax error"),
    };
    let known_user = user.is_none_or(|user| user == "default");
    if known_user && same_secret(required.as_bytes(), pass) {
        session.authenticated = true;
        return Value::ok();
    }
    wrong_password()
}

fn wrong_password() -> Value {
    Value::error("WRONGPASS invalid username-password pair or user is disabled.")
}

/// Compares without telling by the time it takes where the difference is.
fn same_secret(held: &[u8], given: &[u8]) -> bool {
    let different = held.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b));
    held.len() == given.len() && different == 0
}

fn client(session: &Session, args: &[Bytes]) -> Value {
    let clients = session.shared.clients();
    let subcommand = args
        .get(1)
        .map(|w| text(w).to_ascii_lowercase())
        .unwrap_or_default();
    match (subcommand.as_str(), &args[2..]) {
        ("id", []) => integer(usize::try_from(session.id).unwrap_or(usize::MAX)),
        ("getname", []) => {
            let name = clients.get(session.id).map_or("", |c| &c.name);
            if name.is_empty() {
                Value::null()
            } else {
                bulk(name)
            }
        }
        ("setname", [name]) => {
            drop(clients);
            set_name(session, name)
        }
        ("setinfo", [_, _]) => Value::ok(),
        ("info", []) => bulk(clients.line(session.id).unwrap_or_default()),
        ("list", _) => bulk(clients.lines()),
        ("id" | "getname" | "setname" | "setinfo" | "info", _) => {
            let error = format!("ERR wrong number of arguments for 'client|{subcommand}' command");
            Value::error(error.into_bytes())
        }
        _ => {
            let word = text(&args[1]);
            Value::error(format!("ERR unknown subcommand '{word}'. Try CLIENT HELP.").into_bytes())
        }
    }
}

fn set_name(session: &Session, name: &Bytes) -> Value {
    if !name.iter().all(u8::is_ascii_graphic) {
        return Value::error(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        );
    }
    let name = text(name);
    session
        .shared
        .clients()
        .update(session.id, |client| client.name = name);
    Value::ok()
}

/// HELLO: the greeting in version 2 of the protocol.
fn hello(session: &mut Session, args: &[Bytes]) -> Value {
    let mut options = args.iter().skip(1);
    if let Some(version) = options.next() {
        match text(version).parse::<i64>() {
            Ok(2) => {}
            Ok(_) => return Value::error("NOPROTO unsupported protocol version"),
            Err(_) => {
                return Value::error("ERR Protocol version is not an integer or out of range");
            }
        }
    }
    while let Some(option) = options.next() {
        let answer = match text(option).to_ascii_lowercase().as_str() {
            "auth" => match (options.next(), options.next()) {
                (Some(user), Some(pass)) => auth(session, &[user.clone(), pass.clone()]),
                _ => hello_syntax(option),
            },
            "setname" => options
                .next()
                .map_or_else(|| hello_syntax(option), |name| set_name(session, name)),
            _ => hello_syntax(option),
        };
        if answer.as_error().is_some() {
            return answer;
        }
    }
    if !session.authenticated {
        return Value::error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    let mut map = Map::default();
    map.text("server", "redis");
    map.text("version", VERSION_COMPATIBLE);
    map.value("proto", Value::Integer(2));
    map.value(
        "id",
        integer(usize::try_from(session.id).unwrap_or(usize::MAX)),
    );
    map.text("mode", "sentinel");
    map.value("modules", Value::array([]));
    map.into()
}

fn hello_syntax(option: &Bytes) -> Value {
    Value::error(format!("ERR Syntax error in HELLO option '{}'", text(option)).into_bytes())
}
