//! Randomness of the operating system: ids and seeds.

use std::fs::File;
use std::io::{self, Read};

fn fill(buffer: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(buffer)
}

/// Twice `bytes` lower-case hex characters.
pub fn hex(bytes: usize) -> io::Result<String> {
    let mut buffer = vec![0; bytes];
    fill(&mut buffer)?;
    Ok(buffer.iter().map(|b| format!("{b:02x}")).collect())
}

/// A seed for a generator.
pub fn seed() -> io::Result<u64> {
    let mut buffer = [0; 8];
    fill(&mut buffer)?;
    Ok(u64::from_le_bytes(buffer))
}
