//! The user and password of a store.

/// A user and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Never empty.
    pub user: String,
    /// May hold colons.
    pub password: String,
}

/// The text is not `user:password`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid auth: expected user:password, and the user not empty")]
pub struct InvalidAuth;

impl Credentials {
    /// Reads `user:password`, split at the first colon; an empty text is nobody.
    ///
    /// # Errors
    /// There is no colon, or no user.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidAuth> {
        if text.is_empty() {
            return Ok(None);
        }
        match text.split_once(':') {
            Some((user, password)) if !user.is_empty() => Ok(Some(Self {
                user: user.to_owned(),
                password: password.to_owned(),
            })),
            _ => Err(InvalidAuth),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_ends_the_user() {
        let read = Credentials::parse("u:p:q").unwrap().unwrap();
        assert_eq!((read.user.as_str(), read.password.as_str()), ("u", "p:q"));
        assert!(
            !format!("{read:?}").contains("p:q"),
            "passwords stay out of logs"
        );
        assert_eq!(Credentials::parse("").unwrap(), None);
        for bad in ["u", ":p", ":"] {
            assert_eq!(Credentials::parse(bad), Err(InvalidAuth), "{bad}");
        }
        assert!(
            Credentials::parse("u:")
                .unwrap()
                .unwrap()
                .password
                .is_empty()
        );
    }
}
