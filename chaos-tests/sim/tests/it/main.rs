//! The machines under simulation, and the simulator under test.

mod checker;
mod determinism;
mod regressions;
mod seeds;
mod topom;
