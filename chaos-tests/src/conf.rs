//! Renders a process's config file from the one that operators get, in `conf/`.
//!
//! The rule is small enough to foresee the result: a setting replaces the line of its key, or is
//! appended when no line has it. Comments and the order of the file stay.

/// The files in `conf/`.
pub mod files {
    /// A data server.
    pub const REDIS: &str = include_str!("../../conf/redis.conf");
    /// A sentinel.
    pub const SENTINEL: &str = include_str!("../../conf/sentinel.conf");
    /// A proxy.
    pub const PROXY: &str = include_str!("../../conf/proxy.toml");
    /// The dashboard.
    pub const DASHBOARD: &str = include_str!("../../conf/dashboard.toml");
    /// Run by sentinels on events.
    pub const NOTIFY: &str = include_str!("../../conf/scripts/notify.sh");
    /// Run by sentinels on a change of a master.
    pub const CLIENT_RECONFIG: &str = include_str!("../../conf/scripts/client-reconfig.sh");
}

/// How a file joins key and value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Words,
    Toml,
}

/// A config file in the making.
#[derive(Clone, Debug)]
pub struct Rendering {
    form: Form,
    lines: Vec<String>,
}

impl Rendering {
    /// Starts from a file of the form `key value`.
    pub fn words(text: &str) -> Self {
        Self::new(Form::Words, text)
    }

    /// Starts from a flat TOML file.
    pub fn toml(text: &str) -> Self {
        Self::new(Form::Toml, text)
    }

    fn new(form: Form, text: &str) -> Self {
        Self {
            form,
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    /// Sets `key`, which may be of several words, to `value`; in TOML the value is text.
    #[must_use]
    pub fn set(self, key: &str, value: impl ToString) -> Self {
        let value = value.to_string();
        match self.form {
            Form::Words => self.put(key, format!("{key} {value}")),
            Form::Toml => self.put(key, format!("{key} = {}", toml_text(&value))),
        }
    }

    /// Sets `key` to a number.
    #[must_use]
    pub fn set_number(self, key: &str, value: usize) -> Self {
        match self.form {
            Form::Words => self.put(key, format!("{key} {value}")),
            Form::Toml => self.put(key, format!("{key} = {value}")),
        }
    }

    fn put(mut self, key: &str, line: String) -> Self {
        match self.lines.iter().position(|line| self.has_key(line, key)) {
            Some(index) => self.lines[index] = line,
            None => self.lines.push(line),
        }
        self
    }

    /// The whole file.
    pub fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }

    fn has_key(&self, line: &str, key: &str) -> bool {
        let Some(rest) = line.trim_start().strip_prefix(key) else {
            return false;
        };
        match self.form {
            Form::Words => rest.is_empty() || rest.starts_with(' '),
            Form::Toml => rest.trim_start().starts_with('='),
        }
    }
}

fn toml_text(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_replaced_in_place_or_appended() {
        let text = "# port of it\nport 1\nsentinel a 1\nsentinel ab 2\n";
        let done = Rendering::words(text)
            .set("port", 2)
            .set("sentinel a", 3)
            .set("dir", "/x");
        assert_eq!(
            done.text(),
            "# port of it\nport 2\nsentinel a 3\nsentinel ab 2\ndir /x\n"
        );
    }

    #[test]
    fn toml_values_are_quoted_and_keys_matched_whole() {
        let text = "a_b = 1\na = \"x\" \n";
        let done = Rendering::toml(text).set("a", "q\"\\").set("c", "d");
        assert_eq!(done.text(), "a_b = 1\na = \"q\\\"\\\\\"\nc = \"d\"\n");
    }
}
