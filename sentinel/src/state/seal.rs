//! Telling a whole state file from a damaged one.
//!
//! A file of a state directory ends with a line that carries a checksum of all before it. One that
//! was cut off, overwritten or edited does not pass, whatever is left in it. The version before
//! the last write is kept beside it: old, so the votes given since are not in it, but better than
//! nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the last line starts with.
const MARK: &str = "# checksum ";

/// The text with its last line.
pub fn seal(text: &str) -> String {
    let sum = crc32fast::hash(text.as_bytes());
    format!("{text}{MARK}{sum:08x}\n")
}

/// The text without its last line, if it is the one that was sealed.
pub fn open(sealed: &str) -> Option<&str> {
    let at = sealed.rfind(MARK)?;
    let text = sealed.get(..at)?;
    (seal(text) == sealed).then_some(text)
}

/// Where the version before the last write is kept.
pub fn previous_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".prev");
    name.into()
}

/// What a state directory holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing: it is new, or somebody emptied it.
    Nothing,
    /// The state as it was written last.
    Whole(String),
    /// The state before the last write; what is wrong with the last one.
    Previous(String, String),
}

/// No version can be used; what is wrong.
#[derive(Debug, thiserror::Error)]
#[error(
    "the state in {path} cannot be used: {why}. Move the file away to start without it: the \
     sentinel then takes the masters from its config file, and gives no vote before it has heard \
     from the others"
)]
pub struct Damaged {
    path: String,
    why: String,
}

/// Reads the state file, or the version before it.
///
/// # Errors
/// There is a state, but no whole version of it.
pub fn read(path: &Path) -> Result<Stored, Damaged> {
    let last = read_one(path);
    let why = match last {
        Ok(Some(text)) => return Ok(Stored::Whole(text)),
        Ok(None) => "it is missing".to_owned(),
        Err(ref why) => why.clone(),
    };
    match (read_one(&previous_path(path)), last) {
        (Ok(Some(text)), _) => Ok(Stored::Previous(text, why)),
        (_, Ok(_)) => Ok(Stored::Nothing),
        (_, Err(_)) => Err(Damaged {
            path: path.display().to_string(),
            why,
        }),
    }
}

fn read_one(path: &Path) -> Result<Option<String>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let text = String::from_utf8(bytes).ok();
    let whole = text.as_deref().and_then(open).map(str::to_owned);
    let damaged = || "it is cut off or was changed (its checksum is wrong or missing)".to_owned();
    whole.map(Some).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_text_passes() {
        let text = "sentinel myid 1\nsentinel current-epoch 17\n";
        let sealed = seal(text);
        assert_eq!(open(&sealed), Some(text));
        for end in 0..sealed.len() {
            assert_eq!(open(&sealed[..end]), None, "cut off after {end} bytes");
        }
        assert_eq!(open(&sealed.replace("17", "18")), None);
        assert_eq!(open(&format!("{sealed}# more\n")), None);
        assert_eq!(open(""), None);
    }

    #[test]
    fn the_version_before_is_the_last_resort() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert_eq!(read(&path).unwrap(), Stored::Nothing);
        fs::write(previous_path(&path), seal("old\n")).unwrap();
        assert!(matches!(read(&path).unwrap(), Stored::Previous(text, _) if text == "old\n"));
        fs::write(&path, seal("new\n")).unwrap();
        assert_eq!(read(&path).unwrap(), Stored::Whole("new\n".into()));
        fs::write(&path, "").unwrap();
        assert!(matches!(read(&path).unwrap(), Stored::Previous(..)));
        fs::write(previous_path(&path), "junk").unwrap();
        let refused = read(&path).unwrap_err().to_string();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
    }
}
