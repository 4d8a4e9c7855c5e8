//! Connections that live for one request.

use std::io;
use std::net::Ipv4Addr;

use super::{Connection, Failure, Load, Seen, TICK, Watch, connect};

/// Bytes that a connection with few replies reads at once.
const READ_BYTES: usize = 4096;
/// Addresses that clients connect from, in turn. A closed connection keeps its port for a minute,
/// so one address would run out of ports.
const SOURCES: u64 = 200;

/// The address of client number `client`: one of a few hundred.
pub fn source(client: u64) -> Ipv4Addr {
    Ipv4Addr::new(127, 79, (client % SOURCES) as u8, 1)
}

impl Load {
    /// Opens `requests` connections, `parallel` at a time; each sends one request,
    /// waits for its reply and is closed. Latency counts from before it is made.
    ///
    /// # Errors
    /// As [`closed`](Self::closed).
    pub fn churn(&mut self, requests: u64, parallel: usize) -> Result<Seen, Failure> {
        let mut watch = Watch::new(&self.stop, self.now())?;
        let mut left = requests;
        self.connections.clear();
        for index in 0..parallel.min(requests as usize) {
            let connection = self.visit(index, left)?;
            self.connections.push(connection);
            left -= 1;
        }
        while watch.requests < requests {
            let ready = self.poll.wait(TICK)?;
            let in_flight = requests - left - watch.requests;
            watch.look(self.now(), ready.is_empty(), in_flight)?;
            for index in ready {
                self.receive(index, &mut watch)?;
                if self.connections[index].in_flight() == 0 && left > 0 {
                    self.connections[index] = self.visit(index, left)?;
                    left -= 1;
                }
            }
        }
        self.connections.clear();
        watch.end(self.now())
    }

    /// A connection of its own for one request, which is on its way.
    fn visit(&mut self, index: usize, client: u64) -> io::Result<Connection> {
        let due = self.now();
        let stream = connect(self.server, source(client))?;
        let mut connection = Connection::new(stream, READ_BYTES)?;
        connection.push(&self.script, self.numbers.next(), due);
        connection.flush()?;
        self.poll.add(&connection, index)?;
        Ok(connection)
    }
}
