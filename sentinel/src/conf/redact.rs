//! Lines of a config file without the secrets in them, for errors and logs.

/// What stands for a secret.
const HIDDEN: &str = "***";

/// Directives of which every argument is a secret.
const SECRET: [&str; 4] = [
    "masterauth",
    "requirepass",
    "tls-client-key-file-pass",
    "tls-key-file-pass",
];

/// The line; passwords in it are replaced.
pub fn redact(line: &str) -> String {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let lower = |index: usize| words.get(index).map(|word| word.to_ascii_lowercase());
    let first = lower(0).unwrap_or_default();
    let shown = match (first.as_str(), lower(1).as_deref()) {
        ("user", _) => return redact_rules(&words),
        (first, _) if SECRET.contains(&first) => 1,
        ("sentinel", Some("sentinel-pass")) => 2,
        ("sentinel", Some("auth-pass")) => 3,
        _ => return line.to_owned(),
    };
    let shown = words.iter().take(shown).copied();
    let hidden = words.len().saturating_sub(shown.len()).min(1);
    let hidden = std::iter::repeat_n(HIDDEN, hidden);
    shown.chain(hidden).collect::<Vec<_>>().join(" ")
}

/// The words of a `user` line. A quoted word may hold blanks, so what is like a password hides
/// what follows it up to the next rule.
fn redact_rules(words: &[&str]) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut hiding = false;
    for word in words {
        let bare = word.trim_start_matches(['"', '\'']);
        match bare.chars().next() {
            Some(sign @ ('>' | '<' | '#' | '!')) => {
                hiding = word.starts_with(['"', '\'']);
                out.push(format!("{sign}{HIDDEN}"));
            }
            _ if hiding => hiding = !word.ends_with(['"', '\'']),
            _ => out.push((*word).to_owned()),
        }
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        for (line, shown) in [
            ("port x", "port x"),
            ("requirepass a b", "requirepass ***"),
            ("REQUIREPASS", "REQUIREPASS"),
            ("sentinel auth-pass m a b", "sentinel auth-pass m ***"),
            ("sentinel auth-pass m", "sentinel auth-pass m"),
            ("sentinel sentinel-pass x y", "sentinel sentinel-pass ***"),
            ("user bob on >x #abc +ping", "user bob on >*** #*** +ping"),
            ("user bob \">a b c\" +ping", "user bob >*** +ping"),
        ] {
            assert_eq!(redact(line), shown);
        }
    }
}
