//! `INFO` of the proxy itself, of any server and of a certain one.

use super::harness::{Fixture, Server, key_on, settings};

/// A client reads the state of the proxy as it reads that of a server.
#[test]
fn info_proxy_tells_of_the_proxy() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let mut client = fixture.client();
    client.run(&["SET", &key_on(0, 2, 0), "v"]);
    client.run(&["LPUSH", &key_on(0, 2, 0), "v"]);
    client.run(&["GET", &key_on(1, 2, 0)]);
    for section in ["proxy", "PROXY", "Proxy"] {
        let text = client.text(&["INFO", section]);
        for line in [
            "# Proxy\r\n",
            "\r\nonline:1\r\n",
            "\r\nready:1\r\n",
            "\r\nworkers:2\r\n",
            "\r\nconnected_clients:1\r\n",
            "\r\nmaxclients:1000\r\n",
            "\r\nerrorstat_WRONGTYPE:count=1\r\n",
            "\r\nslots_open:1024\r\n",
            "\r\nbackends:2\r\n",
            "\r\nlatency_percentiles_usec_write:p50=",
            "\r\nused_cpu_user:",
            "\r\nused_memory_rss:",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        let backend = format!(":address={},connections=1,", servers[0].addr());
        assert!(text.contains(&backend), "{backend} in {text}");
        let group = format!("group2:master={},epoch=0\r\n", servers[1].addr());
        assert!(text.contains(&group), "{group} in {text}");
        let lines = text.split("\r\n").filter(|line| !line.is_empty());
        for line in lines {
            assert!(line.starts_with("# ") || line.contains(':'), "{line}");
        }
    }
}

/// Without a section any server answers; an address names one; anything else is no address.
#[test]
fn info_of_servers_is_as_in_codis() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    assert!(client.text(&["INFO"]).contains("redis_version:"));
    let keyspace = client.text(&["INFO", &server.addr(), "memory"]);
    assert!(keyspace.starts_with("# Memory"), "{keyspace}");
    assert_eq!(
        client.text(&["INFO", "keyspace"]),
        "-ERR backend server 'keyspace' not found"
    );
}
