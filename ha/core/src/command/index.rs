//! Where in the table a name is: a hash table that is laid out at compile time.
//!
//! A lookup is on the way of every request. The hash takes whole words of the zero-padded name, so
//! it costs the same for any name, and most lookups compare one row.

use super::table::TABLE;
use super::{NAME_LEN_MAX, Row};

/// Places; a power of two, about four for each row.
const PLACES: usize = 1024;

/// Bytes that are hashed: as many as the longest name of the table has, in whole words.
const HASHED: usize = 32;

const EMPTY: u16 = u16::MAX;

/// For each hash, the row that is there; a taken place sends a row to the next one.
static INDEX: [u16; PLACES] = build();

/// The row of an upper-case name, which is in `padded` with zeros behind it.
#[inline]
pub(super) fn find(padded: &[u8; NAME_LEN_MAX], len: usize) -> Option<(u16, &'static Row)> {
    let mut place = hash(padded);
    loop {
        let row = INDEX[place];
        if row == EMPTY {
            return None;
        }
        let found = &TABLE[usize::from(row)];
        if found.name.as_bytes() == &padded[..len] {
            return Some((row, found));
        }
        place = (place + 1) % PLACES;
    }
}

#[inline]
const fn hash(padded: &[u8; NAME_LEN_MAX]) -> usize {
    // An odd constant without a pattern: 2^64 over the golden ratio.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum: u64 = 0;
    let mut at = 0;
    while at < HASHED {
        let (_, rest) = padded.split_at(at);
        if let Some(word) = rest.first_chunk::<8>() {
            sum = (sum.rotate_left(29) ^ u64::from_le_bytes(*word)).wrapping_mul(MIX);
        }
        at += 8;
    }
    (sum >> (64 - PLACES.trailing_zeros())) as usize
}

const fn build() -> [u16; PLACES] {
    let mut index = [EMPTY; PLACES];
    let mut row = 0;
    while row < TABLE.len() {
        let mut place = hash(&padded(TABLE[row].name.as_bytes()));
        while index[place] != EMPTY {
            place = (place + 1) % PLACES;
        }
        index[place] = row as u16;
        row += 1;
    }
    index
}

const fn padded(name: &[u8]) -> [u8; NAME_LEN_MAX] {
    assert!(name.len() <= HASHED, "raise HASHED");
    let mut bytes = [0; NAME_LEN_MAX];
    let mut at = 0;
    while at < name.len() {
        bytes[at] = name[at];
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_near_their_place() {
        let distance = |name: &str| {
            let first = hash(&padded(name.as_bytes()));
            let step = (0..PLACES).find(|step| {
                let row = INDEX[(first + step) % PLACES];
                TABLE
                    .get(usize::from(row))
                    .is_some_and(|row| row.name == name)
            });
            step.unwrap()
        };
        assert!(TABLE.iter().all(|row| distance(row.name) <= 4));
    }
}
