//! CLIENT TRACKING. A sentinel has no keys to track, so this is bookkeeping: what a client sets is
//! what it reads back, and nothing is ever invalidated.

/// Whether keys are tracked only, or but for, those read after CLIENT CACHING.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Choice {
    /// All are.
    #[default]
    All,
    /// OPTIN.
    OptIn,
    /// OPTOUT.
    OptOut,
}

/// What the last CLIENT CACHING said, until the next command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caching {
    /// YES.
    Yes,
    /// NO.
    No,
}

/// The tracking of one session.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Tracking {
    /// The session that would be told; 0 is the one itself.
    pub redirect: i64,
    /// BCAST.
    pub broadcast: bool,
    /// OPTIN or OPTOUT.
    pub choice: Choice,
    /// NOLOOP.
    pub no_loop: bool,
    /// CLIENT CACHING.
    pub caching: Option<Caching>,
    /// PREFIX.
    pub prefixes: Vec<Vec<u8>>,
}

impl Tracking {
    /// Turns tracking on over what was on before; an error is complete.
    pub fn turned_on(self, before: Option<&Self>) -> Result<Self, String> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err("ERR PREFIX option requires BCAST mode to be enabled".into());
        }
        if before.is_some_and(|before| before.broadcast != self.broadcast) {
            return Err(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this \
                 client, and then re-enabling it with a different mode."
                    .into(),
            );
        }
        if self.broadcast && self.choice != Choice::All {
            return Err("ERR OPTIN and OPTOUT are not compatible with BCAST".into());
        }
        let old = before.map_or(Choice::All, |before| before.choice);
        let switches = self.choice != old && self.choice != Choice::All && old != Choice::All;
        if switches {
            return Err(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this \
                 client, and then re-enabling it with a different mode."
                    .into(),
            );
        }
        self.with_prefixes_of(before)
    }

    /// Adds the prefixes that were there before; none may overlap another.
    fn with_prefixes_of(mut self, before: Option<&Self>) -> Result<Self, String> {
        let old = before.map_or(&[][..], |before| before.prefixes.as_slice());
        for (index, prefix) in self.prefixes.iter().enumerate() {
            let overlaps = |other: &&Vec<u8>| overlap(prefix, other);
            if let Some(other) = old.iter().find(overlaps) {
                return Err(overlap_error(prefix, "an existing prefix", other));
            }
            if let Some(other) = self.prefixes[index + 1..].iter().find(overlaps) {
                return Err(overlap_error(prefix, "another provided prefix", other));
            }
        }
        if self.broadcast && self.prefixes.is_empty() && old.is_empty() {
            self.prefixes.push(Vec::new());
        }
        self.prefixes.extend_from_slice(old);
        self.prefixes.sort();
        Ok(self)
    }

    /// The words of CLIENT TRACKINGINFO.
    pub fn words(&self) -> Vec<&'static str> {
        let words = [
            ("on", true),
            ("bcast", self.broadcast),
            ("optin", self.choice == Choice::OptIn),
            ("caching-yes", self.caching == Some(Caching::Yes)),
            ("optout", self.choice == Choice::OptOut),
            ("caching-no", self.caching == Some(Caching::No)),
            ("noloop", self.no_loop),
        ];
        let set = words.into_iter().filter(|(_, set)| *set);
        set.map(|(word, _)| word).collect()
    }
}

fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn overlap_error(prefix: &[u8], what: &str, other: &[u8]) -> String {
    let [prefix, other] = [prefix, other].map(String::from_utf8_lossy);
    format!(
        "ERR Prefix '{prefix}' overlaps with {what} '{other}'. Prefixes for a single client must \
         not overlap."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broadcast(prefixes: &[&str]) -> Tracking {
        Tracking {
            broadcast: true,
            prefixes: prefixes.iter().map(|p| p.as_bytes().to_vec()).collect(),
            ..Tracking::default()
        }
    }

    #[test]
    fn prefixes_must_not_overlap() {
        let first = broadcast(&["b", "a"]).turned_on(None).unwrap();
        assert_eq!(first.prefixes, [b"a", b"b"]);
        let error = broadcast(&["ab"]).turned_on(Some(&first)).unwrap_err();
        assert!(error.starts_with("ERR Prefix 'ab' overlaps with an existing prefix 'a'."));
        let error = broadcast(&["x", "xy"]).turned_on(None).unwrap_err();
        assert!(error.starts_with("ERR Prefix 'x' overlaps with another provided prefix 'xy'."));
        let more = broadcast(&["c"]).turned_on(Some(&first)).unwrap();
        assert_eq!(more.prefixes, [b"a", b"b", b"c"]);
        assert_eq!(more.words(), ["on", "bcast"]);
    }
}
