//! Sizes and spans of time as the config files of Codis write them.
//!
//! Both are one decimal number with one unit (`1.5kb`, `500ms`); a size without a unit is in bytes,
//! a span without a unit in seconds. Both are shown with the largest unit that divides them evenly.
//! Negative values can be written and are for the reader of a setting to refuse, with its range.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct ByteSize(i64);

/// A span of time, to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct TimeSpan(i64);

/// Text that is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid bytesize: expected a number with b, kb, mb, gb, tb, pb or nothing, as in 1.5mb")]
pub struct InvalidByteSize;

/// Text that is not a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid timesize: expected a number with ns, us, ms, s, m, h or nothing, as in 1.5s")]
pub struct InvalidTimeSpan;

/// Units from large to small; the first name is the one that is shown.
type Units = &'static [(&'static [&'static str], i64)];

const SIZE_UNITS: Units = &[
    (&["pb", "p"], 1 << 50),
    (&["tb", "t"], 1 << 40),
    (&["gb", "g"], 1 << 30),
    (&["mb", "m"], 1 << 20),
    (&["kb", "k"], 1 << 10),
    (&["", "b"], 1),
];

const NANOS_PER_SECOND: i64 = 1_000_000_000;

const SPAN_UNITS: Units = &[
    (&["h"], 3_600 * NANOS_PER_SECOND),
    (&["m"], 60 * NANOS_PER_SECOND),
    (&["s", ""], NANOS_PER_SECOND),
    (&["ms"], 1_000_000),
    (&["us"], 1_000),
    (&["ns"], 1),
];

impl ByteSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self(bytes)
    }

    /// So many times 1024 bytes, as long as that fits.
    pub const fn from_kib(kib: i64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// So many times 1024 * 1024 bytes, as long as that fits.
    pub const fn from_mib(mib: i64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> i64 {
        self.0
    }

    /// The number of bytes as a length; nothing when negative.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0.max(0)).unwrap_or(usize::MAX)
    }
}

impl TimeSpan {
    /// So many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// So many milliseconds, as long as that fits.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// So many seconds, as long as that fits.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SECOND))
    }

    /// The number of nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The span; nothing when negative.
    pub fn duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for TimeSpan {
    /// A span beyond 292 years becomes that long.
    fn from(span: Duration) -> Self {
        Self(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        read(text, SIZE_UNITS).map(Self).ok_or(InvalidByteSize)
    }
}

impl FromStr for TimeSpan {
    type Err = InvalidTimeSpan;

    fn from_str(text: &str) -> Result<Self, InvalidTimeSpan> {
        read(text, SPAN_UNITS).map(Self).ok_or(InvalidTimeSpan)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, SIZE_UNITS, f)
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, SPAN_UNITS, f)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reader = Reader {
            expected: "a size as text, or a number of bytes",
            read: str::parse,
            whole: |number| Some(Self(number)),
        };
        deserializer.deserialize_any(reader)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reader = Reader {
            expected: "a span of time as text, or a number of seconds",
            read: str::parse,
            whole: |number| number.checked_mul(NANOS_PER_SECOND).map(Self),
        };
        deserializer.deserialize_any(reader)
    }
}

/// Reads text by `read` and integers by `whole`.
struct Reader<T, E> {
    expected: &'static str,
    read: fn(&str) -> Result<T, E>,
    whole: fn(i64) -> Option<T>,
}

impl<T, E: fmt::Display> Visitor<'_> for Reader<T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<D: de::Error>(self, text: &str) -> Result<T, D> {
        (self.read)(text).map_err(D::custom)
    }

    fn visit_i64<D: de::Error>(self, number: i64) -> Result<T, D> {
        let unexpected = de::Unexpected::Signed(number);
        (self.whole)(number).ok_or_else(|| D::invalid_value(unexpected, &self))
    }

    fn visit_u64<D: de::Error>(self, number: u64) -> Result<T, D> {
        let unexpected = de::Unexpected::Unsigned(number);
        let value = i64::try_from(number).ok().and_then(self.whole);
        value.ok_or_else(|| D::invalid_value(unexpected, &self))
    }
}

/// Reads one decimal number and one unit, with any white space around both. The part of the value
/// below one byte or nanosecond is dropped.
fn read(text: &str, units: Units) -> Option<i64> {
    let text = text.trim_matches(is_space);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = unit.trim_start_matches(is_space);
    let (_, unit_value) = units.iter().find(|(names, _)| names.contains(&unit))?;
    let unit_value = u128::from(unit_value.unsigned_abs());

    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    let mut value = u128::from(whole) * unit_value;
    let counted = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
    if !counted.is_empty() {
        let parts = counted.parse::<u128>().ok()?;
        value += parts * unit_value / 10u128.pow(counted.len() as u32);
    }
    let value = i128::try_from(value).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

/// Digits behind the point that are looked at: what comes after them is less than a byte of a
/// petabyte and less than a nanosecond of an hour.
const FRACTION_DIGITS_MAX: usize = 18;

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

fn show(value: i64, units: Units, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let even = units.iter().find(|(_, unit)| value % unit == 0);
    match even {
        Some((names, unit)) if value != 0 => write!(f, "{}{}", value / unit, names[0]),
        Some(_) | None => f.write_str("0"),
    }
}

#[cfg(test)]
mod tests;
