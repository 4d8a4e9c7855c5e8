//! `HELLO`: the greeting, which chooses the version of the protocol.

use bytes::Bytes;
use codis_core::resp::{Protocol, Value};

use super::super::render::Map;
use super::super::session::Session;
use super::{auth, client, text};
use crate::process::VERSION_COMPATIBLE;

const UNAUTHENTICATED: &str = "NOAUTH HELLO must be called with the client already authenticated, \
otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
select the RESP protocol version at the same time";

/// What a greeting asks for.
#[derive(Debug, Default)]
struct Greeting {
    protocol: Option<Protocol>,
    credentials: Option<[Bytes; 2]>,
    name: Option<Bytes>,
}

/// Answers `HELLO`. Nothing is changed unless all of it can be.
pub fn run(session: &mut Session, args: &[Bytes]) -> Value {
    let greeting = match parse(&args[1..]) {
        Ok(greeting) => greeting,
        Err(text) => return Value::error(text.into_bytes()),
    };
    if let Some([user, password]) = &greeting.credentials
        && let Err(refused) = auth::authenticate(session, &args[0], user, password)
    {
        return refused;
    }
    if !session.authenticated && !session.shared.access.state().users.is_open() {
        return Value::error(UNAUTHENTICATED);
    }
    if let Some(name) = &greeting.name {
        let answer = client::set_name(session, name);
        if answer.as_error().is_some() {
            return answer;
        }
    }
    if let Some(protocol) = greeting.protocol {
        session.protocol = protocol;
        let update = |client: &mut super::super::clients::Client| client.protocol = protocol;
        session.shared.clients().update(session.id, update);
    }
    let mut map = Map::default();
    map.text("server", "redis");
    map.text("version", VERSION_COMPATIBLE);
    map.value("proto", Value::Integer(session.protocol.number()));
    map.value("id", client::id_value(session.id));
    map.text("mode", "sentinel");
    map.value("modules", Value::array([]));
    map.into()
}

fn parse(words: &[Bytes]) -> Result<Greeting, String> {
    let mut greeting = Greeting::default();
    let mut words = words.iter();
    if let Some(version) = words.next() {
        let Ok(version) = text(version).parse::<i64>() else {
            return Err("ERR Protocol version is not an integer or out of range".into());
        };
        let protocol = Protocol::from_number(version);
        if protocol.is_none() {
            return Err("NOPROTO unsupported protocol version".into());
        }
        greeting.protocol = protocol;
    }
    while let Some(option) = words.next() {
        let syntax = || format!("ERR Syntax error in HELLO option '{}'", text(option));
        match text(option).to_ascii_lowercase().as_str() {
            "auth" => {
                let (user, pass) = words.next().zip(words.next()).ok_or_else(syntax)?;
                greeting.credentials = Some([user.clone(), pass.clone()]);
            }
            "setname" => greeting.name = Some(words.next().ok_or_else(syntax)?.clone()),
            _ => return Err(syntax()),
        }
    }
    Ok(greeting)
}
