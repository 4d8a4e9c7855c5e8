//! The load generator: one thread, many connections, every reply checked.
//!
//! A closed load keeps a fixed number of requests in flight on each connection: a batch is sent
//! when the one before it is answered. An open load sends at a fixed rate whatever comes back, and
//! counts from the time at which a request was due, so that a stall is seen by all the requests
//! that it kept waiting.

mod churn;
mod connection;
mod poll;
mod work;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

pub use churn::source;
pub use connection::{Connection, Failure};
use poll::Poll;
pub use work::{Command, Reply, Script, Work};

/// Bytes that one read may bring; no reply is longer.
const READ_BYTES: usize = 64 * 1024;
/// How long a load waits for any reply.
const STALL_MAX: Duration = Duration::from_secs(20);
/// How often a waiting load looks whether it should stop.
const TICK: Duration = Duration::from_millis(200);
/// Requests of an open load that may be without a reply.
const BACKLOG_MAX: u64 = 200_000;
/// Nanoseconds: the range and the digits of latencies.
const LATENCY: (u64, u64, u8) = (100, 60_000_000_000, 3);

/// Asks running loads to stop; clones share the wish.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Loads end with [`Failure::Stopped`] soon.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether they should.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a load saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Requests that were answered rightly, which are all.
    pub requests: u64,
    /// From the first request to the last reply.
    pub span: Duration,
    /// Nanoseconds from when a request was due to its reply.
    pub latency: Histogram<u64>,
    /// The part of the span in which the load's own thread was on a processor.
    pub busy: f64,
}

/// Connections to one server, and what is asked over them.
pub struct Load {
    server: SocketAddr,
    connections: Vec<Connection>,
    poll: Poll,
    script: Script,
    numbers: Numbers,
    stop: Stop,
    start: Instant,
}

/// Request numbers, evenly spread and the same in each run.
#[derive(Debug)]
struct Numbers {
    state: u64,
    keyspace: u64,
}

impl Numbers {
    const fn new(keyspace: u32) -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            keyspace: keyspace as u64,
        }
    }

    /// The next one, below the keyspace (xorshift64).
    fn next(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (((self.state >> 32) * self.keyspace) >> 32) as u32
    }
}

/// Opens a stream to `server` from the address `from`, or from any when it is unspecified.
///
/// # Errors
/// There is no connection within ten seconds.
pub fn connect(server: SocketAddr, from: Ipv4Addr) -> io::Result<std::net::TcpStream> {
    const CONNECT_MAX: Duration = Duration::from_secs(10);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    if !from.is_unspecified() {
        socket.bind(&SockAddr::from(SocketAddr::new(IpAddr::V4(from), 0)))?;
    }
    // The system applies the limit of writes to the connection that is being made as well.
    socket.set_write_timeout(Some(CONNECT_MAX))?;
    socket.connect(&SockAddr::from(server))?;
    Ok(socket.into())
}

