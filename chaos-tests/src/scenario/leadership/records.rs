//! What the coordinator holds, to see who changes it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;

/// Every record, by its path.
pub type Records = BTreeMap<String, Vec<u8>>;

/// Reads all records of the cluster whose state directory this is. What goes while it is read is
/// not there.
pub fn read(state: &Path) -> anyhow::Result<Records> {
    let root = state.join("coordinator").join("data");
    let mut records = Records::new();
    read_dir(&root, &root, &mut records).with_context(|| format!("list {}", root.display()))?;
    Ok(records)
}

fn read_dir(root: &Path, dir: &Path, records: &mut Records) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let done = if path.is_dir() {
            read_dir(root, &path, records)
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).display();
            fs::read(&path).map(|text| drop(records.insert(name.to_string(), text)))
        };
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
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

    #[test]
    fn a_record_that_goes_while_it_is_read_is_not_there() {
        let state = tempfile::tempdir().unwrap();
        let data = state.path().join("coordinator/data");
        fs::create_dir_all(data.join("p")).unwrap();
        std::os::unix::fs::symlink("gone", data.join("p/topom")).unwrap();
        assert_eq!(read(state.path()).unwrap(), Records::new());
    }
}
