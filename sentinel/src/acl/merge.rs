//! Selectors that were split at blanks: `(+ping` and `~x)` are one rule.

use std::borrow::Cow;

/// A parenthesis that is never closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unmatched parenthesis in acl selector starting at '{0}'.")]
pub struct Unmatched(pub String);

/// The rules, each selector in one piece.
pub fn selectors<'a>(words: &[&'a [u8]]) -> Result<Vec<Cow<'a, [u8]>>, Unmatched> {
    let mut rules: Vec<Cow<'a, [u8]>> = Vec::new();
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for &word in words {
        match open.take() {
            None if word.starts_with(b"(") && !word.ends_with(b")") => {
                open = Some((word, word.to_vec()));
            }
            None => rules.push(Cow::Borrowed(word)),
            Some((first, mut rule)) => {
                rule.push(b' ');
                rule.extend_from_slice(word);
                if word.ends_with(b")") {
                    rules.push(Cow::Owned(rule));
                } else {
                    open = Some((first, rule));
                }
            }
        }
    }
    match open {
        None => Ok(rules),
        Some((first, _)) => Err(Unmatched(String::from_utf8_lossy(first).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(line: &str) -> Result<Vec<String>, Unmatched> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let text = |rule: &Cow<'_, [u8]>| String::from_utf8_lossy(rule).into_owned();
        selectors(&words).map(|rules| rules.iter().map(text).collect())
    }

    #[test]
    fn a_selector_is_one_rule() {
        let rules = merged("on (+ping ~x) () ( +role )").unwrap();
        assert_eq!(rules, ["on", "(+ping ~x)", "()", "( +role )"]);
        assert_eq!(merged("on (+ping ~x"), Err(Unmatched("(+ping".into())));
    }
}
