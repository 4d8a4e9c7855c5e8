//! Profiles: which faults a run meets, and how often.

use std::fmt;

use crate::check::Rule;
use crate::family::{Family, Outcome, Sink};
use crate::outcome::Stats;
use crate::plan::Plan;
use crate::weights::{self, Weights};
use crate::world::{Sabotage, World};

/// A family of runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Profile {
    /// Nothing goes wrong but one master that dies: failover must be fast.
    Calm,
    /// Sentinels die between any two effects, servers die too; what was not persisted is lost.
    Crash,
    /// One-way and two-way partitions, slow hosts, resets, lost packets.
    Partition,
    /// Disks refuse and stall while sentinels and masters die.
    Disk,
    /// Servers are stopped and continued, sentinels stall and wake up late.
    Freeze,
    /// Single messages are lost, doubled and reordered: stricter than TCP.
    Lossy,
    /// An operator forces failovers, resets, removes and adds monitors.
    Operator,
    /// All of it, with clocks that drift by 5 %.
    Everything,
    /// Some sentinels, up to all but one, behave like stock; what strikes is what TCP lets through.
    Mixed,
    /// Even and odd quorums of up to seven that all see the same in the same moment, on lines so
    /// long that whoever stands cannot know of the others: votes split.
    Votes,
    /// Sentinels stop in the midst of what they do, and their clocks jump and stand still.
    Stall,
    /// Masters restart faster than down-after, with all, less or none of their data.
    Restart,
    /// Servers answer and do not work: they refuse writes, or PING itself.
    Sick,
    /// Whoever is gone for some seconds is forgotten, and comes back.
    Forget,
    /// One sentinel at a time comes back without its state, or with an older one.
    Amnesia,
}

/// The kinds of faults, as a profile weighs them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A sentinel dies.
    CrashSentinel,
    /// A sentinel dies and comes back without what its disk held.
    LoseState,
    /// A sentinel's process stops for a while and continues.
    StallSentinel,
    /// A sentinel's process stops around an effect, and continues.
    StallAt,
    /// The clock that a sentinel reads jumps forward, or stands still for a while.
    Clock,
    /// The current master restarts at once.
    Bounce,
    /// The current master refuses writes for a while.
    RefuseWrites,
    /// A disk fails writes.
    RefuseDisk,
    /// A disk takes long.
    SlowDisk,
    /// The current master dies.
    CrashMaster,
    /// Some server dies.
    CrashNode,
    /// The current master stops for a while and continues.
    FreezeMaster,
    /// Some server stops for a while and continues.
    FreezeNode,
    /// A server answers PING with an error for a while.
    SickNode,
    /// A host loses all others, one way or both.
    Isolate,
    /// The hosts fall into two halves, one way or both.
    Split,
    /// Two hosts lose each other, one way or both.
    Pair,
    /// All that a host sends and receives takes long.
    SlowHost,
    /// Packets are lost: connections stall.
    Loss,
    /// Messages are lost, doubled, reordered.
    Raw,
    /// Connections break.
    Resets,
    /// `SENTINEL FAILOVER`.
    ForceFailover,
    /// `SENTINEL REMOVE`, and `SENTINEL MONITOR` some time later.
    Readd,
    /// `SENTINEL RESET`.
    Reset,
}

impl Profile {
    /// How often each kind of fault is drawn, relative to the others.
    pub const fn weights(self) -> Weights {
        match self {
            Self::Calm => weights::CALM,
            Self::Crash => weights::CRASH,
            Self::Partition => weights::PARTITION,
            Self::Disk => weights::DISK,
            Self::Freeze => weights::FREEZE,
            Self::Lossy => weights::LOSSY,
            Self::Operator => weights::OPERATOR,
            Self::Everything => weights::EVERYTHING,
            Self::Mixed => weights::MIXED,
            Self::Votes => weights::VOTES,
            Self::Stall => weights::STALL,
            Self::Restart => weights::RESTART,
            Self::Sick => weights::SICK,
            Self::Forget => weights::FORGET,
            Self::Amnesia => weights::AMNESIA,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Family for Profile {
    type Stats = Stats;
    type Rule = Rule;
    type Sabotage = Sabotage;

    const WORLD: &'static str = "sentinels";
    const ALL: &'static [Self] = &[
        Self::Calm,
        Self::Crash,
        Self::Partition,
        Self::Disk,
        Self::Freeze,
        Self::Lossy,
        Self::Operator,
        Self::Everything,
        Self::Mixed,
        Self::Votes,
        Self::Stall,
        Self::Restart,
        Self::Sick,
        Self::Forget,
        Self::Amnesia,
    ];
    const PANIC: Rule = Rule::Panic;

    fn simulate(self, seed: u64, sabotage: Sabotage, sink: Sink) -> Outcome<Self> {
        World::run(Plan::draw(seed, self), sabotage, sink)
    }
}
