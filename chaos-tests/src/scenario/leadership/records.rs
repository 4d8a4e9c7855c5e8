//! What the coordinator holds, to see who changes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Every record, by its path.
pub type Records = BTreeMap<String, Vec<u8>>;

/// Reads all records of the cluster whose state directory this is.
pub fn read(state: &Path) -> anyhow::Result<Records> {
    let root = state.join("coordinator").join("data");
    let mut records = Records::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap_or(&path).display();
                let text = fs::read(&path).with_context(|| format!("read {name}"))?;
                records.insert(name.to_string(), text);
            }
        }
    }
    Ok(records)
}

/// The paths of records that came, went or are others.
pub fn changed(before: &Records, after: &Records) -> Vec<String> {
    let paths = before.keys().chain(after.keys());
    let mut changed: Vec<_> = paths
        .filter(|path| before.get(*path) != after.get(*path))
        .cloned()
        .collect();
    changed.sort_unstable();
    changed.dedup();
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen_once() {
        let of = |pairs: &[(&str, &str)]| -> Records {
            let pairs = pairs.iter();
            pairs
                .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
                .collect()
        };
        let before = of(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = of(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(changed(&before, &after), ["b", "c", "d"]);
        assert!(changed(&before, &before).is_empty());
    }

    #[test]
    fn records_are_found_at_any_depth() {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("coordinator/data/codis3/p");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("topom"), "x").unwrap();
        let found = read(state.path()).unwrap();
        assert_eq!(found["codis3/p/topom"], b"x");
        assert!(read(Path::new("/nowhere")).is_err());
    }
}
