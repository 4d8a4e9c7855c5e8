//! How far a slot is, for people.

/// How far a slot is that is under way. Its state and its groups are in its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The slot.
    pub slot: u16,
    /// The database whose keys are moved.
    pub db: u32,
    /// Keys that were left there after the last command.
    pub left: Option<u64>,
    /// Tries in a row that failed.
    pub failures: u32,
    /// Why the last of them did.
    pub error: String,
}
