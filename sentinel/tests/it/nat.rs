//! Addresses that are not where a process listens: NAT, announced addresses, source addresses.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Kind, Sentinel, Server, field, own_host, show, wait_for};

/// A port at which a sentinel can be reached from outside: what NAT does, done by a forwarder.
struct Outside {
    host: String,
    port: u16,
    listener: TcpListener,
    taken: Arc<AtomicUsize>,
}

impl Outside {
    fn new() -> Self {
        let host = own_host();
        let listener = TcpListener::bind((host.as_str(), 0)).unwrap();
        Self {
            port: listener.local_addr().unwrap().port(),
            host,
            listener,
            taken: Arc::default(),
        }
    }

    /// What a sentinel behind it announces.
    fn lines(&self) -> String {
        let Self { host, port, .. } = self;
        format!("sentinel announce-ip {host}\nsentinel announce-port {port}\n")
    }

    /// Leads everybody who connects to a sentinel, until the test ends.
    fn lead_to(&self, sentinel: &Sentinel) {
        let (listener, taken) = (self.listener.try_clone().unwrap(), Arc::clone(&self.taken));
        let inside = (sentinel.host.clone(), sentinel.port);
        std::thread::spawn(move || {
            for outer in listener.incoming().flatten() {
                taken.fetch_add(1, Ordering::Relaxed);
                let Ok(inner) = TcpStream::connect((inside.0.as_str(), inside.1)) else {
                    continue;
                };
                for (from, to) in [(&outer, &inner), (&inner, &outer)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        // An end of either kind is the end of both directions.
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
    }
}

/// Sentinels that can be reached only where they announce themselves find each other there, and
/// agree on a failover.
#[test]
fn sentinels_behind_nat_fail_over() {
    let (mut master, outsides) = (Server::start(), [(); 3].map(|()| Outside::new()));
    let replica = Server::replica_of(&master);
    let kinds = [Kind::Ours, Kind::Ours, Kind::Stock];
    let sentinels: Vec<Sentinel> = kinds
        .into_iter()
        .zip(&outsides)
        .map(|(kind, outside)| {
            let lines = format!(
                "sentinel monitor m {} 2\nsentinel down-after-milliseconds m 1000\n{}",
                master.words(),
                outside.lines()
            );
            let sentinel = match kind {
                Kind::Ours => Sentinel::ours(&lines),
                Kind::Stock => Sentinel::stock(&lines),
            };
            outside.lead_to(&sentinel);
            sentinel
        })
        .collect();
    for (at, sentinel) in sentinels.iter().enumerate() {
        wait_for("a sentinel knows everybody", || {
            let replicas = show(&sentinel.call("SENTINEL REPLICAS m"));
            let peers = show(&sentinel.call("SENTINEL SENTINELS m"));
            sentinel.master_field("num-other-sentinels") == "2"
                && replicas.contains("master-link-status, ok")
                && !peers.contains("disconnected")
        });
        for peer in sentinel.call("SENTINEL SENTINELS m").as_array().unwrap() {
            let (host, port) = (field(peer, "ip").unwrap(), field(peer, "port").unwrap());
            let known = outsides
                .iter()
                .enumerate()
                .any(|(other, it)| other != at && it.host == host && it.port.to_string() == port);
            assert!(known, "{host}:{port} is no announced address");
        }
    }
    let reached = |it: &Outside| it.taken.load(Ordering::Relaxed) >= 2;
    assert!(outsides.iter().all(reached), "both peers came from outside");
    master.process.kill();
    for sentinel in &sentinels {
        wait_for("a sentinel has switched", || {
            sentinel.master() == replica.words()
        });
    }
}

/// A peer that moves, and a peer that takes another's place, are told as a stock sentinel tells it.
#[test]
fn peers_that_move_are_told_as_by_a_stock_sentinel() {
    let master = Server::start();
    let lines = format!(
        "sentinel monitor m {0} 2\nsentinel monitor n {0} 2\n",
        master.words()
    );
    let mut peer = Sentinel::ours(&lines);
    let watchers = [Sentinel::ours(&lines), Sentinel::stock(&lines)];
    let old = show(&peer.call("SENTINEL MYID"));
    for watcher in &watchers {
        wait_for("the peer is known for both masters", || {
            ["m", "n"].iter().all(|name| {
                show(&watcher.call(&format!("SENTINEL SENTINELS {name}"))).contains(&old)
            })
        });
    }
    let moved = own_host();
    let order = format!("SENTINEL CONFIG SET announce-ip {moved}");
    assert_eq!(show(&peer.call(&order)), "+OK");
    let port = peer.port;
    let told = |watcher: &Sentinel, parts: &[&str]| {
        let log = watcher.log();
        log.lines()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    };
    for watcher in &watchers {
        let switch = format!("ip {moved} port {port} for {old}");
        wait_for("the move is told", || {
            told(watcher, &["+sentinel-address-switch master ", &switch])
        });
        let update = format!("+sentinel-address-update sentinel {old} {moved} {port} @ ");
        wait_for("it is told for the other master", || {
            told(watcher, &[&update, " 1 additional matching instances"])
        });
    }
    // Another sentinel at the address of this one: it lost its file.
    assert!(peer.process.stop().success());
    let path = peer.dir.path().join("sentinel.conf");
    let text = format!(
        "bind {0}\nport {port}\ndir {1}\nsentinel announce-ip {moved}\n{lines}",
        peer.host,
        peer.dir.path().display()
    );
    std::fs::write(path, text).unwrap();
    peer.restart();
    let new = show(&peer.call("SENTINEL MYID"));
    for watcher in &watchers {
        let invalid = format!("+sentinel-invalid-addr sentinel {old} {moved} {port} @ ");
        wait_for("the displaced one is told", || told(watcher, &[&invalid]));
        wait_for("only the new one is left", || {
            ["m", "n"].iter().all(|name| {
                let peers = show(&watcher.call(&format!("SENTINEL SENTINELS {name}")));
                peers.contains(&new) && !peers.contains(&old)
            })
        });
    }
}

/// Links leave from `bind-source-addr`.
#[test]
fn links_leave_from_the_configured_address() {
    let (master, source) = (Server::start(), own_host());
    let lines = format!(
        "bind-source-addr {source}\nsentinel monitor m {} 2\n",
        master.words()
    );
    let _sentinel = Sentinel::ours(&lines);
    let from = format!(" addr={source}:");
    wait_for("both links are there", || {
        show(&master.call("CLIENT LIST")).matches(&from).count() == 2
    });
}
