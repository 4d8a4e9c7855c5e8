//! Reading the rules of a selector.

use super::RuleError;
use super::selector::{KeyPattern, Selector};
use crate::conf::lex;
use crate::port::table;

impl Selector {
    /// A selector from its text with parentheses. It starts with nothing allowed.
    pub(super) fn from_text(text: &str, empty: Self) -> Result<Self, RuleError> {
        let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
        let inner = inner.ok_or(RuleError::Syntax)?.trim_matches(' ');
        let words = lex::split_text(inner).ok_or(RuleError::Syntax)?;
        let mut selector = empty;
        for word in words {
            selector.apply(&word)?;
        }
        Ok(selector)
    }

    /// Applies one rule.
    pub(super) fn apply(&mut self, rule: &str) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_str() {
            "allkeys" | "~*" => self.allow_all_keys(),
            "resetkeys" => self.reset_keys(),
            "allchannels" | "&*" => self.allow_all_channels(),
            "resetchannels" => self.reset_channels(),
            "allcommands" | "+@all" => self.allow_all_commands(),
            "nocommands" | "-@all" => self.forbid_all_commands(),
            _ => return self.apply_sign(rule),
        }
        Ok(())
    }

    fn apply_sign(&mut self, rule: &str) -> Result<(), RuleError> {
        let mut chars = rule.chars();
        let sign = chars.next();
        let subject = chars.as_str();
        match sign {
            Some('~') => self.keys_rule(subject, true, true),
            Some('%') => self.keys_with_permission(subject),
            Some('&') => self.channels_rule(subject),
            Some('+') => match subject.strip_prefix('@') {
                Some(category) => self.category(category, true),
                None => self.allow(subject),
            },
            Some('-') => match subject.strip_prefix('@') {
                Some(category) => self.category(category, false),
                None => self.forbid(subject),
            },
            _ => Err(RuleError::Syntax),
        }
    }

    /// `R~pattern` and the like. As in Redis the pattern may be left out together with its tilde.
    fn keys_with_permission(&mut self, rest: &str) -> Result<(), RuleError> {
        if self.has_all_keys() {
            return Err(RuleError::AfterAllKeys);
        }
        let (letters, pattern) = rest.split_once('~').unwrap_or((rest, ""));
        let (mut read, mut write) = (false, false);
        for letter in letters.chars() {
            match letter.to_ascii_uppercase() {
                'R' if !read => read = true,
                'W' if !write => write = true,
                _ => return Err(RuleError::Syntax),
            }
        }
        if !read && !write {
            return Err(RuleError::Syntax);
        }
        self.keys_rule(pattern, read, write)
    }

    fn keys_rule(&mut self, pattern: &str, read: bool, write: bool) -> Result<(), RuleError> {
        if self.has_all_keys() {
            return Err(RuleError::AfterAllKeys);
        }
        self.add_keys(KeyPattern {
            read,
            write,
            pattern: without_blanks(pattern)?.to_owned(),
        })
    }

    fn channels_rule(&mut self, pattern: &str) -> Result<(), RuleError> {
        if self.has_all_channels() {
            return Err(RuleError::AfterAllChannels);
        }
        self.add_channels(without_blanks(pattern)?)
    }

    fn category(&mut self, category: &str, allow: bool) -> Result<(), RuleError> {
        let category = category.to_ascii_lowercase();
        if !table::CATEGORIES.contains(&category.as_str()) {
            return Err(RuleError::Unknown);
        }
        for row in table::rows().iter().filter(|row| row.is_in(&category)) {
            self.permit(row, allow);
        }
        self.keep_rule(&format!("@{category}"), allow)
    }

    fn allow(&mut self, name: &str) -> Result<(), RuleError> {
        let Some((command, part)) = name.rsplit_once('|') else {
            self.permit(table::get(name).ok_or(RuleError::Unknown)?, true);
            return self.keep_rule(name, true);
        };
        let row = table::get(command).ok_or(RuleError::Unknown)?;
        if row.is_subcommand() {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if part.is_empty() {
            return Err(RuleError::Syntax);
        }
        if row.is_container() {
            self.permit(table::get(name).ok_or(RuleError::Unknown)?, true);
            return self.keep_rule(name, true);
        }
        self.keep_rule(name, true)?;
        self.permit_first_arg(row.number, part);
        Ok(())
    }

    fn forbid(&mut self, name: &str) -> Result<(), RuleError> {
        self.permit(table::get(name).ok_or(RuleError::Unknown)?, false);
        self.keep_rule(name, false)
    }
}

/// A pattern that can be written into a file.
fn without_blanks(pattern: &str) -> Result<&str, RuleError> {
    let blank = |c: char| c.is_ascii_whitespace() || c == '\0' || c == '\u{b}';
    if pattern.contains(blank) {
        return Err(RuleError::Syntax);
    }
    Ok(pattern)
}
