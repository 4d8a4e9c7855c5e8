//! Commands that a session answers by itself.

use bytes::Bytes;
use codis_core::resp::{Protocol, Value};

use super::super::render::bulk;
use super::super::session::Session;
use super::super::table;
use super::{about, acl, auth, client, hello};

/// What a session does with a request.
#[derive(Debug)]
pub enum Local {
    /// Answer it.
    Answer(Value),
    /// Say nothing.
    Silent,
    /// Ask the event loop.
    Forward,
    /// Read the file of users.
    LoadUsers,
    /// Write it.
    SaveUsers,
}

/// Answers an admissible request, or passes it on when it is not the session's to answer.
pub fn run(session: &mut Session, command: &str, args: &[Bytes]) -> Local {
    let (name, subcommand) = command.split_once('|').unwrap_or((command, ""));
    Local::Answer(match name {
        "ping" => ping(session, args),
        "acl" => match subcommand {
            "setuser" | "deluser" => return Local::Forward,
            "load" => return Local::LoadUsers,
            "save" => return Local::SaveUsers,
            _ => acl::answer(session, subcommand, args),
        },
        "auth" => auth::run(session, args),
        "client" => return client::run(session, subcommand, args),
        "hello" => hello::run(session, args),
        "command" => about::run(args),
        _ => return Local::Forward,
    })
}

/// Whether a request may be carried out, by its name, its number of words and its user: the name in
/// full, with the subcommand after a `|`, or an error.
pub fn admit(session: &Session, args: &[Bytes]) -> Result<&'static str, String> {
    const WHILE_SUBSCRIBED: &[&str] = &[
        "ping",
        "psubscribe",
        "punsubscribe",
        "subscribe",
        "unsubscribe",
    ];
    let spec = table::find(args)?;
    auth::permit(session, spec, args)?;
    let command = spec.name.as_str();
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
