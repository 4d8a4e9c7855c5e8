//! The files of the repository.

use std::path::{Path, PathBuf};

/// Directories that hold nothing of ours.
const SKIPPED: &[&str] = &["target", "run", ".git", "corpus", "artifacts"];

/// A text file.
pub struct File {
    /// From the root of the repository.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// All text files of the repository.
pub struct Tree {
    /// The root of the repository.
    pub root: PathBuf,
    /// Sorted by path.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads every file that is text.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap()
            .to_owned();
        let mut paths = Vec::new();
        walk(&root, &mut paths);
        paths.sort();
        let files = paths.iter().filter_map(|path| {
            let text = String::from_utf8(std::fs::read(path).ok()?).ok()?;
            let path = path.strip_prefix(&root).unwrap().to_str()?.to_owned();
            Some(File { path, text })
        });
        let files: Vec<_> = files.collect();
        assert!(files.len() > 50, "found only {} files", files.len());
        Self { root, files }
    }

    /// Files whose name ends in one of `extensions`; an empty one stands for none.
    pub fn with_extension<'a>(
        &'a self,
        extensions: &'a [&'a str],
    ) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| {
            let extension = Path::new(&file.path).extension();
            let extension = extension.map_or("", |text| text.to_str().unwrap_or(""));
            extensions.contains(&extension)
        })
    }

    /// Lines of such files with their place.
    pub fn lines<'a>(
        &'a self,
        extensions: &'a [&'a str],
    ) -> impl Iterator<Item = (String, &'a str)> {
        self.with_extension(extensions).flat_map(|file| {
            let lines = file.text.split('\n').enumerate();
            lines.map(|(index, line)| (format!("{}:{}", file.path, index + 1), line))
        })
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let skipped = SKIPPED.iter().any(|skipped| name == *skipped);
        if path.is_dir() && !path.is_symlink() {
            if !skipped {
                walk(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Fails and names every place.
pub fn fail_if_any(what: &str, places: impl Iterator<Item = String>) {
    let places: Vec<_> = places.collect();
    assert!(places.is_empty(), "{what}:\n  {}", places.join("\n  "));
}
