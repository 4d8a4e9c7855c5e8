//! Log levels by the names of Codis.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    None,
    /// What is broken and needs a person.
    Error,
    /// What is worth an alert when it is frequent.
    Warn,
    /// Changes of state that an operator cares about.
    #[default]
    Info,
    /// Small decisions.
    Debug,
}

/// Text that is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid loglevel")]
pub struct InvalidLevel;

impl Level {
    /// What passes at this level. Libraries are kept to warnings: their small decisions are not
    /// ours.
    pub(super) fn targets(self) -> Targets {
        let own = match self {
            Self::None => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        };
        let libraries = own.min(LevelFilter::WARN);
        ["axum", "hyper", "hyper_util", "mio", "redis", "tokio"]
            .into_iter()
            .fold(Targets::new().with_default(own), |targets, library| {
                targets.with_target(library, libraries)
            })
    }
}

impl FromStr for Level {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "error" => Ok(Self::Error),
            "warn" | "warning" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err(InvalidLevel),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "NONE",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_shown_in_one() {
        for (text, level) in [
            ("error", Level::Error),
            ("Warn", Level::Warn),
            ("WARNING", Level::Warn),
            ("info", Level::Info),
            ("DEBUG", Level::Debug),
            ("none", Level::None),
        ] {
            assert_eq!(text.parse(), Ok(level), "{text}");
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert_eq!("trace".parse::<Level>(), Err(InvalidLevel));
        assert_eq!(InvalidLevel.to_string(), "invalid loglevel");
    }
}
