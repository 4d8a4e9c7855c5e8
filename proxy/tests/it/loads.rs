//! Real load generators run to their end.

use std::process::Command;

use super::harness::{Fixture, Server, settings};

#[test]
fn redis_benchmark_ends_without_an_error() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let port = fixture.proxy().addr.port().to_string();
    for pipeline in ["1", "32"] {
        let run = Command::new("redis-benchmark")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-q",
                "-n",
                "20000",
                "-P",
                pipeline,
            ])
            .args([
                "-r",
                "1000",
                "-t",
                "ping,set,get,incr,lpush,lpop,sadd,hset,mset",
            ])
            .output()
            .expect("redis-benchmark must be installed (scripts/setup)");
        let text = String::from_utf8_lossy(&run.stdout).replace('\r', "\n");
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{text}{told}");
        for line in text.lines().chain(told.lines()) {
            let is_warning = line.contains("CONFIG");
            assert!(is_warning || !line.contains("rror"), "{line}");
        }
        assert!(text.contains("GET: "), "{text}");
    }
    assert_eq!(fixture.stats().ops.fails, 0);
}
