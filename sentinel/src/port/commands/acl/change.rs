//! Changes of users, and the sessions that they end. They are made by the event loop, which knows
//! who is subscribed to what.

use std::collections::BTreeMap;

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::super::render::integer;
use super::super::super::{Answer, Request, Shared};
use super::super::{Context, Outcome, text};
use super::error;
use crate::acl::{DEFAULT, Lost, Users};
use crate::pubsub::{Hub, SessionId};

/// Carries out SETUSER or DELUSER.
pub fn run(context: &mut Context<'_>, request: &Request) -> Outcome {
    let args = &request.args;
    let deletes = args
        .get(1)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"deluser"));
    let (value, closing) = if deletes {
        delete(context, request.session, &args[2..])
    } else {
        set(context, request.session, &args[2], &args[3..])
    };
    Outcome::Answer(Answer {
        closing,
        ..value.into()
    })
}

/// Puts other users in the place of all; whether the session that asked is to end, too.
pub fn replace(shared: &Shared, hub: &Hub, own: SessionId, users: Users) -> bool {
    let mut state = shared.access.state();
    let old = std::mem::replace(&mut state.users, users);
    let mut lost: BTreeMap<&str, Option<Lost>> = BTreeMap::new();
    for new in state.users.iter() {
        let old = old.get(new.name());
        lost.insert(new.name(), old.and_then(|old| Lost::between(old, new)));
    }
    end(shared, own, |session, user| match lost.get(user) {
        None => true,
        Some(None) => false,
        Some(Some(lost)) => hub.is_concerned(session, lost),
    })
}

fn set(context: &Context<'_>, own: SessionId, name: &Bytes, rules: &[Bytes]) -> (Value, bool) {
    let rules: Vec<&[u8]> = rules.iter().map(AsRef::as_ref).collect();
    let mut state = context.shared.access.state();
    let before = match state.users.set(name, &rules) {
        Ok(before) => before,
        Err(problem) => return (error(format!("ERR {problem}")), false),
    };
    let name = text(name);
    let after = state.users.get(&name);
    let lost = before
        .zip(after)
        .and_then(|(before, after)| Lost::between(&before, after));
    drop(state);
    let closing = lost.is_some_and(|lost| {
        end(context.shared, own, |session, user| {
            user == name && context.hub.is_concerned(session, &lost)
        })
    });
    (Value::ok(), closing)
}

/// Removes users: all of the names, or none when `default` is among them.
fn delete(context: &Context<'_>, own: SessionId, names: &[Bytes]) -> (Value, bool) {
    if names.iter().any(|name| name == DEFAULT) {
        let refused = Value::error("ERR The 'default' user cannot be removed");
        return (refused, false);
    }
    let mut state = context.shared.access.state();
    let names = names.iter().map(text);
    let removed: Vec<String> = names.filter(|name| state.users.remove(name)).collect();
    drop(state);
    let closing = end(context.shared, own, |_, user| {
        removed.iter().any(|name| name == user)
    });
    (integer(removed.len()), closing)
}

/// Ends sessions by number and user; whether `own` is among them, which ends by itself.
fn end(shared: &Shared, own: SessionId, concerned: impl Fn(SessionId, &str) -> bool) -> bool {
    let mut own_too = false;
    for (id, client) in shared.clients().all() {
        if !concerned(id, &client.user) {
            continue;
        }
        if id == own {
            own_too = true;
        } else {
            client.outbox.cut();
        }
    }
    own_too
}
