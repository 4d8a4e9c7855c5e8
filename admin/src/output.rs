//! What goes to stdout: JSON in the form of Codis, and aligned status lines.

use std::io::{ErrorKind, Write};

use codis_core::json;
use serde::Serialize;
use serde_json::Value;

/// What an action that came to its end has to say.
#[derive(Debug)]
pub enum Answer {
    /// It is done; as text there is nothing to add.
    Done,
    /// A value, JSON in either form of output.
    Json(Value),
    /// Lines for people, and the same as a value.
    Lines {
        /// Ends in a line break.
        text: String,
        /// For `--output=json`.
        value: Value,
    },
    /// It was printed while it was done.
    Printed,
}

impl Answer {
    /// A value, JSON in either form of output.
    ///
    /// # Errors
    /// It has no form in JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<Self> {
        Ok(Self::Json(serde_json::to_value(value)?))
    }

    /// Lines for people, and the same as a value.
    ///
    /// # Errors
    /// The value has no form in JSON.
    pub fn lines<T: Serialize + ?Sized>(text: String, value: &T) -> anyhow::Result<Self> {
        let value = serde_json::to_value(value)?;
        Ok(Self::Lines { text, value })
    }

    /// Prints it.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn show(&self, as_json: bool) -> anyhow::Result<()> {
        match self {
            Self::Done if as_json => print_json("OK"),
            Self::Done | Self::Printed => Ok(()),
            Self::Lines { text, .. } if !as_json => print(text.as_bytes()),
            Self::Json(value) | Self::Lines { value, .. } => print_json(value),
        }
    }
}

fn print_json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    let mut text = json::encode(value);
    text.push(b'\n');
    print(&text)
}

/// Prints bytes. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// Stdout cannot be written.
pub fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Lines of cells, each column as wide as its widest cell, without trailing blanks.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width_of(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join(" ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["a".to_owned(), "b".to_owned()],
            vec!["long".to_owned(), String::new()],
        ];
        assert_eq!(aligned(&rows), "a    b\nlong\n");
    }
}
