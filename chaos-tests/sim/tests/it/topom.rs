//! Dashboards that move slots, and the checker under test.

mod checker;
mod determinism;
mod regressions;
mod seeds;
