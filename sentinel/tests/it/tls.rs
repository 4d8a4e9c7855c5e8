//! TLS with real servers and stock sentinels: OpenSSL at the other end.

use std::path::Path;
use std::process::Command;

use codis_bed::process::Signal;
use tempfile::TempDir;

use crate::support::{Certs, Kind, Process, Sentinel, field, free_port, own_host, show, wait_for};

/// The TLS port of every sentinel: each has an address of its own.
const TLS_PORT: u16 = 16_379;

/// A server that speaks nothing but TLS.
struct Server {
    host: String,
    port: u16,
    process: Process,
    _dir: TempDir,
}

impl Server {
    fn start(certs: &Certs, lines: &str) -> Self {
        let host = own_host();
        let port = free_port(&host);
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("redis.conf");
        let text = format!(
            "bind {host}\nport 0\ntls-port {port}\nprotected-mode no\nsave \"\"\ndir {}\n\
             replica-announce-ip {host}\nrepl-diskless-sync-delay 0\n{}{lines}",
            dir.path().display(),
            certs.lines()
        );
        std::fs::write(&config, text).unwrap();
        let path = config.to_str().unwrap();
        let log = dir.path().join("log");
        let process = Process::start(Path::new("redis-server"), &[path], &log);
        wait_for("a server answers", || {
            certs.cli(&host, port, "PING") == "PONG"
        });
        Self {
            host,
            port,
            process,
            _dir: dir,
        }
    }

    fn words(&self) -> String {
        format!("{} {}", self.host, self.port)
    }
}

fn fails_over(kinds: [Kind; 3]) {
    let certs = Certs::new();
    let mut master = Server::start(&certs, "");
    let follow = format!("replicaof {}\n", master.words());
    let replica = Server::start(&certs, &follow);
    let lines = format!(
        "tls-port {TLS_PORT}\n{}sentinel monitor m {} 2\nsentinel down-after-milliseconds m 1000\n",
        certs.lines(),
        master.words()
    );
    let sentinels = kinds.map(|kind| match kind {
        Kind::Ours => Sentinel::ours(&lines),
        Kind::Stock => Sentinel::stock(&lines),
    });
    for sentinel in &sentinels {
        wait_for("a sentinel knows everybody", || {
            let replicas = sentinel.call("SENTINEL REPLICAS m");
            let in_sync = |it| field(it, "master-link-status").as_deref() == Some("ok");
            sentinel.master_field("num-other-sentinels") == "2"
                && replicas.as_array().unwrap().iter().any(in_sync)
        });
        for peer in sentinel.call("SENTINEL SENTINELS m").as_array().unwrap() {
            let port = field(peer, "port");
            assert_eq!(
                port,
                Some(TLS_PORT.to_string()),
                "the encrypted port is announced"
            );
        }
    }
    master.process.kill();
    for sentinel in &sentinels {
        wait_for("a sentinel has switched", || {
            sentinel.master() == replica.words()
        });
    }
    let role = certs.cli(&replica.host, replica.port, "ROLE");
    assert!(role.starts_with("master"), "{role}");
}

#[test]
fn three_of_ours_fail_over_with_tls() {
    fails_over([Kind::Ours; 3]);
}

/// One of ours and two stock sentinels, which check its certificate as it checks theirs.
#[test]
fn a_mixed_quorum_fails_over_with_tls() {
    fails_over([Kind::Ours, Kind::Stock, Kind::Stock]);
}

