//! One client connection: requests out, replies in, each checked.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use super::work::{Reply, Script};

/// Bytes of a wrong reply that are shown.
const SHOWN_BYTES: usize = 80;

/// Why a load cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The socket.
    #[error("connection {0}")]
    Io(#[from] io::Error),
    /// The other side closed.
    #[error("connection closed with {0} requests in flight")]
    Closed(usize),
    /// A reply that is not the one that was due.
    #[error("wrong reply to {request}: {reply}")]
    Wrong {
        /// The command and its first key.
        request: String,
        /// The start of what came.
        reply: String,
    },
    /// Nothing comes any more.
    #[error("no reply for {seconds} s with {in_flight} requests in flight")]
    Stalled {
        /// How long was waited.
        seconds: u64,
        /// Requests without a reply.
        in_flight: u64,
    },
    /// The run is being stopped.
    #[error("stopped")]
    Stopped,
}

/// A request without a reply.
#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u32,
    /// When it was due, in nanoseconds of the load's clock.
    due: u64,
}

/// A connection that does not block.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    /// Bytes of `out` that are sent.
    out_sent: usize,
    input: Vec<u8>,
    /// Bytes of `input` that hold something.
    filled: usize,
    in_flight: VecDeque<Sent>,
}

impl Connection {
    /// A connection on an open stream, with a buffer that holds any reply.
    ///
    /// # Errors
    /// The stream cannot be set up.
    pub fn new(stream: TcpStream, read_bytes: usize) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            out: Vec::new(),
            out_sent: 0,
            input: vec![0; read_bytes],
            filled: 0,
            in_flight: VecDeque::new(),
        })
    }

    /// Requests without a reply.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Puts request `number` in line; [`flush`](Self::flush) sends it.
    pub fn push(&mut self, script: &Script, number: u32, due: u64) {
        script.write(number, &mut self.out);
        self.in_flight.push_back(Sent { number, due });
    }

    /// Sends what the socket takes.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.out_sent < self.out.len() {
            match self.stream.write(&self.out[self.out_sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.out_sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.out_sent = 0;
        Ok(())
    }

    /// Takes what has come. `answered` gets the time at which each answered request was due.
    ///
    /// # Errors
    /// The connection is broken or a reply is wrong.
    pub fn receive(
        &mut self,
        script: &Script,
        mut answered: impl FnMut(u64),
    ) -> Result<(), Failure> {
        loop {
            let space = self.input.len() - self.filled;
            let came = match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) => return Err(Failure::Closed(self.in_flight.len())),
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.filled += came;
            self.take_replies(script, &mut answered)?;
            // A read that leaves space has emptied the socket; more makes a new event.
            if came < space {
                return Ok(());
            }
        }
    }

    fn take_replies(
        &mut self,
        script: &Script,
        answered: &mut impl FnMut(u64),
    ) -> Result<(), Failure> {
        let mut at = 0;
        while at < self.filled {
            let came = &self.input[at..self.filled];
            let Some(sent) = self.in_flight.front() else {
                return Err(wrong("nothing", came));
            };
            match script.check(sent.number, came) {
                Reply::Whole(len) => at += len,
                Reply::Partial => break,
                Reply::Wrong => {
                    let work = script.work();
                    let request = format!("{:?} {}", work.command, work.key(sent.number));
                    return Err(wrong(&request, came));
                }
            }
            answered(sent.due);
            self.in_flight.pop_front();
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn wrong(request: &str, came: &[u8]) -> Failure {
    let shown = &came[..came.len().min(SHOWN_BYTES)];
    Failure::Wrong {
        request: request.to_owned(),
        reply: shown.escape_ascii().to_string(),
    }
}
