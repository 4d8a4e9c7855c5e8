//! What must hold: [`safety`] after every step, [`liveness`] once the faults have stopped.

pub mod judgement;
pub mod liveness;
pub mod safety;

pub use judgement::Judgement;
pub use safety::Safety;

/// What was broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// One leader for each (master, epoch).
    OneLeader,
    /// A leader has the votes of a majority and of the quorum.
    Majority,
    /// One vote for each (sentinel, master, epoch), across crashes.
    OneVote,
    /// A vote is on disk before it is sent or counted.
    DurableVote,
    /// Epochs never fall.
    EpochFell,
    /// A config epoch names one address.
    OneAddress,
    /// One server is promoted for each (master, epoch), by the leader.
    OnePromotion,
    /// A failover starts only when the quorum sees the master down.
    Quorum,
    /// An order makes sense: a server never follows itself or another group.
    Order,
    /// The contract between machine and shell.
    Contract,
    /// The machine panicked.
    Panic,
    /// Nothing is down sooner than down-after after its last proof of life.
    EarlyDown,
    /// Nothing is judged in TILT.
    Tilt,
    /// A failover causes no other one.
    Again,
    /// A split vote is decided within a bounded time.
    Undecided,
    /// A master that takes no writes is replaced in time, when an operator wants it.
    Refusal,
    /// A master that restarts with less data is not followed while a replica has it.
    LostData,
    /// Once the faults stop, all agree in time.
    Liveness,
    /// When nothing else is wrong, failover is fast.
    Slow,
}

/// A broken rule.
pub type Violation = crate::family::Violation<Rule>;
