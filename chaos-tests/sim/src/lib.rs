//! Seeded simulator of the pure machines together.