impl Load {
    /// A load on `server` that has no connections yet.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn new(server: SocketAddr, work: Work, stop: &Stop) -> io::Result<Self> {
        Ok(Self {
            server,
            connections: Vec::new(),
            poll: Poll::new()?,
            script: Script::new(work),
            numbers: Numbers::new(work.keyspace),
            stop: stop.clone(),
            start: Instant::now(),
        })
    }

    /// Opens `connections` more connections.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn connect(&mut self, connections: usize) -> io::Result<()> {
        for _ in 0..connections {
            let stream = connect(self.server, Ipv4Addr::UNSPECIFIED)?;
            let connection = Connection::new(stream, READ_BYTES)?;
            self.poll.add(&connection, self.connections.len())?;
            self.connections.push(connection);
        }
        Ok(())
    }

    /// Sends `requests`, at most `pipeline` at a time on each connection.
    ///
    /// # Errors
    /// A connection breaks, a reply is wrong or none comes, or the load is stopped.
    pub fn closed(&mut self, requests: u64, pipeline: usize) -> Result<Seen, Failure> {
        let mut watch = Watch::new(&self.stop, self.now())?;
        let mut left = requests;
        for index in 0..self.connections.len() {
            left -= self.send_batch(index, left.min(pipeline as u64))?;
        }
        while watch.requests < requests {
            let ready = self.poll.wait(TICK)?;
            let now = self.now();
            watch.look(now, ready.is_empty(), requests - left - watch.requests)?;
            for index in ready {
                self.receive(index, &mut watch)?;
                if self.connections[index].in_flight() == 0 && left > 0 {
                    left -= self.send_batch(index, left.min(pipeline as u64))?;
                }
            }
        }
        watch.end(self.now())
    }

    /// Sends `requests`, `rate` a second, over the connections in turn.
    ///
    /// # Errors
    /// As [`closed`](Self::closed); also when replies fall behind by more than [`BACKLOG_MAX`].
    pub fn open(&mut self, requests: u64, rate: u32) -> Result<Seen, Failure> {
        let start = self.now();
        let mut watch = Watch::new(&self.stop, start)?;
        let due = |request: u64| start + request * 1_000_000_000 / u64::from(rate);
        let mut sent = 0;
        while watch.requests < requests {
            let now = self.now();
            while sent < requests && due(sent) <= now {
                let number = self.numbers.next();
                let index = (sent % self.connections.len() as u64) as usize;
                let connection = &mut self.connections[index];
                connection.push(&self.script, number, due(sent));
                connection.flush()?;
                sent += 1;
            }
            if sent < requests {
                let wait = due(sent).saturating_sub(self.now());
                self.poll.wake_after(Duration::from_nanos(wait.max(1)))?;
            }
            let ready = self.poll.wait(TICK)?;
            let in_flight = sent - watch.requests;
            watch.look(self.now(), ready.is_empty(), in_flight)?;
            if in_flight > BACKLOG_MAX {
                let text = format!("{in_flight} requests without a reply at {rate} a second");
                return Err(io::Error::other(text).into());
            }
            for index in ready {
                self.receive(index, &mut watch)?;
            }
        }
        watch.end(self.now())
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn send_batch(&mut self, index: usize, requests: u64) -> io::Result<u64> {
        let due = self.now();
        let connection = &mut self.connections[index];
        for _ in 0..requests {
            connection.push(&self.script, self.numbers.next(), due);
        }
        connection.flush()?;
        Ok(requests)
    }

    fn receive(&mut self, index: usize, watch: &mut Watch) -> Result<(), Failure> {
        let start = self.start;
        let connection = &mut self.connections[index];
        connection.flush()?;
        let before = watch.requests;
        // All replies of one read are counted at one time, and share one due time in a batch.
        let mut run = (0, 0);
        let (requests, latency) = (&mut watch.requests, &mut watch.latency);
        let mut note = |due: u64, count: u64| {
            let now = start.elapsed().as_nanos() as u64;
            latency.saturating_record_n(now.saturating_sub(due), count);
        };
        connection.receive(&self.script, |due| {
            *requests += 1;
            if run.1 > 0 && run.0 != due {
                note(run.0, run.1);
                run.1 = 0;
            }
            run = (due, run.1 + 1);
        })?;
        if run.1 > 0 {
            note(run.0, run.1);
        }
        if watch.requests > before {
            watch.last_reply = self.now();
        }
        Ok(())
    }
}

/// Counts what comes back, and notices when nothing does.
struct Watch {
    stop: Stop,
    start: u64,
    cpu_start: u64,
    last_reply: u64,
    requests: u64,
    latency: Histogram<u64>,
}

impl Watch {
    fn new(stop: &Stop, now: u64) -> Result<Self, Failure> {
        let (low, high, digits) = LATENCY;
        let latency = Histogram::new_with_bounds(low, high, digits).map_err(io::Error::other)?;
        Ok(Self {
            stop: stop.clone(),
            start: now,
            cpu_start: thread_cpu(),
            last_reply: now,
            requests: 0,
            latency,
        })
    }

    fn look(&self, now: u64, nothing_came: bool, in_flight: u64) -> Result<(), Failure> {
        if self.stop.is_requested() {
            return Err(Failure::Stopped);
        }
        let silent = Duration::from_nanos(now.saturating_sub(self.last_reply));
        if nothing_came && in_flight > 0 && silent > STALL_MAX {
            return Err(Failure::Stalled {
                seconds: silent.as_secs(),
                in_flight,
            });
        }
        Ok(())
    }

    fn end(self, now: u64) -> Result<Seen, Failure> {
        let span = now.saturating_sub(self.start).max(1);
        let cpu = thread_cpu().saturating_sub(self.cpu_start);
        Ok(Seen {
            requests: self.requests,
            span: Duration::from_nanos(span),
            latency: self.latency,
            busy: cpu as f64 / span as f64,
        })
    }
}

/// Nanoseconds that this thread was on a processor.
fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests;
