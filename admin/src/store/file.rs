//! Files named on the command line; `-` is the standard input.

use std::io::Read;

use anyhow::Context;

/// The bytes of a file.
pub fn read(file: &str) -> anyhow::Result<Vec<u8>> {
    if file != "-" {
        return std::fs::read(file).with_context(|| format!("read {file}"));
    }
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .context("read the standard input")?;
    Ok(text)
}
