//! Which faults each profile draws, and how often relative to the others.

use crate::profile::Kind;

/// Kinds of faults and their weights.
pub type Weights = &'static [(Kind, u32)];

/// Nothing.
pub const CALM: Weights = &[];

/// See the profile.
pub const CRASH: Weights = &[
    (Kind::CrashSentinel, 6),
    (Kind::CrashMaster, 4),
    (Kind::CrashNode, 2),
];

/// See the profile.
pub const PARTITION: Weights = &[
    (Kind::Isolate, 4),
    (Kind::Split, 4),
    (Kind::Pair, 3),
    (Kind::SlowHost, 1),
    (Kind::Loss, 1),
    (Kind::Resets, 1),
    (Kind::CrashMaster, 1),
];

/// See the profile.
pub const DISK: Weights = &[
    (Kind::RefuseDisk, 4),
    (Kind::SlowDisk, 3),
    (Kind::CrashSentinel, 3),
    (Kind::CrashMaster, 4),
];

/// See the profile.
pub const FREEZE: Weights = &[
    (Kind::FreezeMaster, 4),
    (Kind::FreezeNode, 3),
    (Kind::StallSentinel, 4),
    (Kind::SickNode, 1),
];

/// See the profile.
pub const LOSSY: Weights = &[
    (Kind::Raw, 5),
    (Kind::Loss, 2),
    (Kind::Resets, 1),
    (Kind::CrashMaster, 3),
    (Kind::CrashSentinel, 2),
];

/// See the profile.
pub const OPERATOR: Weights = &[
    (Kind::ForceFailover, 4),
    (Kind::Readd, 3),
    (Kind::Reset, 3),
    (Kind::CrashMaster, 3),
    (Kind::CrashSentinel, 2),
    (Kind::Pair, 1),
];

/// See the profile.
pub const EVERYTHING: Weights = &[
    (Kind::CrashSentinel, 4),
    (Kind::StallSentinel, 2),
    (Kind::RefuseDisk, 2),
    (Kind::SlowDisk, 2),
    (Kind::CrashMaster, 4),
    (Kind::CrashNode, 2),
    (Kind::FreezeMaster, 2),
    (Kind::FreezeNode, 1),
    (Kind::SickNode, 1),
    (Kind::Isolate, 2),
    (Kind::Split, 2),
    (Kind::Pair, 2),
    (Kind::SlowHost, 1),
    (Kind::Loss, 1),
    (Kind::Raw, 1),
    (Kind::Resets, 1),
    (Kind::ForceFailover, 1),
    (Kind::Readd, 1),
    (Kind::Reset, 1),
];

/// See the profile.
pub const MIXED: Weights = &[
    (Kind::CrashSentinel, 4),
    (Kind::StallSentinel, 2),
    (Kind::SlowDisk, 1),
    (Kind::Clock, 1),
    (Kind::StallAt, 1),
    (Kind::CrashMaster, 5),
    (Kind::CrashNode, 2),
    (Kind::FreezeMaster, 2),
    (Kind::FreezeNode, 1),
    (Kind::Isolate, 2),
    (Kind::Split, 2),
    (Kind::Pair, 2),
    (Kind::SlowHost, 1),
    (Kind::Loss, 1),
    (Kind::Resets, 1),
];

/// See the profile.
pub const VOTES: Weights = &[(Kind::CrashMaster, 2), (Kind::FreezeMaster, 2)];

/// See the profile.
pub const STALL: Weights = &[
    (Kind::StallAt, 5),
    (Kind::StallSentinel, 2),
    (Kind::Clock, 3),
    (Kind::CrashMaster, 4),
    (Kind::FreezeMaster, 2),
    (Kind::RefuseDisk, 1),
    (Kind::CrashSentinel, 1),
];

/// See the profile.
pub const RESTART: Weights = &[
    (Kind::Bounce, 6),
    (Kind::CrashMaster, 1),
    (Kind::CrashNode, 2),
    (Kind::FreezeNode, 1),
    (Kind::CrashSentinel, 1),
    (Kind::Pair, 1),
];

/// See the profile.
pub const SICK: Weights = &[
    (Kind::RefuseWrites, 5),
    (Kind::SickNode, 2),
    (Kind::CrashMaster, 2),
    (Kind::FreezeNode, 1),
    (Kind::Isolate, 1),
];

/// See the profile.
pub const FORGET: Weights = &[
    (Kind::CrashSentinel, 4),
    (Kind::CrashNode, 4),
    (Kind::CrashMaster, 3),
    (Kind::Isolate, 3),
    (Kind::Split, 2),
    (Kind::FreezeNode, 2),
    (Kind::StallSentinel, 1),
];

/// See the profile.
pub const AMNESIA: Weights = &[
    (Kind::LoseState, 6),
    (Kind::CrashMaster, 4),
    (Kind::FreezeMaster, 2),
    (Kind::CrashSentinel, 2),
    (Kind::Isolate, 1),
    (Kind::Pair, 2),
    (Kind::SlowHost, 1),
];
