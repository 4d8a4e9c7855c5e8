//! One user: whether it is on, its passwords, and its permissions.

use std::fmt;

use bytes::Bytes;

use super::selector::Refusal;
use super::{Digest, PubsubDefault, RuleError, Selector};
use crate::port::table::Spec;

/// Passwords of one user.
const PASSWORDS_MAX: usize = 128;

/// Selectors of one user besides its own permissions.
const SELECTORS_MAX: usize = 128;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    enabled: bool,
    nopass: bool,
    /// What was said about payloads, which a sentinel does not have.
    sanitize_payload: Option<bool>,
    passwords: Vec<Digest>,
    root: Selector,
    selectors: Vec<Selector>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The command is not allowed; its name with that of the subcommand.
    Command(String),
    /// A channel is not allowed.
    Channel(Bytes),
}

impl Denied {
    /// The word for it in ACL LOG.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Channel(_) => "channel",
        }
    }

    /// What was refused.
    pub fn object(&self) -> String {
        match self {
            Self::Command(name) => name.clone(),
            Self::Channel(channel) => String::from_utf8_lossy(channel).into_owned(),
        }
    }

    /// The sentence of ACL DRYRUN.
    pub fn sentence(&self, user: &str) -> String {
        let object = self.object();
        match self {
            Self::Command(_) => {
                format!("User {user} has no permissions to run the '{object}' command")
            }
            Self::Channel(_) => {
                format!("User {user} has no permissions to access the '{object}' channel")
            }
        }
    }

    /// The error reply. It does not repeat a channel.
    pub fn error(&self, user: &str) -> String {
        match self {
            Self::Command(_) => format!("NOPERM {}", self.sentence(user)),
            Self::Channel(_) => "NOPERM No permissions to access a channel".into(),
        }
    }
}

/// A name that can be written into a file.
pub(super) fn checked_name(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let bad = |c: char| c.is_ascii_whitespace() || c == '\u{b}' || c == '\0';
    (!name.contains(bad)).then_some(name)
}

impl User {
    /// One that is off and may do nothing.
    pub fn new(name: &str, pubsub: PubsubDefault) -> Self {
        Self {
            name: name.to_owned(),
            enabled: false,
            nopass: false,
            sanitize_payload: None,
            passwords: Vec::new(),
            root: Selector::new(pubsub),
            selectors: Vec::new(),
        }
    }

