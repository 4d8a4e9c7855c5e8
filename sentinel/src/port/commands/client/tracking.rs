//! `CLIENT TRACKING` and its kin.

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::super::clients::{Caching, Choice, Tracking};
use super::super::super::render::{Map, bulk};
use super::super::super::session::Session;
use super::super::text;
use super::{error, syntax_error, update};
use crate::pubsub::SessionId;

pub(super) fn run(session: &Session, words: &[Bytes]) -> Value {
    let Some((switch, options)) = words.split_first() else {
        return syntax_error();
    };
    let parsed = parse(session, options);
    let wanted = match parsed {
        Ok(wanted) => wanted,
        Err(error) => return error,
    };
    match text(switch).to_ascii_lowercase().as_str() {
        "on" => {}
        "off" => {
            update(session, |client| client.tracking = None);
            return Value::ok();
        }
        _ => return syntax_error(),
    }
    let before = present(session);
    match wanted.turned_on(before.as_ref()) {
        Ok(tracking) => {
            update(session, |client| client.tracking = Some(tracking));
            Value::ok()
        }
        Err(text) => error(text),
    }
}

fn parse(session: &Session, options: &[Bytes]) -> Result<Tracking, Value> {
    let mut tracking = Tracking::default();
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match text(option).to_ascii_lowercase().as_str() {
            "redirect" => {
                let value = options.next().ok_or_else(syntax_error)?;
                if tracking.redirect != 0 {
                    let text = "ERR A client can only redirect to a single other client";
                    return Err(error(text));
                }
                tracking.redirect = redirect_to(session, &text(value))?;
            }
            "bcast" => tracking.broadcast = true,
            "optin" => choose(&mut tracking, Choice::OptIn)?,
            "optout" => choose(&mut tracking, Choice::OptOut)?,
            "noloop" => tracking.no_loop = true,
            "prefix" => {
                let prefix = options.next().ok_or_else(syntax_error)?;
                tracking.prefixes.push(prefix.to_vec());
            }
            _ => return Err(syntax_error()),
        }
    }
    Ok(tracking)
}

fn choose(tracking: &mut Tracking, choice: Choice) -> Result<(), Value> {
    if tracking.choice != Choice::All && tracking.choice != choice {
        let text = "ERR You can't specify both OPTIN mode and OPTOUT mode";
        return Err(error(text));
    }
    tracking.choice = choice;
    Ok(())
}

fn redirect_to(session: &Session, value: &str) -> Result<i64, Value> {
    let Ok(id) = value.parse::<i64>() else {
        return Err(error("ERR value is not an integer or out of range"));
    };
    let known = SessionId::try_from(id).ok();
    if known.is_none_or(|id| session.shared.clients().get(id).is_none()) {
        return Err(error(
            "ERR The client ID you want redirect to does not exist",
        ));
    }
    Ok(id)
}

fn present(session: &Session) -> Option<Tracking> {
    let clients = session.shared.clients();
    clients.get(session.id)?.tracking.clone()
}

pub(super) fn info(session: &Session) -> Value {
    let tracking = present(session);
    let (words, redirect, prefixes) = match &tracking {
        None => (vec!["off"], -1, &[][..]),
        Some(tracking) => (
            tracking.words(),
            tracking.redirect,
            tracking.prefixes.as_slice(),
        ),
    };
    let mut map = Map::default();
    map.value("flags", Value::Set(words.into_iter().map(bulk).collect()));
    map.value("redirect", Value::Integer(redirect));
    let prefixes = prefixes.iter().map(|prefix| Value::bulk(prefix.clone()));
    map.value("prefixes", Value::array(prefixes));
    map.into()
}

pub(super) fn redirect(session: &Session) -> Value {
    let tracking = present(session);
    Value::Integer(tracking.map_or(-1, |tracking| tracking.redirect))
}

pub(super) fn caching(session: &Session, switch: &Bytes) -> Value {
    let Some(tracking) = present(session) else {
        return error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        );
    };
    let switch = text(switch).to_ascii_lowercase();
    let caching = match (switch.as_str(), tracking.choice) {
        ("yes", Choice::OptIn) => Caching::Yes,
        ("no", Choice::OptOut) => Caching::No,
        ("yes", _) => {
            return error(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            );
        }
        ("no", _) => {
            return error(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            );
        }
        _ => return syntax_error(),
    };
    update(session, |client| {
        if let Some(tracking) = &mut client.tracking {
            tracking.caching = Some(caching);
        }
    });
    Value::ok()
}
