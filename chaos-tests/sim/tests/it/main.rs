//! The simulator itself under test.
