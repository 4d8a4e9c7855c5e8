//! What a dashboard says to a change on a machine that is busy.

/// A peer, a store or the dashboard itself was too late. Its limits are those of an operator who
/// waits, not those of a machine with ten times the processes that it has cores.
const LATE: [&str; 10] = [
    "no answer in time",
    "topom is not online",
    "which was stopped or hung inside",
    "resync slots failed",
    "fillslots failed",
    "start failed",
    "fetch model failed",
    "xping failed",
    "did not catch up",
    "did not become master within",
];
/// The first one was carried out after all.
const DONE: [&str; 4] = [
    "already exists",
    "doesn't exist",
    "not found",
    "can't promote master",
];

/// Whether a refusal tells of nothing but lateness.
pub fn is_late(refusal: &str) -> bool {
    LATE.iter().any(|words| refusal.contains(words))
}

/// Whether a call that is repeated is refused because the first one was carried out after all.
pub fn is_done(refusal: &str) -> bool {
    DONE.iter().any(|words| refusal.contains(words))
}
