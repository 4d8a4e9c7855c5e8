//! Brings up a cluster of real processes, breaks it, checks what it promised.
