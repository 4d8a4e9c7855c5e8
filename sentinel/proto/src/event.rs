//! Events: what a sentinel says about what it saw and did. Names and payloads are those of Redis
//! Sentinel; subscribers and scripts rely on them.

use crate::effect::ScriptFacts;

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
    pub script: Option<Notification>,
}

/// A run of a notification script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// The script.
    pub path: String,
    /// What it is told on its standard input, when its master asks for that.
    pub stdin: Option<ScriptFacts>,
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

impl Event {
    /// An event about a master (or none), with the level that its name has.
    pub(crate) fn new(name: &'static str, payload: String, script: Option<Notification>) -> Self {
        let level = level(name);
        Self {
            name,
            payload,
            level,
            script: script.filter(|_| level == Level::Warning),
        }
    }
}

/// The level of each event. What wakes an operator is the default, so a name missing here is
/// noticed.
fn level(name: &str) -> Level {
    match name {
        "-cmd-link-reconnection" | "-pubsub-link-reconnection" => Level::Debug,
        "+role-change" | "-role-change" => Level::Verbose,
        "+slave"
        | "-slave"
        | "+sentinel"
        | "-sentinel"
        | "+sentinel-address-switch"
        | "+sentinel-address-update"
        | "+sentinel-invalid-addr"
        | "+reboot"
        | "+master-lost-data"
        | "-master-lost-data"
        | "+failover-state-send-slaveof-noone"
        | "+failover-state-wait-promotion"
        | "+slave-reconf-sent"
        | "+slave-reconf-inprog"
        | "+slave-reconf-done"
        | "+slave-reconf-sent-be"
        | "-slave-reconf-sent-timeout"
        | "+convert-to-slave"
        | "+fix-slave-config" => Level::Notice,
        _ => Level::Warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_warnings_run_the_script() {
        let script = Some(Notification {
            path: "/bin/notify".to_owned(),
            stdin: None,
        });
        let loud = Event::new("+sdown", String::new(), script.clone());
        assert_eq!((loud.level, &loud.script), (Level::Warning, &script));
        let quiet = Event::new("+slave", String::new(), script);
        assert_eq!((quiet.level, quiet.script), (Level::Notice, None));
    }
}
