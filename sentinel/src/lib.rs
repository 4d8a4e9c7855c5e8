//! Drop-in for redis-sentinel that pushes each new topology the moment it exists.
