//! The `INFO` of a server.

use codis_core::addr::Addr;
use memchr::memmem;

use super::Fields;

/// What a server says of itself, as it said it. Hundreds of servers are asked for each figure that
/// somebody reads, so fields are looked for when they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    text: Box<str>,
    /// From elsewhere, when the text lacks it.
    maxmemory: Option<String>,
}

impl Info {
    /// The text of `INFO`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self {
            text: text.into(),
            maxmemory: None,
        }
    }

    /// The same with the value of `maxmemory`, from a server whose text lacks it.
    #[must_use]
    pub fn with_maxmemory(mut self, value: Option<String>) -> Self {
        self.maxmemory = value;
        self
    }

    /// A field of the text.
    pub fn field(&self, name: &str) -> Option<&str> {
        let value = |at: usize| {
            let (before, found) = (&self.text[..at], &self.text[at + name.len()..]);
            let is_field = before.is_empty() || before.ends_with('\n');
            let value = found.strip_prefix(':').filter(|_| is_field)?;
            Some(value.lines().next().unwrap_or_default().trim_end())
        };
        // As in [`Self::fields`], the last one of a name counts.
        memmem::find_iter(self.text.as_bytes(), name)
            .filter_map(value)
            .last()
    }

    /// All fields, with `maxmemory` and `master_addr`.
    pub fn fields(&self) -> Fields {
        let mut fields = fields(&self.text);
        if let Some(value) = &self.maxmemory {
            fields.insert("maxmemory".to_owned(), value.clone());
        }
        if let Some(master) = master_of(&fields) {
            fields.insert("master_addr".to_owned(), master);
        }
        fields
    }
}

/// The address that a replica's `INFO` names as its master.
pub fn master_of(info: &Fields) -> Option<String> {
    let (host, port) = (info.get("master_host")?, info.get("master_port")?);
    Some(Addr::new(host.as_str(), port.parse().ok()?).to_string())
}

pub(super) fn fields(text: &str) -> Fields {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    lines(text).map(owned).collect()
}

/// The fields in the order of the text.
fn lines(text: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    let told = text.lines().filter(|line| !line.starts_with('#'));
    told.filter_map(|line| line.trim_end().split_once(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICA: &str =
        "# Server\r\nredis_version:7.0.15\r\n\r\nmaster_host:::1\r\nmaster_port:1\r\nno field\r\n";

    #[test]
    fn a_text_becomes_fields() {
        let fields = fields(REPLICA);
        assert_eq!(fields.len(), 3);
        assert_eq!(fields["redis_version"], "7.0.15");
        assert_eq!(master_of(&fields).unwrap(), "[::1]:1");
    }

    #[test]
    fn what_is_looked_for_is_what_all_fields_show() {
        let info = Info::new(REPLICA);
        assert_eq!(info.field("redis_version"), Some("7.0.15"));
        assert_eq!(info.field("version"), None);
        assert_eq!(info.field("# Server"), None);
        assert_eq!(info.fields()["master_addr"], "[::1]:1");
        assert!(!info.fields().contains_key("maxmemory"));
        let info = Info::new("a:1\naa:3\na:2 \nb:").with_maxmemory(Some("0".to_owned()));
        for (name, value) in [("a", "2"), ("aa", "3"), ("b", "")] {
            assert_eq!(info.field(name), Some(value));
            assert_eq!(info.fields()[name], value);
        }
        assert_eq!(info.fields()["maxmemory"], "0");
    }
}
