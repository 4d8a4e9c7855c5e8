//! Pure sentinel: down detection, votes, epochs, failover, candidate choice, hello, events.