    /// One that may do everything without a password.
    pub fn unrestricted(name: &str) -> Self {
        Self {
            enabled: true,
            nopass: true,
            root: Selector::unrestricted(),
            ..Self::new(name, PubsubDefault::AllChannels)
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a connection may be this user without AUTH.
    pub const fn lets_in_without_password(&self) -> bool {
        self.nopass && self.enabled
    }

    /// Whether any password is accepted.
    pub const fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// This password alone, or none.
    pub(super) fn require(&mut self, password: Option<&[u8]>) {
        self.nopass = password.is_none();
        self.passwords = password.into_iter().map(Digest::of).collect();
    }

    /// Whether a password is right. All are compared, so that the time says nothing.
    pub(super) fn accepts(&self, given: &Digest) -> bool {
        let known = self
            .passwords
            .iter()
            .fold(false, |found, password| found | (password == given));
        self.enabled && (self.nopass || known)
    }

    /// Applies one rule.
    ///
    /// # Errors
    /// The rule is wrong, and the user may be half-changed.
    pub fn apply(&mut self, rule: &[u8], pubsub: PubsubDefault) -> Result<(), RuleError> {
        match rule.first() {
            None => return Ok(()),
            Some(b'>') => return self.add_password(Digest::of(&rule[1..])),
            Some(b'<') => return self.remove_password(Digest::of(&rule[1..])),
            Some(b'#') => {
                let digest = Digest::from_hex(&rule[1..]).ok_or(RuleError::BadHash)?;
                return self.add_password(digest);
            }
            Some(b'!') => {
                let digest = Digest::from_hex(&rule[1..]).ok_or(RuleError::BadHash)?;
                return self.remove_password(digest);
            }
            Some(_) => {}
        }
        let rule = std::str::from_utf8(rule).map_err(|_| RuleError::Syntax)?;
        if rule.starts_with('(') && rule.ends_with(')') {
            return self.add_selector(rule, pubsub);
        }
        if !self.apply_flag(rule, pubsub) {
            return self.root.apply(rule);
        }
        Ok(())
    }

    /// Applies a rule about the user as a whole; whether it is one.
    fn apply_flag(&mut self, rule: &str, pubsub: PubsubDefault) -> bool {
        match rule.to_ascii_lowercase().as_str() {
            "on" => self.enabled = true,
            "off" => self.enabled = false,
            "nopass" => {
                self.nopass = true;
                self.passwords.clear();
            }
            "resetpass" => {
                self.nopass = false;
                self.passwords.clear();
            }
            "sanitize-payload" => self.sanitize_payload = Some(true),
            "skip-sanitize-payload" => self.sanitize_payload = Some(false),
            "clearselectors" => self.selectors.clear(),
            "reset" => {
                *self = Self {
                    sanitize_payload: Some(true),
                    ..Self::new(&self.name, pubsub)
                };
            }
            _ => return false,
        }
        true
    }

    fn add_password(&mut self, digest: Digest) -> Result<(), RuleError> {
        if !self.passwords.contains(&digest) {
            if self.passwords.len() >= PASSWORDS_MAX {
                return Err(RuleError::TooMany);
            }
            self.passwords.push(digest);
        }
        self.nopass = false;
        Ok(())
    }

    fn remove_password(&mut self, digest: Digest) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| *known == digest);
        self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    fn add_selector(&mut self, rule: &str, pubsub: PubsubDefault) -> Result<(), RuleError> {
        let selector = Selector::from_text(rule, Selector::new(pubsub))?;
        if self.selectors.len() >= SELECTORS_MAX {
            return Err(RuleError::TooMany);
        }
        self.selectors.push(selector);
        Ok(())
    }

    /// Whether a request is allowed, whose row in the command table is known.
    ///
    /// # Errors
    /// What is missing, by the selector that allows most of it.
    pub fn check(&self, spec: &Spec, args: &[Bytes]) -> Result<(), Denied> {
        let mut worst = Refusal::Command;
        for selector in self.all_selectors() {
            match selector.check(spec, args) {
                Ok(()) => return Ok(()),
                Err(refusal) => worst = worst.max(refusal),
            }
        }
        Err(match worst {
            Refusal::Command => Denied::Command(spec.name.clone()),
            Refusal::Channel(index) => Denied::Channel(args[index].clone()),
        })
    }

    /// Its own permissions, and those in parentheses.
    pub(super) fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Its own permissions.
    pub const fn root(&self) -> &Selector {
        &self.root
    }

    /// The permissions in parentheses.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The digests of its passwords.
    pub fn passwords(&self) -> &[Digest] {
        &self.passwords
    }

    /// The rules that make it.
    pub fn rules(&self) -> String {
        let flags = self.flags().into_iter().map(str::to_owned);
        let passwords = self.passwords.iter().map(|digest| format!("#{digest}"));
        let root = std::iter::once(self.root.to_string());
        let selectors = self.selectors.iter().map(|it| format!("({it})"));
        let all = flags.chain(passwords).chain(root).chain(selectors);
        all.collect::<Vec<_>>().join(" ")
    }

    /// The words for what it is as a whole, in the order of Redis.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.nopass {
            flags.push("nopass");
        }
        match self.sanitize_payload {
            None => {}
            Some(true) => flags.push("sanitize-payload"),
            Some(false) => flags.push("skip-sanitize-payload"),
        }
        flags
    }
}

/// The name and the rules that make it.
impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.rules())
    }
}
