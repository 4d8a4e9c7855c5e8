//! Host names: monitors, replicas and sentinels by name, beside stock sentinels, and resolvers that
//! change their mind or hang. The names come from an `/etc/hosts` in a mount namespace, so these
//! tests need root.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{House, Kind, Sentinel, Server, free_port, own_host, show, wait_for};

/// A master `db-1`, a replica `db-2`, and three sentinels that know the master by name.
struct Named {
    house: House,
    servers: Vec<Server>,
    sentinels: Vec<Sentinel>,
}

impl Named {
    fn start(kinds: [Kind; 3], announce: bool, down_after: u64) -> Self {
        let house = House::new();
        let program = house.program("server", Path::new("redis-server"));
        let (hosts, port) = ([own_host(), own_host()], free_port("127.0.0.1"));
        house.names(&[("db-1", &hosts[0]), ("db-2", &hosts[1])]);
        let start = |(at, host): (usize, &String)| {
            let name = format!("db-{}", at + 1);
            let said = if announce { &name } else { host };
            let lines = format!("replica-announce-ip {said}\n");
            Server::at(&program, host.clone(), port, &lines)
        };
        let servers: Vec<Server> = hosts.iter().enumerate().map(start).collect();
        let order = format!("REPLICAOF db-1 {port}");
        assert_eq!(show(&servers[1].client().call(&order)), "+OK");
        let yes_no = if announce { "yes" } else { "no" };
        let lines = format!(
            "sentinel resolve-hostnames yes\nsentinel announce-hostnames {yes_no}\n\
             sentinel monitor m db-1 {port} 2\nsentinel down-after-milliseconds m {down_after}\n"
        );
        let ours = house.program("ours", &Sentinel::our_program());
        let stock = house.program("redis-sentinel", Path::new("redis-sentinel"));
        let sentinels = kinds.map(|kind| match kind {
            Kind::Ours => Sentinel::run_by(&ours, &lines),
            Kind::Stock => Sentinel::run_by(&stock, &lines),
        });
        for sentinel in &sentinels {
            wait_for("a sentinel knows everybody", || {
                let replicas = show(&sentinel.call("SENTINEL REPLICAS m"));
                sentinel.master_field("num-other-sentinels") == "2"
                    && replicas.contains("master-link-status, ok")
            });
        }
        let sentinels = Vec::from(sentinels);
        Self {
            house,
            servers,
            sentinels,
        }
    }

    /// Kills the master, and waits until all sentinels say that it is at `host` now.
    fn fail_over(&mut self, host: &str) {
        let port = self.servers[1].port;
        self.servers[0].process.kill();
        for sentinel in &self.sentinels {
            wait_for("a sentinel has switched", || {
                sentinel.master() == format!("{host} {port}")
            });
        }
        assert_eq!(self.servers[1].role(), "master");
    }
}

/// Addresses are announced: what stock and ours say of a master known by name is its address.
#[test]
fn a_mixed_quorum_that_knows_the_master_by_name_fails_over() {
    let mut named = Named::start([Kind::Ours, Kind::Ours, Kind::Stock], false, 1000);
    let port = named.servers[0].port;
    let first = format!("{} {port}", named.servers[0].host);
    for sentinel in &named.sentinels {
        assert_eq!(sentinel.master(), first);
        // Names and addresses of one server are one server.
        assert_eq!(sentinel.master_field("num-slaves"), "1");
    }
    let host = named.servers[1].host.clone();
    named.fail_over(&host);
    let line = format!("sentinel monitor m {host} {port} 2");
    wait_for("the file says so", || {
        named.sentinels[0].config().contains(&line)
    });
}

