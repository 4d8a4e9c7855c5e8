//! Users in the files that are written.
//!
//! In the operator's file they are `user` lines, as a Redis Sentinel writes them, unless they are
//! in a file of their own. A state holds them only when they were changed by an order, together
//! with a fingerprint of the users that the operator's file made then: as long as that file makes
//! the same ones, those of the state hold; otherwise the operator has edited them, and that wins.

use super::Config;
use super::rewrite::Line;
use super::server::Server;
use crate::acl::{Declared, Users, fingerprint};

/// What a line of the state starts with that holds the fingerprint.
const KEY: &str = "users";

/// The users that a config file makes, if it can.
pub(super) fn made_by(server: &Server) -> Option<Users> {
    server.acl.users(server.requirepass.as_deref()).ok()
}

/// The line that keeps the fingerprint of the operator's users.
pub(super) fn said(operator: &Config) -> Option<Line> {
    let users = made_by(&operator.server)?;
    Some(Line::new([KEY, &fingerprint(&users)]))
}

/// The `user` lines that hold: those of the operator's file or those of the state.
pub(super) fn resolve(now: &Config, state: &Config) -> Declared {
    let of_state = &state.server.acl.declared;
    let own_file = now.server.acl.file.is_some();
    let then = state.said.iter().find_map(|words| match words.as_slice() {
        [key, fingerprint] if key == KEY => Some(fingerprint.clone()),
        _ => None,
    });
    let unchanged = then.is_some() && then == made_by(&now.server).as_ref().map(fingerprint);
    let holds = if of_state.is_empty() || own_file || !unchanged {
        &now.server.acl.declared
    } else {
        of_state
    };
    holds.clone()
}

/// The lines of all users.
pub(super) fn lines(users: &Users) -> Vec<Line> {
    let line = |user: &crate::acl::User| {
        let rules = user.rules();
        let rules = rules.split(' ').map(str::to_owned);
        let words = std::iter::once(user.name().to_owned()).chain(rules);
        Line::server("user", words.collect())
    };
    users.iter().map(line).collect()
}
