//! What is wrong with the settings, ready to be printed.

use std::fmt;

/// Everything that is wrong with one file and the flags beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub(super) source: String,
    pub(super) lines: Vec<String>,
}

impl Problems {
    pub(super) fn one(source: &str, line: impl Into<String>) -> Self {
        Self {
            source: source.to_owned(),
            lines: vec![line.into()],
        }
    }

    /// One sentence for each problem.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.lines.as_slice() {
            return write!(f, "{}: {only}", self.source);
        }
        write!(f, "{}: {} problems", self.source, self.lines.len())?;
        self.lines
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Problems {}

/// The known key that `wanted` was most likely meant to be.
pub(super) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close_enough = (wanted.len() / 3).max(2);
    known
        .map(|key| (distance(wanted, key), key))
        .filter(|(distance, _)| *distance <= close_enough)
        .min()
        .map(|(_, key)| key)
}

/// How many insertions, deletions and replacements make `b` out of `a`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_a_near_key_is_suggested() {
        let known = ["product_name", "product_auth", "admin_addr"];
        assert_eq!(
            nearest("prodct_name", known.into_iter()),
            Some("product_name")
        );
        assert_eq!(nearest("admin_adr", known.into_iter()), Some("admin_addr"));
        assert_eq!(nearest("zzz", known.into_iter()), None);
    }
}
