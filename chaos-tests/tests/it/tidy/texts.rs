//! Words and links in texts. Words that must not occur are put together here from halves, so that
//! this file does not hold them.

/// Extensions of the files that are held to the rules of texts; no extension is a script or the
/// Makefile.
pub const OURS: &[&str] = &["rs", "js", "sh", "toml", "md", "conf", ""];

/// Marks of unfinished work.
pub fn leftovers() -> Vec<String> {
    [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("todo", "!("),
        ("unimplemented", "!("),
    ]
    .iter()
    .map(|(head, tail)| format!("{head}{tail}"))
    .collect()
}

/// Directories that are somebody's own.
pub fn machine_roots() -> Vec<String> {
    ["work", "home", "root", "Users"]
        .iter()
        .map(|name| format!("/{name}/"))
        .collect()
}

/// Whether `line` names a file below `root`: the slash must start a path, not continue one.
pub fn has_path_below(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-/}".contains(c))
    })
}

/// Targets of the links of a Markdown text that lead to files.
pub fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("](") {
        let end = after.find(')').unwrap_or(after.len());
        let target = after[..end].split('#').next().unwrap_or("");
        if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
            found.push(target.to_owned());
        }
        rest = &after[end..];
    }
    found
}

#[test]
fn only_links_to_files_are_followed() {
    let text = "[a](x.md#part) [b](https://h/y) [c](#here) [d](dir/)";
    assert_eq!(links(text), ["x.md", "dir/"]);
}

#[test]
fn a_machine_path_is_told_from_a_part_of_one() {
    let root = &machine_roots()[0];
    assert!(has_path_below(&format!("at {root}x"), root));
    assert!(!has_path_below(&format!("net{root}x"), root));
}
