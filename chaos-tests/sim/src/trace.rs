//! The event log of a run: always hashed, written out only for a replay.
//!
//! Two runs are the same when their digests are: every line of the log goes into it.

use std::fmt::{self, Write as _};

use crate::family::Sink;
use crate::moment::Moment;

/// The log.
pub struct Trace {
    digest: u64,
    lines: u64,
    buffer: String,
    sink: Sink,
}

impl Trace {
    /// A log that is only hashed, or also written to `sink`.
    pub fn new(sink: Sink) -> Self {
        Self {
            digest: 0x6a09_e667_f3bc_c908,
            lines: 0,
            buffer: String::new(),
            sink,
        }
    }

    /// Adds a line.
    pub fn line(&mut self, now: Moment, args: fmt::Arguments<'_>) {
        self.buffer.clear();
        let written = writeln!(self.buffer, "{now} {args}");
        debug_assert!(written.is_ok(), "a string takes all text");
        self.lines += 1;
        for chunk in self.buffer.as_bytes().chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.digest = (self.digest.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        if let Some(sink) = &mut self.sink
            && sink.write_all(self.buffer.as_bytes()).is_err()
        {
            // The reader closed the pipe: the run goes on for its verdict.
            self.sink = None;
        }
    }

    /// The digest of all lines so far.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// How many lines there were.
    pub const fn lines(&self) -> u64 {
        self.lines
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x} after {} lines)", self.digest, self.lines)
    }
}
