//! What the tests are made of: addresses of their own, processes that end with the test, a client,
//! and waiting with a deadline.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

mod certs;
mod client;
mod disk;
mod front;
mod house;
mod process;
mod quorum;

pub use certs::Certs;
pub use client::Client;
pub use disk::Disk;
pub use front::Front;
pub use house::House;
pub use process::{Process, Sentinel, Server};
pub use quorum::{Kind, Quorum};

/// How long anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(100);

/// Waits until a condition holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A loopback address that no other test uses.
pub fn own_host() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.0.{}.{}", 44 + number / 200, 1 + number % 200)
}

/// A port that is free on a host.
pub fn free_port(host: &str) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Writes an executable shell script.
pub fn script(path: &std::path::Path, body: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub use client::{field, show};
