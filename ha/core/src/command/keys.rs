//! Which arguments of a command are keys.
//!
//! A specification is data, [`Keys`]; [`Keys::positions`] applies it to a request. Most commands
//! have one key at a fixed place, and nothing is computed for those. Where a request is malformed
//! (a number of keys that is no number, or more keys than arguments) there are no positions, and
//! the server that the request goes to says what is wrong.

use std::iter::{Chain, StepBy};
use std::ops::Range;
use std::option;

use crate::slot::SlotId;

/// Where the keys of a command are. Argument 0 is the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Nowhere.
    None,
    /// In that argument.
    One(u8),
    /// From argument `first` to `last`, each `step`-th.
    Range {
        /// The first one.
        first: u8,
        /// The last one; counted from the end when negative, -1 being the last argument.
        last: i8,
        /// From one to the next.
        step: u8,
    },
    /// As many as argument `count` says, from the one behind it, each `step`-th.
    Counted {
        /// One more key, the destination; 0 when there is none.
        store: u8,
        /// The argument with the number.
        count: u8,
        /// From one to the next.
        step: u8,
    },
    /// The first half of what follows the word `STREAMS`.
    Streams,
    /// Argument 1, and the one behind the last of `words`, if there is one.
    Stored {
        /// Where options begin.
        from: u8,
        /// Options that name a destination, in upper case.
        words: &'static [&'static str],
        /// Other options with as many values, so that no value is taken for an option.
        valued: &'static [(&'static str, u8)],
        /// Those of them whose value is a pattern that names more keys.
        patterns: &'static [&'static str],
    },
}

/// The arguments of a request, name first.
pub trait Args {
    /// How many there are, with the name.
    fn count(&self) -> usize;

    /// One of them; empty when there is none at this index.
    fn get(&self, index: usize) -> &[u8];
}

impl<T: AsRef<[u8]>> Args for [T] {
    fn count(&self) -> usize {
        self.len()
    }

    fn get(&self, index: usize) -> &[u8] {
        self.get(index).map_or(&[], AsRef::as_ref)
    }
}

/// Indexes of keys in the order in which Redis lists them.
pub type Positions =
    Chain<Chain<option::IntoIter<usize>, StepBy<Range<usize>>>, option::IntoIter<usize>>;

impl Keys {
    /// Whether a request may have several.
    pub const fn may_be_several(self) -> bool {
        !matches!(self, Self::None | Self::One(_))
    }

    /// Which argument routes a request: a key, or argument 1 for a command without keys. 0 when
    /// that depends on the request.
    pub const fn route(self) -> u8 {
        match self {
            Self::None | Self::Stored { .. } => 1,
            Self::One(key) => key,
            Self::Range { first, .. } => first,
            Self::Counted { count, .. } => count + 1,
            Self::Streams => 0,
        }
    }

    /// The indexes of all keys of a request; `None` when it is malformed.
    pub fn positions<A: Args + ?Sized>(self, args: &A) -> Option<Positions> {
        let len = args.count();
        match self {
            Self::None => Some(positions(None, 0..0, 1, None)),
            Self::One(key) => {
                let key = usize::from(key);
                Some(positions(None, key.min(len)..len.min(key + 1), 1, None))
            }
            Self::Range { first, last, step } => {
                let end = match usize::try_from(last) {
                    Ok(last) => len.min(last + 1),
                    Err(_) => (len + 1).saturating_sub(usize::from(last.unsigned_abs())),
                };
                let first = usize::from(first).min(end);
                Some(positions(None, first..end, step, None))
            }
            Self::Counted { store, count, step } => {
                let (count, step) = (usize::from(count), usize::from(step));
                let first = count + 1;
                let end = counted(args.get(count))?
                    .checked_mul(step)?
                    .checked_add(first)
                    .filter(|end| *end <= len)?;
                let store = (store > 0).then_some(usize::from(store));
                Some(positions(store, first..end, step as u8, None))
            }
            Self::Streams => {
                let first = scan_streams(args).keys?;
                let half = (len - first) / 2;
                let even = (len - first).is_multiple_of(2) && half > 0;
                even.then(|| positions(None, first..first + half, 1, None))
            }
            Self::Stored { words, .. } => {
                let mut stored = None;
                self.each_option(args, |option, value| {
                    if value < len && words.iter().any(|word| is(args, option, word)) {
                        stored = Some(value);
                    }
                });
                let first = 1.min(len)..len.min(2);
                Some(positions(None, first, 1, stored))
            }
        }
    }