/// Names are announced, by servers and sentinels, to each other and to clients.
#[test]
fn a_mixed_quorum_announces_names() {
    let mut named = Named::start([Kind::Ours, Kind::Stock, Kind::Ours], true, 1000);
    let port = named.servers[0].port;
    let replicas = show(&named.sentinels[0].call("SENTINEL REPLICAS m"));
    assert!(
        replicas.contains(&format!("name, db-2:{port}, ip, db-2")),
        "{replicas}"
    );
    named.fail_over("db-2");
    for sentinel in &named.sentinels {
        wait_for("names are in the file", || {
            let text = sentinel.config();
            text.contains(&format!("sentinel monitor m db-2 {port} 2"))
                && text.contains(&format!("sentinel known-replica m db-1 {port}"))
        });
        let log = sentinel.log();
        let told = format!("+switch-master m db-1 {port} db-2 {port}");
        assert!(log.contains(&told), "{log}");
    }
    named.servers[0].restart();
    wait_for("the old master follows a name", || {
        show(&named.servers[0].call("ROLE")).starts_with("[slave, db-2,")
    });
}

/// A master that is started anew at another address is found there, without a failover.
#[test]
fn a_master_that_moves_is_followed() {
    let mut named = Named::start([Kind::Ours, Kind::Ours, Kind::Stock], false, 20_000);
    let port = named.servers[0].port;
    let moved = own_host();
    named.servers[0].process.kill();
    let server = Server::at(Path::new("redis-server"), moved.clone(), port, "");
    let replica = named.servers[1].host.clone();
    named.house.names(&[("db-1", &moved), ("db-2", &replica)]);
    for sentinel in &named.sentinels[..2] {
        wait_for("a sentinel has found it", || {
            let flags = sentinel.master_field("flags");
            sentinel.master() == format!("{moved} {port}") && flags == "master"
        });
        wait_for("its file says so", || {
            sentinel.config().contains(&server.words())
        });
        let log = sentinel.log();
        assert!(
            !log.contains("+sdown master") && !log.contains("+switch-master"),
            "{log}"
        );
    }
}

/// A resolver that hangs from some moment on does not delay the failover of servers whose names are
/// known by then.
#[test]
fn a_hung_resolver_delays_no_failover() {
    let mut named = Named::start([Kind::Ours; 3], true, 1000);
    for sentinel in &named.sentinels {
        named.house.hang(&sentinel.process);
    }
    let begin = Instant::now();
    named.fail_over("db-2");
    let took = begin.elapsed();
    println!("all sentinels switched {took:?} after the kill (down-after 1 s, resolver hung)");
    // Whoever waited for the resolver would wait on.
    assert!(took < Duration::from_secs(20), "{took:?}");
    for sentinel in &mut named.sentinels {
        assert!(!sentinel.log().contains("+tilt"), "{}", sentinel.log());
        // An unknown name is refused, and nobody waits meanwhile.
        let mut asker = sentinel.client();
        asker.write("SENTINEL MONITOR x nowhere 30 1");
        let begin = Instant::now();
        assert_eq!(show(&sentinel.call("PING")), "+PONG");
        assert!(begin.elapsed() < Duration::from_secs(10));
        let refused = show(&asker.read().unwrap());
        assert_eq!(refused, "-ERR Invalid IP address or hostname specified");
        assert!(sentinel.process.stop().success());
    }
}

/// A sentinel whose resolver hangs, or does not know the name, starts all the same.
#[test]
fn a_start_does_not_depend_on_the_resolver() {
    let house = House::new();
    let lines = "sentinel resolve-hostnames yes\nsentinel monitor m db-1 30 2\n\
                 sentinel down-after-milliseconds m 500\n";
    let ours = house.program("ours", &Sentinel::our_program());
    let hung = house.program_that_hangs("hung", &Sentinel::our_program());
    for program in [&hung, &ours] {
        let sentinel = Sentinel::run_by(program, lines);
        assert_eq!(
            show(&sentinel.call("SENTINEL GET-MASTER-ADDR-BY-NAME m")),
            "[, 30]"
        );
        wait_for("it is called down", || {
            sentinel.log().contains("+sdown master m  30")
        });
        assert!(sentinel.config().contains("sentinel monitor m db-1 30 2"));
    }
    let sentinel = Sentinel::run_by(&ours, lines);
    let server = Server::start();
    house.names(&[("db-1", &server.host)]);
    wait_for("the name is found later", || {
        sentinel.master() == format!("{} 30", server.host)
    });
}
