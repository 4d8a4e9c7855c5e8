//! Users and refusals as the sessions share them.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use codis_core::time::Time;
use tokio::time::Instant;

use super::table::Spec;
use crate::acl::log::Moment;
use crate::acl::{Denied, Log, Users};

/// Who may do what, and who was refused.
#[derive(Debug)]
pub struct Access {
    /// `aclfile`: where ACL LOAD and ACL SAVE find the users.
    pub file: Option<PathBuf>,
    /// Held while that file is read or written, so that its content is never older than a reply.
    pub file_use: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    origin: Instant,
}

/// What changes.
#[derive(Debug)]
pub struct State {
    /// The users.
    pub users: Users,
    /// The refusals.
    pub log: Log,
}

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A password is needed first.
    NoAuth,
    /// The user may not.
    Denied(Denied),
}

impl Access {
    /// These users, and a log of that many refusals.
    pub fn new(users: Users, file: Option<PathBuf>, log_len_max: usize) -> Self {
        let log = Log::new(log_len_max);
        Self {
            file,
            file_use: tokio::sync::Mutex::default(),
            state: Mutex::new(State { users, log }),
            origin: Instant::now(),
        }
    }

    /// Users and refusals. A panic while they were held cannot leave them half-changed.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment for the log.
    pub fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_ms = wall.map_or(0, |since| since.as_millis());
        Moment {
            time: Time::from_origin(self.origin.elapsed()),
            unix_ms: i64::try_from(unix_ms).unwrap_or(i64::MAX),
        }
    }

    /// Whether a user may send a request. Whoever is not authenticated is the default user, and is
    /// heard only while that one needs no password.
    ///
    /// # Errors
    /// Why not.
    pub fn check(
        &self,
        user: &str,
        authenticated: bool,
        spec: &Spec,
        args: &[Bytes],
    ) -> Result<(), Refused> {
        let state = self.state();
        if !authenticated && !state.users.is_open() && !spec.has_flag("no_auth") {
            return Err(Refused::NoAuth);
        }
        // A user that was removed a moment ago: its session is about to end.
        let user = state.users.get(user).ok_or(Refused::NoAuth)?;
        user.check(spec, args).map_err(Refused::Denied)
    }
}

impl Refused {
    /// The error reply.
    pub fn error(&self, user: &str) -> String {
        match self {
            Self::NoAuth => "NOAUTH Authentication required.".into(),
            Self::Denied(denied) => denied.error(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::{DEFAULT, PubsubDefault};
    use crate::port::table;

    #[test]
    fn a_password_of_the_default_user_keeps_others_out() {
        let access = Access::new(Users::new(PubsubDefault::default()), None, 1);
        let words = |line: &str| -> Vec<Bytes> {
            line.split(' ').map(|w| Bytes::from(w.to_owned())).collect()
        };
        let check = |authenticated: bool, line: &str| {
            let args = words(line);
            access.check(DEFAULT, authenticated, table::find(&args).unwrap(), &args)
        };
        assert_eq!(check(false, "ping"), Ok(()));
        access.state().users.require(Some(b"secret"));
        assert_eq!(check(false, "ping"), Err(Refused::NoAuth));
        assert_eq!(check(false, "auth secret"), Ok(()));
        assert_eq!(check(true, "ping"), Ok(()));
        let args = words("ping");
        let gone = access.check("nobody", true, table::find(&args).unwrap(), &args);
        assert_eq!(gone, Err(Refused::NoAuth));
    }
}
