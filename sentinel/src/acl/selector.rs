//! One set of permissions: some commands together with some channels.
//!
//! A user has one, and may have more in parentheses; a request is allowed when one of them allows
//! all of it. Key patterns are kept for those who write them, as no command here has keys.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::{PubsubDefault, RuleError};
use crate::glob;
use crate::port::table::{self, ROWS_MAX, Spec};

/// Patterns of keys, of channels, and command rules of one selector.
pub(super) const RULES_MAX: usize = 1024;

/// A set of rows of the command table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CommandSet(u128);

const _: () = assert!(ROWS_MAX <= u128::BITS as usize);

impl CommandSet {
    const ALL: Self = Self(u128::MAX);

    fn contains(self, number: usize) -> bool {
        self.0 >> number & 1 == 1
    }

    fn put(&mut self, number: usize, allow: bool) {
        self.0 = self.0 & !(1 << number) | u128::from(allow) << number;
    }
}

/// A key pattern and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) pattern: String,
}

/// Permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Nothing was forbidden since all commands were allowed.
    all_commands: bool,
    /// The rules started from all commands, rather than from none.
    from_all: bool,
    commands: CommandSet,
    /// First arguments with which a command is allowed that is not allowed otherwise.
    first_args: BTreeMap<usize, Vec<String>>,
    /// The command rules in the order in which they apply.
    rules: Vec<String>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<String>,
}

/// Why a selector does not allow a request. The worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    Command,
    /// The channel is this argument.
    Channel(usize),
}

impl Selector {
    /// Allows nothing, or nothing but channels.
    pub(super) fn new(pubsub: PubsubDefault) -> Self {
        Self {
            all_channels: pubsub == PubsubDefault::AllChannels,
            ..Self::default()
        }
    }

    /// Allows everything.
    pub(super) fn unrestricted() -> Self {
        let mut selector = Self::default();
        selector.allow_all_commands();
        selector.allow_all_keys();
        selector.allow_all_channels();
        selector
    }

    pub(super) fn allow_all_commands(&mut self) {
        self.forbid_all_commands();
        self.all_commands = true;
        self.from_all = true;
        self.commands = CommandSet::ALL;
    }

    pub(super) fn forbid_all_commands(&mut self) {
        self.all_commands = false;
        self.from_all = false;
        self.commands = CommandSet::default();
        self.first_args.clear();
        self.rules.clear();
    }

    pub(super) fn allow_all_keys(&mut self) {
        self.all_keys = true;
        self.keys.clear();
    }

    pub(super) fn reset_keys(&mut self) {
        self.all_keys = false;
        self.keys.clear();
    }

    pub(super) fn allow_all_channels(&mut self) {
        self.all_channels = true;
        self.channels.clear();
    }

    pub(super) fn reset_channels(&mut self) {
        self.all_channels = false;
        self.channels.clear();
    }

    /// Allows or forbids a command with all its subcommands.
    pub(super) fn permit(&mut self, spec: &Spec, allow: bool) {
        self.permit_row(spec.number, allow);
        for part in table::subcommands(spec) {
            self.permit_row(part.number, allow);
        }
    }

    fn permit_row(&mut self, number: usize, allow: bool) {
        self.commands.put(number, allow);
        self.all_commands &= allow;
        self.first_args.remove(&number);
    }

    /// Allows a command when it has this first argument.
    pub(super) fn permit_first_arg(&mut self, number: usize, arg: &str) {
        let args = self.first_args.entry(number).or_default();
        if !args.iter().any(|known| known.eq_ignore_ascii_case(arg)) {
            args.push(arg.to_owned());
        }
    }

    /// Keeps a command rule for those who read it. It takes the place of an earlier one about the
    /// same command or category, and of those about its subcommands.
    pub(super) fn keep_rule(&mut self, subject: &str, allow: bool) -> Result<(), RuleError> {
        let subject = subject.to_ascii_lowercase();
        self.rules.retain(|rule| {
            let rest = rule[1..].strip_prefix(&subject);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        });
        if self.rules.len() >= RULES_MAX {
            return Err(RuleError::TooMany);
        }
        let sign = if allow { '+' } else { '-' };
        self.rules.push(format!("{sign}{subject}"));
        Ok(())
    }

