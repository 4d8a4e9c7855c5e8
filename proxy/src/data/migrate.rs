//! Requests of slots that migrate.
//!
//! Where the key of such a request is, only the owner so far can tell, so each request has an
//! exchange with it first ([`machine`]). Requests of one session for one slot form a *line*: one
//! runs at a time, from its first step to its answer, so their order stands whatever has to be
//! tried again. Requests for other slots, and other sessions, do not notice.
//!
//! What a line holds counts as waiting for a slot, in time (`slot_wait_timeout`) and in memory
//! (`slot_wait_bytes`). When a route changes, what waits is routed again; a step under way ends
//! first, and its result is not acted on any more where the route says otherwise. Steps that only
//! move keys may be sent twice; a wrapped write never is.

pub mod answer;
pub mod job;
pub mod lines;
pub mod machine;
pub mod words;
