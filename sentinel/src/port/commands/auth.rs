//! `AUTH`, and whether a request is let through.

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::access::Refused;
use super::super::clients::Client;
use super::super::session::Session;
use super::super::table::Spec;
use super::text;
use crate::acl::DEFAULT;

/// Answers `AUTH` with a password, or with a user and a password.
pub(super) fn run(session: &mut Session, args: &[Bytes]) -> Value {
    let (user, password) = match &args[1..] {
        [password] => {
            let state = session.shared.access.state();
            if state.users.default_user().needs_no_password() {
                return Value::error(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                );
            }
            (Bytes::from_static(DEFAULT.as_bytes()), password)
        }
        [user, password] => (user.clone(), password),
        _ => return Value::error("ERR syntax error"),
    };
    match authenticate(session, &args[0], &user, password) {
        Ok(()) => Value::ok(),
        Err(refused) => refused,
    }
}

/// Makes a session another user; `word` is the command that carried the password.
///
/// # Errors
/// The error reply, after the refusal was noted for ACL LOG.
pub fn authenticate(
    session: &mut Session,
    word: &Bytes,
    user: &Bytes,
    password: &Bytes,
) -> Result<(), Value> {
    // A name that is not UTF-8 is the name of nobody.
    let name = text(user);
    let accepted = session.shared.access.state().users.accepts(&name, password);
    if !accepted {
        note(session, "auth", &text(word), &name);
        return Err(Value::error(
            "WRONGPASS invalid username-password pair or user is disabled.",
        ));
    }
    session.authenticated = true;
    session.user.clone_from(&name);
    let update = |client: &mut Client| client.user = name;
    session.shared.clients().update(session.id, update);
    Ok(())
}

/// Whether the user of a session may send a request.
///
/// # Errors
/// The text of the error reply, after the refusal was noted for ACL LOG.
pub(super) fn permit(session: &Session, spec: &Spec, args: &[Bytes]) -> Result<(), String> {
    let access = &session.shared.access;
    let refused = match access.check(&session.user, session.authenticated, spec, args) {
        Ok(()) => return Ok(()),
        Err(refused) => refused,
    };
    if let Refused::Denied(denied) = &refused {
        // The line of the client tells the command at hand.
        let update = |client: &mut Client| client.command.clone_from(&spec.name);
        session.shared.clients().update(session.id, update);
        note(session, denied.reason(), &denied.object(), &session.user);
    }
    Err(refused.error(&session.user))
}

fn note(session: &Session, reason: &'static str, object: &str, user: &str) {
    let access = &session.shared.access;
    let line = session.shared.clients().line(session.id);
    let line = line.unwrap_or_default().trim_end().to_owned();
    let now = access.now();
    access.state().log.add(now, reason, object, user, line);
}
