//! The machines under simulation, and the simulator under test.

mod checker;
mod determinism;
mod regressions;
mod runs;
mod seeds;
mod topom;