/// Clients on the TLS port: with and without a certificate, and in clear.
#[test]
fn clients_without_a_certificate_are_refused_unless_they_may() {
    let certs = Certs::new();
    for (auth, admitted) in [("yes", false), ("optional", true), ("no", true)] {
        let lines = format!(
            "tls-port {TLS_PORT}\n{}tls-auth-clients {auth}\nsentinel monitor m 127.0.0.1 30 2\n",
            certs.lines()
        );
        let sentinel = Sentinel::ours(&lines);
        let with = certs.cli(&sentinel.host, TLS_PORT, "SENTINEL MYID");
        assert_eq!(with.len(), 40, "{auth}: {with}");
        let without = certs.cli_anonymous(&sentinel.host, TLS_PORT, "PING");
        assert_eq!(without == "PONG", admitted, "{auth}: {without}");
        // Long replies and pipelined requests take several records.
        let help = certs.cli(&sentinel.host, TLS_PORT, "SENTINEL HELP");
        assert!(help.contains("CKQUORUM"), "{help}");
        let mut plain = crate::support::Client::try_connect(&sentinel.host, TLS_PORT).unwrap();
        plain.write("PING");
        let reply = plain.read_or_end();
        assert_ne!(reply.map(|it| show(&it)).as_deref(), Some("+PONG"));
        wait_for("refused clients are not counted", || {
            show(&sentinel.call("INFO clients")).contains("connected_clients:1\r")
        });
    }
}

/// SIGHUP reads renewed certificates, and what is unusable does not replace what works.
#[test]
fn certificates_are_renewed_without_a_restart() {
    let certs = Certs::new();
    let lines = format!(
        "tls-port {TLS_PORT}\n{}sentinel monitor m 127.0.0.1 30 2\n",
        certs.lines()
    );
    let sentinel = Sentinel::ours(&lines);
    let ping = || certs.cli(&sentinel.host, TLS_PORT, "PING");
    assert_eq!(ping(), "PONG");
    certs.renew();
    assert_ne!(ping(), "PONG", "the sentinel holds the old ones");
    sentinel.process.signal(Signal::HUP);
    wait_for("the new ones are in use", || ping() == "PONG");
    std::fs::write(certs.path("it.crt"), "nonsense").unwrap();
    sentinel.process.signal(Signal::HUP);
    wait_for("the refusal is logged", || {
        sentinel
            .log()
            .contains("Kept the TLS certificates as they were: cannot use")
    });
    assert!(certs.cli_anonymous(&sentinel.host, TLS_PORT, "PING") != "PONG");
}

/// A sentinel whose only port is encrypted.
#[test]
fn the_port_in_clear_can_be_off() {
    let certs = Certs::new();
    let (host, dir) = (own_host(), tempfile::tempdir().unwrap());
    let config = dir.path().join("sentinel.conf");
    let text = format!(
        "bind {host}\nport 0\ntls-port {TLS_PORT}\n{}sentinel monitor m 127.0.0.1 30 2\n",
        certs.lines()
    );
    std::fs::write(&config, text).unwrap();
    let program = Sentinel::our_program();
    let log = dir.path().join("log");
    let mut process = Process::start(&program, &[config.to_str().unwrap()], &log);
    wait_for("it answers", || {
        certs.cli(&host, TLS_PORT, "PING") == "PONG"
    });
    let info = certs.cli(&host, TLS_PORT, "INFO server");
    assert!(info.contains(&format!("tcp_port:{TLS_PORT}")), "{info}");
    assert!(process.stop().success());
}

/// What is wrong with certificates is said, with exit status 1, before a port is open.
#[test]
fn unusable_certificates_prevent_the_start() {
    let certs = Certs::new();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("sentinel.conf");
    let missing = "tls-cert-file /no/such/file.crt\n";
    for (lines, said) in [
        (missing, "cannot read /no/such/file.crt"),
        ("tls-key-file \"\"\n", "`tls-key-file`"),
        (
            "tls-ca-cert-file \"\"\n",
            "`tls-ca-cert-file` or `tls-ca-cert-dir` must be set",
        ),
    ] {
        let text = format!("port 0\ntls-port 1\n{}{lines}", certs.lines());
        std::fs::write(&config, text).unwrap();
        let out = Command::new(Sentinel::our_program()).arg(&config).output();
        let out = out.unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}