    pub(super) fn add_keys(&mut self, new: KeyPattern) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        let same = |known: &&mut KeyPattern| known.pattern == new.pattern;
        if let Some(known) = self.keys.iter_mut().find(same) {
            known.read |= new.read;
            known.write |= new.write;
            return Ok(());
        }
        if self.keys.len() >= RULES_MAX {
            return Err(RuleError::TooMany);
        }
        self.keys.push(new);
        Ok(())
    }

    pub(super) fn has_all_keys(&self) -> bool {
        self.all_keys
    }

    pub(super) fn has_all_channels(&self) -> bool {
        self.all_channels
    }

    /// The channel patterns.
    pub(super) fn channel_patterns(&self) -> &[String] {
        &self.channels
    }

    pub(super) fn add_channels(&mut self, pattern: &str) -> Result<(), RuleError> {
        if self.channels.iter().any(|known| known == pattern) {
            return Ok(());
        }
        if self.channels.len() >= RULES_MAX {
            return Err(RuleError::TooMany);
        }
        self.channels.push(pattern.to_owned());
        Ok(())
    }

    /// Whether a request is allowed.
    pub(super) fn check(&self, spec: &Spec, args: &[Bytes]) -> Result<(), Refusal> {
        if !self.allows_command(spec, args) {
            return Err(Refusal::Command);
        }
        let Some((channels, literal)) = channel_args(spec, args.len()) else {
            return Ok(());
        };
        let allowed = |index: usize| self.allows_channel(&args[index], literal);
        match channels.into_iter().find(|index| !allowed(*index)) {
            None => Ok(()),
            Some(index) => Err(Refusal::Channel(index)),
        }
    }

    fn allows_command(&self, spec: &Spec, args: &[Bytes]) -> bool {
        if self.all_commands || spec.has_flag("no_auth") || self.commands.contains(spec.number) {
            return true;
        }
        let (Some(known), Some(arg)) = (self.first_args.get(&spec.number), args.get(1)) else {
            return false;
        };
        let same = |known: &String| known.as_bytes().eq_ignore_ascii_case(arg);
        known.iter().any(same)
    }

    fn allows_channel(&self, channel: &[u8], literal: bool) -> bool {
        self.all_channels || is_listed(&self.channels, channel, literal)
    }

    /// The command rules with what they start from.
    pub fn commands(&self) -> String {
        let base = if self.from_all { "+@all" } else { "-@all" };
        let rules = self.rules.iter().map(String::as_str);
        let all: Vec<&str> = std::iter::once(base).chain(rules).collect();
        all.join(" ")
    }

    /// The key patterns.
    pub fn keys(&self) -> String {
        if self.all_keys {
            return "~*".into();
        }
        let text = |key: &KeyPattern| match (key.read, key.write) {
            (true, false) => format!("%R~{}", key.pattern),
            (false, true) => format!("%W~{}", key.pattern),
            _ => format!("~{}", key.pattern),
        };
        let texts: Vec<String> = self.keys.iter().map(text).collect();
        texts.join(" ")
    }

    /// The channel patterns.
    pub fn channels(&self) -> String {
        if self.all_channels {
            return "&*".into();
        }
        let texts: Vec<String> = self.channels.iter().map(|c| format!("&{c}")).collect();
        texts.join(" ")
    }
}

/// Whether a list of patterns covers a channel; one that is itself a pattern must be in the list
/// as it is.
pub(super) fn is_listed(patterns: &[String], channel: &[u8], literal: bool) -> bool {
    patterns.iter().any(|pattern| {
        if literal {
            pattern.as_bytes() == channel
        } else {
            glob::matches(pattern.as_bytes(), channel)
        }
    })
}

/// Which arguments of a command are channels, and whether they are patterns. To unsubscribe needs
/// no permission.
fn channel_args(spec: &Spec, words: usize) -> Option<(std::ops::Range<usize>, bool)> {
    match spec.name.as_str() {
        "publish" => Some((1..words.min(2), false)),
        "subscribe" => Some((1..words, false)),
        "psubscribe" => Some((1..words, true)),
        _ => None,
    }
}

/// The rules that make it.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys();
        if !keys.is_empty() {
            write!(f, "{keys} ")?;
        }
        if !self.all_channels {
            f.write_str("resetchannels ")?;
        }
        let channels = self.channels();
        if !channels.is_empty() {
            write!(f, "{channels} ")?;
        }
        f.write_str(&self.commands())
    }
}
