//! Who may do what: users, their passwords, and the commands and channels they may use.
//!
//! The rules, their texts and their errors are those of Redis 7.2, so that lines written for it can
//! be used as they are. Everything in here is a value: no socket, no file, no clock. The command
//! port asks for a verdict before it carries out a request, and keeps the record of refusals.

use std::collections::BTreeMap;

mod channels;
mod declare;
mod file;
pub mod log;
mod merge;
mod password;
mod rule_error;
mod rules;
mod selector;
pub mod settings;
mod user;

pub use channels::Lost;
pub use declare::{DeclarationError, Declared};
pub use file::{FileErrors, parse as parse_file, text as file_text};
pub use log::Log;
pub use merge::Unmatched;
pub use password::Digest;
pub use rule_error::RuleError;
pub use selector::Selector;
pub use settings::{Settings, fingerprint};
pub use user::{Denied, User};

/// The user that a connection is before it gives a name.
pub const DEFAULT: &str = "default";

/// Users at the same time.
pub const USERS_MAX: usize = 4096;

/// What a new user may do with channels: `acl-pubsub-default`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PubsubDefault {
    /// `allchannels`.
    AllChannels,
    /// `resetchannels`.
    #[default]
    ResetChannels,
}

/// All users. There is always a default one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    by_name: BTreeMap<String, User>,
    pubsub: PubsubDefault,
}

/// Why SETUSER changed nothing. The texts follow the code of the error reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The name cannot be written into a file.
    #[error("Usernames can't contain spaces or null characters")]
    Name,
    /// A parenthesis is not closed.
    #[error(transparent)]
    Unmatched(#[from] Unmatched),
    /// A rule is wrong.
    #[error("Error in ACL SETUSER modifier '{rule}': {error}")]
    Rule {
        /// The rule as it was sent.
        rule: String,
        /// What is wrong with it.
        error: RuleError,
    },
    /// There are too many users.
    #[error("There are {USERS_MAX} users, which is the limit")]
    TooMany,
}

impl Users {
    /// The default user alone, who may do everything without a password.
    pub fn new(pubsub: PubsubDefault) -> Self {
        let by_name = BTreeMap::from([(DEFAULT.to_owned(), User::unrestricted(DEFAULT))]);
        Self { by_name, pubsub }
    }

    /// Gives the default user this password alone, or none: `requirepass`.
    pub fn require(&mut self, password: Option<&[u8]>) {
        self.default_mut().require(password);
    }

    /// A user by name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    /// The default user.
    pub fn default_user(&self) -> &User {
        self.get(DEFAULT).expect("it cannot be removed")
    }

    fn default_mut(&mut self) -> &mut User {
        let made = || User::unrestricted(DEFAULT);
        self.by_name.entry(DEFAULT.to_owned()).or_insert_with(made)
    }

    /// All users in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_name.values()
    }

    /// Whether a connection is let in without AUTH.
    pub fn is_open(&self) -> bool {
        self.default_user().lets_in_without_password()
    }

    /// Whether these are the credentials of a user that is on.
    pub fn accepts(&self, name: &str, password: &[u8]) -> bool {
        let digest = Digest::of(password);
        self.get(name).is_some_and(|user| user.accepts(&digest))
    }

    /// Makes or changes a user by rules, all of them or none; what the user was before.
    ///
    /// # Errors
    /// A name or a rule that Redis refuses too, or too many users.
    pub fn set(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<Option<User>, SetError> {
        let name = user::checked_name(name).ok_or(SetError::Name)?;
        let before = self.get(name);
        if before.is_none() && self.by_name.len() >= USERS_MAX {
            return Err(SetError::TooMany);
        }
        let mut user = before.map_or_else(|| User::new(name, self.pubsub), User::clone);
        for rule in merge::selectors(rules)? {
            user.apply(&rule, self.pubsub)
                .map_err(|error| SetError::Rule {
                    rule: shown(&rule),
                    error,
                })?;
        }
        Ok(self.put(user))
    }

    /// Puts a user in the place of one of the same name.
    fn put(&mut self, user: User) -> Option<User> {
        self.by_name.insert(user.name().to_owned(), user)
    }

    /// Removes a user; whether there was one. The default user stays.
    pub fn remove(&mut self, name: &str) -> bool {
        name != DEFAULT && self.by_name.remove(name).is_some()
    }

    /// What new users may do with channels.
    pub const fn pubsub_default(&self) -> PubsubDefault {
        self.pubsub
    }

    /// The lines that make these users, in the form of a config file and of ACL LIST.
    pub fn lines(&self) -> Vec<String> {
        self.iter().map(|user| format!("user {user}")).collect()
    }
}

/// A rule for the error reply. It goes to nobody but the client that sent the rule.
fn shown(rule: &[u8]) -> String {
    String::from_utf8_lossy(rule).into_owned()
}

#[cfg(test)]
mod tests;
