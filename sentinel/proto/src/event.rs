//! Events: what a sentinel says about what it saw and did. Names and payloads are those of Redis
//! Sentinel; subscribers and scripts rely on them.

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// `+sdown`, `+switch-master`, ...: also the channel.
    pub name: &'static str,
    /// The text after the name.
    pub payload: String,
    /// How loud it is. Debug events are logged but not published.
    pub level: Level,
    /// The notification script to run, when the master concerned has one and the event is a
    /// warning.
    pub script: Option<String>,
}

/// Log levels of the original.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Not published.
    Debug,
    /// Chatter.
    Verbose,
    /// Normal changes.
    Notice,
    /// What wakes an operator.
    Warning,
}
