//! Parts that are broken on purpose, to prove that the checker sees it.

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// The store does not look at the guards of commits.
    NoGuard,
    /// Proxies are never told to hold a slot.
    NoLock,
    /// No step waits for the proxies.
    NoWait,
    /// A proxy's slots are never compared with what they should be.
    TrustLiars,
    /// Proxies announce the stall fence and have none.
    NoFence,
    /// Proxies take orders of any term.
    NoTerms,
    /// Proxies take fills while requests are in flight by the old routes.
    NoDrain,
    /// Proxies take fills in any order.
    NoStamps,
    /// Whoever leads next does so under the term of the one before.
    SameTerm,
    /// A step is recorded as the one after it.
    SkipStep,
    /// A promotion waits neither for the proxies nor for the data.
    Rash,
    /// A promotion takes a master that does not answer for a dead one.
    Hasty,
    /// A promotion is recorded under an epoch that was there before.
    OldEpoch,
    /// A slot goes on without looking whether its source has keys left.
    NoSource,
}
