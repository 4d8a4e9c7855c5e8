//! Commands that a session answers by itself.

use bytes::Bytes;
use codis_core::resp::{Protocol, Value};

use super::super::render::bulk;
use super::super::session::Session;
use super::super::table;
use super::{about, client, hello};

/// What a session does with a request.
#[derive(Debug)]
pub enum Local {
    /// Answer it.
    Answer(Value),
    /// Say nothing.
    Silent,
    /// Ask the event loop.
    Forward,
}

/// Answers an admissible request, or passes it on when it is not the session's to answer.
pub fn run(session: &mut Session, command: &str, args: &[Bytes]) -> Local {
    let (name, subcommand) = command.split_once('|').unwrap_or((command, ""));
    Local::Answer(match name {
        "ping" => ping(session, args),
        "auth" => auth(session, &args[1..]),
        "client" => return client::run(session, subcommand, args),
        "hello" => hello::run(session, args),
        "command" => about::run(args),
        _ => return Local::Forward,
    })
}

/// Whether a request may be carried out, as far as its name and number of words tell: the name in
/// full, with the subcommand after a `|`, or an error.
pub fn admit(session: &Session, args: &[Bytes]) -> Result<&'static str, String> {
    const WHILE_SUBSCRIBED: &[&str] = &[
        "ping",
        "psubscribe",
        "punsubscribe",
        "subscribe",
        "unsubscribe",
    ];
    let command = table::find(args)?.name.as_str();
    if !session.authenticated && !matches!(command, "auth" | "hello") {
        return Err("NOAUTH Authentication required.".into());
    }
    let restricted = session.protocol == Protocol::Resp2 && session.subscriptions.all() > 0;
    if restricted && !WHILE_SUBSCRIBED.contains(&command) {
        return Err(format!(
            "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context"
        ));
    }
    Ok(command)
}

fn ping(session: &Session, args: &[Bytes]) -> Value {
    let listens = session.protocol == Protocol::Resp2 && session.subscriptions.all() > 0;
    match args {
        [_] if listens => Value::array([bulk("pong"), bulk("")]),
        [_] => Value::simple("PONG"),
        [_, word] if listens => Value::array([bulk("pong"), Value::bulk(word.clone())]),
        [_, word] => Value::bulk(word.clone()),
        _ => Value::error("ERR wrong number of arguments for 'ping' command"),
    }
}

/// Answers `AUTH` with a password, or with a user and a password.
pub fn auth(session: &mut Session, credentials: &[Bytes]) -> Value {
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
