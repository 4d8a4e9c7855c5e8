//! Epochs: the numbers that order every change of a group's master.
//!
//! A config epoch comes out of a sentinel election and is carried by everything that names a
//! master. Nobody applies a topology with a lower epoch than the one it holds.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A config or election epoch. Larger is newer; zero means "never decided by an election".
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a configuration that no election has touched.
    pub const ZERO: Self = Self(0);

    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
