//! Where in the table a name is: hash tables that are laid out at compile time.
//!
//! A lookup is on the way of every request. Most names have at most eight bytes: those fit one
//! word, which is put into upper case, hashed and compared as a whole. The other names are hashed
//! word by word.

use super::row::Row;
use super::table::TABLE;

/// Places in each of the two tables; a power of two, several for each row.
const PLACES: usize = 2048;

/// Bytes of a name that fits one word.
const SHORT: usize = 8;

/// As many bytes as the longest name of the table has, in whole words.
const LONG: usize = 32;

const EMPTY: u16 = u16::MAX;

/// A name that fits one word.
#[derive(Clone, Copy, Debug)]
struct Short {
    word: u64,
    row: u16,
    /// Bytes of the name; a name may end in zeros, so the word does not tell. 0 is an empty place.
    len: u8,
}

/// For each hash the short name that is there; a taken place sends a name to the next one.
static SHORTS: [Short; PLACES] = shorts();

/// For each hash the row that is there; a taken place sends a name to the next one.
static LONGS: [u16; PLACES] = longs();

/// The row of a name of any case that is not empty.
#[inline]
pub(super) fn find(name: &[u8]) -> Option<(u16, &'static Row)> {
    if name.len() > SHORT {
        return find_long(name);
    }
    let word = upper(word(name));
    let mut place = place(mix(0, word));
    loop {
        let there = SHORTS[place];
        if there.word == word && usize::from(there.len) == name.len() {
            return Some((there.row, &TABLE[usize::from(there.row)]));
        }
        if there.len == 0 {
            return None;
        }
        place = (place + 1) % PLACES;
    }
}

fn find_long(name: &[u8]) -> Option<(u16, &'static Row)> {
    if name.len() > LONG {
        return None;
    }
    let mut padded = [0; LONG];
    padded[..name.len()].copy_from_slice(name);
    padded.make_ascii_uppercase();
    let mut place = hash(&padded);
    loop {
        let row = LONGS[place];
        if row == EMPTY {
            return None;
        }
        let found = &TABLE[usize::from(row)];
        if found.name.as_bytes() == &padded[..name.len()] {
            return Some((row, found));
        }
        place = (place + 1) % PLACES;
    }
}

/// The bytes of a name of one to eight bytes, zeros behind them.
#[inline]
const fn word(name: &[u8]) -> u64 {
    if let Some(eight) = name.first_chunk::<8>() {
        return u64::from_le_bytes(*eight);
    }
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let last = u32::from_le_bytes(*last) as u64;
        let known = 8 * (name.len() as u32 - 4);
        return u32::from_le_bytes(*first) as u64 | (last << known);
    }
    let last = name.len() - 1;
    let middle = last.div_ceil(2);
    let (first, middle_byte, last_byte) = (name[0] as u64, name[middle] as u64, name[last] as u64);
    first | (middle_byte << (8 * middle)) | (last_byte << (8 * last))
}

/// ASCII letters in upper case, in all eight bytes at once.
#[inline]
const fn upper(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = 0x80 * ONES;
    let low = word & !HIGH;
    let from_a = low + (0x80 - b'a' as u64) * ONES;
    let beyond_z = low + (0x80 - b'z' as u64 - 1) * ONES;
    let letters = from_a & !beyond_z & !word & HIGH;
    word ^ (letters >> 2)
}

#[inline]
const fn mix(sum: u64, word: u64) -> u64 {
    // An odd constant without a pattern, a multiplier of SplitMix64: of those that were tried, the
    // one that spreads these names best.
    const MIX: u64 = 0x94d0_49bb_1331_11eb;
    (sum.rotate_left(29) ^ word).wrapping_mul(MIX)
}

#[inline]
const fn place(sum: u64) -> usize {
    (sum >> (64 - PLACES.trailing_zeros())) as usize
}

#[inline]
const fn hash(padded: &[u8; LONG]) -> usize {
    let mut sum = 0;
    let mut at = 0;
    while at < LONG {
        let (_, rest) = padded.split_at(at);
        if let Some(eight) = rest.first_chunk::<8>() {
            sum = mix(sum, u64::from_le_bytes(*eight));
        }
        at += 8;
    }
    place(sum)
}

const fn shorts() -> [Short; PLACES] {
    let empty = Short {
        word: 0,
        row: EMPTY,
        len: 0,
    };
    let mut index = [empty; PLACES];
    let mut row = 0;
    while row < TABLE.len() {
        let name = TABLE[row].name.as_bytes();
        if name.len() <= SHORT {
            let word = word(name);
            let mut place = place(mix(0, word));
            while index[place].len != 0 {
                place = (place + 1) % PLACES;
            }
            let (row, len) = (row as u16, name.len() as u8);
            index[place] = Short { word, row, len };
        }
        row += 1;
    }
    index
}

const fn longs() -> [u16; PLACES] {
    let mut index = [EMPTY; PLACES];
    let mut row = 0;
    while row < TABLE.len() {
        let name = TABLE[row].name.as_bytes();
        if name.len() > SHORT {
            let mut place = hash(&padded(name));
            while index[place] != EMPTY {
                place = (place + 1) % PLACES;
            }
            index[place] = row as u16;
        }
        row += 1;
    }
    index
}

const fn padded(name: &[u8]) -> [u8; LONG] {
    assert!(name.len() <= LONG, "raise LONG");
    let mut bytes = [0; LONG];
    let mut at = 0;
    while at < name.len() {
        bytes[at] = name[at];
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_lie_near_their_place() {
        for (number, row) in TABLE.iter().enumerate() {
            let name = row.name.as_bytes();
            let short = name.len() <= SHORT;
            let first = if short {
                place(mix(0, word(name)))
            } else {
                hash(&padded(name))
            };
            let is_at = |place: usize| {
                let there = if short {
                    SHORTS[place].row
                } else {
                    LONGS[place]
                };
                usize::from(there) == number
            };
            let step = (0..PLACES).find(|step| is_at((first + step) % PLACES));
            assert!(step.unwrap() <= 2, "{}: {step:?}", row.name);
        }
    }

    proptest! {
        /// A word keeps every byte of a name, and no byte of it but letters changes its case.
        #[test]
        fn a_word_is_the_name_in_upper_case(name in prop::collection::vec(any::<u8>(), 1..=8)) {
            let bytes = upper(word(&name)).to_le_bytes();
            prop_assert_eq!(&bytes[..name.len()], &name.to_ascii_uppercase()[..]);
            prop_assert!(bytes[name.len()..].iter().all(|byte| *byte == 0));
        }

        /// The table answers as a search through all names does.
        #[test]
        fn lookups_agree_with_a_search(name in "[a-zA-Z.\\-_:\0]{1,34}") {
            let wanted = TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(&name));
            prop_assert_eq!(find(name.as_bytes()).map(|(_, row)| row), wanted);
        }
    }
}
