//! The sentinels under simulation, and the simulator under test.

mod checker;
mod determinism;
mod regressions;
mod seeds;
