//! Names of commands.

use std::fmt::Write as _;

/// Bytes of the longest name that is looked up.
pub const NAME_LEN_MAX: usize = 64;

/// A name without a length that the table could hold. The text goes to the client behind a `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERR handle request, bad command length, too short or too long")]
pub struct BadName;

/// How names are shown.
#[derive(Clone, Copy, Debug)]
pub struct Name;

impl Name {
    /// A name for an error: ASCII letters in upper case, bytes that are not printable ASCII as
    /// escapes so that the text fits into one line, at most [`NAME_LEN_MAX`] bytes of it.
    pub fn shown(name: &[u8]) -> String {
        let mut shown = String::with_capacity(name.len().min(NAME_LEN_MAX));
        for byte in name.iter().take(NAME_LEN_MAX) {
            match byte.to_ascii_uppercase() {
                byte @ b' '..=b'~' => shown.push(char::from(byte)),
                other => {
                    // Writing to a string cannot fail.
                    let _ = write!(shown, "{}", other.escape_ascii());
                }
            }
        }
        shown
    }
}
