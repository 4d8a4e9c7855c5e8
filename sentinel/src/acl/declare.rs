//! `user` lines of a config file. Users are made of them once the whole file is known, as
//! `acl-pubsub-default` may follow.

use std::fmt;

use super::{DEFAULT, PubsubDefault, RuleError, USERS_MAX, User, Users, merge, user};

/// The users that a config file declares.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Declared(Vec<(String, Vec<String>)>);

/// What is wrong with a `user` line. The texts hold no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclarationError {
    /// It has no name.
    #[error("Bad directive or wrong number of arguments")]
    NoName,
    /// The name cannot be one.
    #[error("Error in user declaration '{0}': Spaces not allowed in ACL usernames")]
    Name(String),
    /// It was declared before.
    #[error(
        "Error in user declaration '{0}': Duplicate user found. A user can only be defined once in \
         config files"
    )]
    Twice(String),
    /// A parenthesis is not closed.
    #[error("Error in user declaration '{0}': Unmatched parenthesis in a selector")]
    Unmatched(String),
    /// A rule is wrong.
    #[error("Error in user declaration '{name}': {error}")]
    Rule {
        /// The user.
        name: String,
        /// What is wrong.
        error: RuleError,
    },
    /// There are too many.
    #[error("More than {USERS_MAX} users")]
    TooMany,
}

/// The names: rules may hold passwords.
impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|it| &it.0))
            .finish()
    }
}

impl Declared {
    /// Takes the words after `user`.
    pub fn add(&mut self, words: &[&str]) -> Result<(), DeclarationError> {
        let (name, rules) = words.split_first().ok_or(DeclarationError::NoName)?;
        let owned = || (*name).to_owned();
        user::checked_name(name.as_bytes()).ok_or_else(|| DeclarationError::Name(owned()))?;
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(DeclarationError::Twice(owned()));
        }
        if self.0.len() >= USERS_MAX {
            return Err(DeclarationError::TooMany);
        }
        make(name, rules, PubsubDefault::default())?;
        let rules = rules.iter().map(|&rule| rule.to_owned()).collect();
        self.0.push((owned(), rules));
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts them on top of some users.
    pub fn add_to(&self, users: &mut Users) -> Result<(), DeclarationError> {
        for (name, rules) in &self.0 {
            users.put(make(name, rules, users.pubsub_default())?);
        }
        Ok(())
    }
}

fn make(
    name: &str,
    rules: &[impl AsRef<str>],
    pubsub: PubsubDefault,
) -> Result<User, DeclarationError> {
    let mut user = User::new(name, pubsub);
    if name == DEFAULT {
        // Redis resets the user that it has made before it reads the file, and that shows.
        let reset = user.apply(b"reset", pubsub);
        reset.map_err(|error| rule_error(name, error))?;
    }
    let words: Vec<&[u8]> = rules.iter().map(|rule| rule.as_ref().as_bytes()).collect();
    let rules =
        merge::selectors(&words).map_err(|_| DeclarationError::Unmatched(name.to_owned()))?;
    for rule in rules {
        user.apply(&rule, pubsub)
            .map_err(|error| rule_error(name, error))?;
    }
    Ok(user)
}

fn rule_error(name: &str, error: RuleError) -> DeclarationError {
    DeclarationError::Rule {
        name: name.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(lines: &[&str]) -> Result<Users, DeclarationError> {
        let mut declared = Declared::default();
        for line in lines {
            declared.add(&line.split(' ').collect::<Vec<_>>())?;
        }
        let mut users = Users::new(PubsubDefault::default());
        declared.add_to(&mut users)?;
        Ok(users)
    }

    #[test]
    fn lines_make_users() {
        let users =
            declared(&["alice on +role (+ping ~x) ( &y )", "default on >pw +@all"]).unwrap();
        assert_eq!(
            users.lines(),
            [
                "user alice on resetchannels -@all +role (~x resetchannels -@all +ping) \
                 (resetchannels &y -@all)",
                "user default on sanitize-payload \
                 #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 \
                 resetchannels +@all"
            ]
        );
        assert!(!users.is_open());
        assert!(users.accepts(DEFAULT, b"pw"));
    }

    #[test]
    fn bad_lines_are_refused_without_telling_passwords() {
        for (lines, error) in [
            (
                &["a on", "a off"][..],
                "Error in user declaration 'a': Duplicate user found. A user can only be defined \
                 once in config files",
            ),
            (
                &["a >secret +foo"],
                "Error in user declaration 'a': Unknown command or category name in ACL",
            ),
            (
                &["a (+ping"],
                "Error in user declaration 'a': Unmatched parenthesis in a selector",
            ),
        ] {
            assert_eq!(declared(lines).unwrap_err().to_string(), error);
        }
        assert_eq!(declared(&["a"]).unwrap().iter().count(), 2);
        let mut none = Declared::default();
        assert_eq!(none.add(&[]), Err(DeclarationError::NoName));
        assert!(none.add(&["a b"]).is_err() && none.is_empty());
    }
}