    /// Whether a request names keys by patterns that may be in other slots than `slot`.
    pub(super) fn has_stray_patterns<A: Args + ?Sized>(self, args: &A, slot: SlotId) -> bool {
        let Self::Stored { patterns, .. } = self else {
            return false;
        };
        let mut stray = false;
        self.each_option(args, |option, value| {
            if value < args.count() && patterns.iter().any(|word| is(args, option, word)) {
                stray |= is_stray(args.get(value), slot);
            }
        });
        stray
    }

    /// Gives each option that takes values, with the index of what follows it.
    fn each_option<A: Args + ?Sized>(self, args: &A, mut each: impl FnMut(usize, usize)) {
        let Self::Stored {
            from,
            words,
            valued,
            ..
        } = self
        else {
            return;
        };
        let mut at = usize::from(from);
        while at < args.count() {
            let stores = words.iter().any(|word| is(args, at, word));
            let value = valued.iter().find(|(word, _)| is(args, at, word));
            if stores || value.is_some() {
                each(at, at + 1);
            }
            at += 1 + value.map_or(usize::from(stores), |(_, values)| usize::from(*values));
        }
    }

    /// The index of the argument that routes a request, which may be beyond its end.
    pub(super) fn route_of<A: Args + ?Sized>(self, args: &A) -> usize {
        match self {
            // Without keys there is nothing to route by: like an empty key.
            Self::Streams => scan_streams(args).keys.unwrap_or(args.count()),
            Self::None
            | Self::One(_)
            | Self::Range { .. }
            | Self::Counted { .. }
            | Self::Stored { .. } => usize::from(self.route()),
        }
    }
}

fn positions(
    first: Option<usize>,
    range: Range<usize>,
    step: u8,
    last: Option<usize>,
) -> Positions {
    let range = range.step_by(usize::from(step.max(1)));
    first.into_iter().chain(range).chain(last)
}

/// A number of keys, as strict as Redis reads one: no sign, blank or leading zero.
fn counted(digits: &[u8]) -> Option<usize> {
    let plain = digits == b"0"
        || (digits.first().is_some_and(|first| *first != b'0')
            && digits.iter().all(u8::is_ascii_digit));
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    text.parse().ok()
}

fn is<A: Args + ?Sized>(args: &A, index: usize, word: &str) -> bool {
    args.get(index).eq_ignore_ascii_case(word.as_bytes())
}

/// Whether the keys that a pattern makes may be in other slots than `slot`. They are in one slot
/// when a tag stands in front of the `*`; without a `*` there are none.
fn is_stray(pattern: &[u8], slot: SlotId) -> bool {
    let Some(star) = memchr::memchr(b'*', pattern) else {
        return false;
    };
    let fixed = &pattern[..star];
    let open = memchr::memchr(b'{', fixed);
    let has_tag = open.is_some_and(|open| memchr::memchr(b'}', &fixed[open..]).is_some());
    !has_tag || SlotId::of_key(fixed) != slot
}

/// What the options of `XREAD` and `XREADGROUP` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streams {
    /// The first argument behind `STREAMS`.
    pub keys: Option<usize>,
    /// Whether `BLOCK` is one of the options.
    pub blocks: bool,
}

/// Reads options up to `STREAMS`. One that is not known counts as one word, so that no `BLOCK`
/// behind it is missed.
pub(super) fn scan_streams<A: Args + ?Sized>(args: &A) -> Streams {
    let mut at = 1;
    let mut blocks = false;
    while at < args.count() {
        let is = |word: &str| args.get(at).eq_ignore_ascii_case(word.as_bytes());
        if is("STREAMS") {
            let keys = Some(at + 1);
            return Streams { keys, blocks };
        }
        blocks |= is("BLOCK");
        at += if is("GROUP") {
            3
        } else if is("BLOCK") || is("COUNT") || is("CLAIM") {
            2
        } else {
            1
        };
    }
    Streams { keys: None, blocks }
}

#[cfg(test)]
mod tests;
