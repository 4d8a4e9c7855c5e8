//! A relay before a server, which can refuse some of those who connect.

use std::collections::BTreeSet;
use std::io::copy;
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::{Server, own_host};

/// The relay. Its threads end with the test process.
pub struct Front {
    pub host: String,
    pub port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    refused: BTreeSet<IpAddr>,
    open: Vec<(IpAddr, TcpStream)>,
}

impl Front {
    /// A relay to a server, at an address of its own.
    pub fn before(server: &Server) -> Self {
        let host = own_host();
        let listener = TcpListener::bind((host.as_str(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let (to, shared) = ((server.host.clone(), server.port), Arc::clone(&state));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                relay(stream, &to, &shared);
            }
        });
        Self { host, port, state }
    }

    /// Closes what this address has open, and resets whatever it opens from now on.
    pub fn refuse(&self, host: &str) {
        let ip: IpAddr = host.parse().unwrap();
        let mut state = self.state.lock().unwrap();
        state.refused.insert(ip);
        for (_, stream) in state.open.iter().filter(|(from, _)| *from == ip) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// `host port`.
    pub fn words(&self) -> String {
        format!("{} {}", self.host, self.port)
    }
}

fn relay(stream: TcpStream, to: &(String, u16), shared: &Mutex<State>) {
    let from = stream.peer_addr().unwrap().ip();
    let mut state = shared.lock().unwrap();
    if state.refused.contains(&from) {
        return reset(stream);
    }
    let Ok(server) = TcpStream::connect((to.0.as_str(), to.1)) else {
        return reset(stream);
    };
    state.open.push((from, stream.try_clone().unwrap()));
    pump(stream.try_clone().unwrap(), server.try_clone().unwrap());
    pump(server, stream);
}

/// Copies one direction until it ends; an error ends it too.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Closes so that the far end sees a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}
