//! CLIENT PAUSE: commands that wait until it is over.

use std::time::Instant;

/// A pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// When it is over.
    pub until: Instant,
    /// Whether it holds for all commands, or only for PUBLISH, which replicas would see.
    pub all: bool,
}

impl Pause {
    /// This pause on top of another: as long and as strict as either.
    #[must_use]
    pub fn over(self, other: Option<&Self>, now: Instant) -> Self {
        match other.filter(|other| other.until > now) {
            None => self,
            Some(other) => Self {
                until: self.until.max(other.until),
                all: self.all || other.all,
            },
        }
    }

    /// Until when a command has to wait, if it has to.
    pub fn holds(&self, command: &str, now: Instant) -> Option<Instant> {
        let concerned = self.all || command == "publish";
        (concerned && self.until > now).then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pause_is_not_shortened_by_another() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let (until, all) = (at(9), true);
        let long = Pause { until, all };
        let writes = Pause {
            until: at(1),
            all: false,
        };
        assert_eq!(writes.over(Some(&long), now), long);
        assert_eq!(writes.over(Some(&long), at(9)), writes);
        assert_eq!(writes.holds("ping", now), None);
        assert_eq!(writes.holds("publish", now), Some(at(1)));
        assert_eq!(long.holds("ping", now), Some(at(9)));
        assert_eq!(long.holds("ping", at(9)), None);
    }
}
