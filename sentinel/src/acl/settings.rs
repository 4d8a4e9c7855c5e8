//! The directives about users.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{Declared, PubsubDefault, Users, log};

/// The directives of [`Settings`].
pub const DIRECTIVES: [&str; 4] = ["acl-pubsub-default", "aclfile", "acllog-max-len", "user"];

/// What a config file says about users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `user` lines.
    pub declared: Declared,
    /// `aclfile`: users are in this file instead.
    pub file: Option<PathBuf>,
    /// `acl-pubsub-default`.
    pub pubsub: PubsubDefault,
    /// `acllog-max-len`: entries of ACL LOG.
    pub log_len_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            declared: Declared::default(),
            file: None,
            pubsub: PubsubDefault::default(),
            log_len_max: log::LEN_DEFAULT,
        }
    }
}

impl Settings {
    /// Takes one of [`DIRECTIVES`].
    ///
    /// # Errors
    /// What is wrong with its arguments; without any password among them.
    pub fn apply(&mut self, keyword: &str, args: &[&str]) -> Result<(), String> {
        if keyword == "user" {
            return self.declared.add(args).map_err(|error| error.to_string());
        }
        let [value] = args else {
            return Err("wrong number of arguments".into());
        };
        match keyword {
            "aclfile" => self.file = (!value.is_empty()).then(|| PathBuf::from(value)),
            "acl-pubsub-default" => {
                self.pubsub = match value.to_ascii_lowercase().as_str() {
                    "allchannels" => PubsubDefault::AllChannels,
                    "resetchannels" => PubsubDefault::ResetChannels,
                    _ => {
                        return Err(
                            "argument(s) must be one of the following: allchannels, resetchannels"
                                .into(),
                        );
                    }
                };
            }
            _ => {
                let parsed: Option<u64> = value.parse().ok();
                let len = parsed.ok_or_else(|| format!("`{value}`: must be an integer"))?;
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                self.log_len_max = len.min(log::LEN_MAX);
            }
        }
        Ok(())
    }

    /// The users of the lines, on top of a default user with this password.
    pub fn users(&self, requirepass: Option<&str>) -> Result<Users, super::DeclarationError> {
        let mut users = Users::new(self.pubsub);
        users.require(requirepass.map(str::as_bytes));
        self.declared.add_to(&mut users)?;
        Ok(users)
    }
}

/// A digest of users, by which a change of them is seen.
pub fn fingerprint(users: &Users) -> String {
    let digest = Sha256::digest(users.lines().join("\n"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_checked() {
        let mut settings = Settings::default();
        let mut apply = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            settings.apply(words[0], &words[1..])
        };
        for line in [
            "user bob on >pw",
            "aclfile users.acl",
            "acl-pubsub-default AllChannels",
            "acllog-max-len 0",
        ] {
            assert_eq!(apply(line), Ok(()), "{line}");
        }
        for line in [
            "user",
            "user bob on",
            "acl-pubsub-default some",
            "acllog-max-len x",
            "acllog-max-len 1 2",
        ] {
            assert!(apply(line).is_err(), "{line}");
        }
        assert_eq!(settings.file, Some(PathBuf::from("users.acl")));
        assert_eq!(settings.log_len_max, 0);
        let users = settings.users(Some("x")).unwrap();
        assert!(users.lines()[0].starts_with("user bob on #"), "{users:?}");
        assert!(users.lines()[0].ends_with(" &* -@all") && !users.is_open());
        assert_eq!(fingerprint(&users), fingerprint(&users.clone()));
        let other = Settings::default().users(None).unwrap();
        assert_ne!(fingerprint(&users), fingerprint(&other));
    }
}
