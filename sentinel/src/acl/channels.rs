//! Subscriptions that a change of rules takes away.

use bytes::Bytes;

use super::selector::is_listed;
use super::{Selector, User};

/// What a user may still do with channels, when that is less than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The patterns that remain.
    patterns: Vec<String>,
}

impl Lost {
    /// What a change takes away; `None` when whoever was subscribed may stay.
    pub fn between(old: &User, new: &User) -> Option<Self> {
        if new.all_selectors().any(Selector::has_all_channels) {
            return None;
        }
        let of = |user: &User| -> Vec<String> {
            let patterns = user.all_selectors().flat_map(Selector::channel_patterns);
            patterns.cloned().collect()
        };
        let patterns = of(new);
        let had_all = old.all_selectors().any(Selector::has_all_channels);
        if !had_all && of(old).iter().all(|pattern| patterns.contains(pattern)) {
            return None;
        }
        Some(Self { patterns })
    }

    /// Whether a session with these subscriptions has to go.
    pub fn concerns<'a>(
        &self,
        mut channels: impl Iterator<Item = &'a Bytes>,
        mut patterns: impl Iterator<Item = &'a Bytes>,
    ) -> bool {
        channels.any(|channel| !is_listed(&self.patterns, channel, false))
            || patterns.any(|pattern| !is_listed(&self.patterns, pattern, true))
    }
}
