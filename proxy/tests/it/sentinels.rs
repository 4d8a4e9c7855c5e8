//! Following sentinels without a dashboard.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use codis_core::model;
use codis_core::resp::{
    Limits, Value, encode_command, write_array, write_bulk, write_integer, write_simple,
};

use super::harness::{Fixture, SOON, Server, Text, free_port, settings, slot, wait_for};

/// A stock sentinel.
pub struct Sentinel {
    pub port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    pub fn start(name: &str, master: &Server) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, file) = (free_port(), dir.path().join("sentinel.conf"));
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor {name} 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds {name} 2000\nsentinel failover-timeout {name} 5000\n",
            dir.path().display(),
            master.port
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new("redis-sentinel")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-sentinel must be installed (scripts/setup)");
        Self {
            port,
            child,
            _dir: dir,
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn stock_sentinels_are_followed_by_majority() {
    let (mut master, replica) = (Server::start(&[]), Server::start(&[]));
    replica.follow(&master);
    let sentinels: Vec<_> = (0..3)
        .map(|_| Sentinel::start("codis-demo-1", &master))
        .collect();
    wait_for("sentinels know each other", || {
        sentinels.iter().all(|s| {
            std::net::TcpStream::connect(("127.0.0.1", s.port)).is_ok() && {
                let mut client = super::harness::Client::connect(&format!("127.0.0.1:{}", s.port));
                let text = client.text(&["INFO", "sentinel"]);
                text.contains("slaves=1,sentinels=3")
            }
        })
    });
    let fixture = Fixture::online(settings(), &[&master]);
    let servers = sentinels
        .iter()
        .map(|s| format!("127.0.0.1:{}", s.port))
        .collect();
    let body = model::Sentinel {
        servers,
        out_of_sync: false,
    };
    fixture.put_body("sentinels", &body).unwrap();
    let mut client = fixture.client();
    assert_eq!(client.text(&["SET", "k", "before"]), "OK");
    wait_for("replicated", || {
        replica.run(&["GET", "k"]).text() == "before"
    });
    master.kill();
    wait_for("the proxy follows", || {
        fixture.stats().sentinels.masters.get("1") == Some(&replica.addr())
    });
    assert_eq!(client.text(&["GET", "k"]), "before");
    wait_for("writes go on", || {
        client.text(&["SET", "k", "after"]) == "OK"
    });
    let stats = fixture.stats().sentinels;
    assert!(stats.switched && stats.epochs["1"].0 > 0, "{stats:?}");

    // A dashboard that missed it, and knows no epochs, does not bring the old master back.
    let stale: Vec<_> = (0..1024).map(|id| slot(id, 1, &master.addr(), 0)).collect();
    fixture.fill(&stale).unwrap();
    assert!(
        fixture
            .slot_table()
            .iter()
            .all(|s| s.backend_addr == replica.addr())
    );
    assert_eq!(client.text(&["GET", "k"]), "after");
}

/// A peer that speaks as much of the extension as a proxy asks for: a snapshot with one record,
/// and one message on the channel when it is told to.
fn scripted_sentinel(snapshot: String, publish: mpsc::Receiver<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let publish = Arc::new(Mutex::new(publish));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, snapshot, publish) = (stream.unwrap(), snapshot.clone(), publish.clone());
            std::thread::spawn(move || converse(stream, &snapshot, &publish));
        }
    });
    addr
}

fn converse(mut stream: TcpStream, snapshot: &str, publish: &Mutex<mpsc::Receiver<String>>) {
    let mut buf = BytesMut::new();
    loop {
        let mut chunk = [0u8; 4096];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(n) => buf.extend_from_slice(&chunk[..n]),
        }
        while let Some((request, len)) = Value::parse(&buf, &Limits::default()).unwrap() {
            let _ = buf.split_to(len);
            let words = request.text();
            let mut out = Vec::new();
            match words.split(' ').collect::<Vec<_>>()[..] {
                ["SENTINEL", "TOPOLOGY", _] => encode_command(&mut out, &[snapshot]),
                ["SUBSCRIBE", channel] => {
                    write_array(&mut out, 3);
                    write_bulk(&mut out, b"subscribe");
                    write_bulk(&mut out, channel.as_bytes());
                    write_integer(&mut out, 1);
                }
                _ => write_simple(&mut out, b"OK"),
            }
            stream.write_all(&out).unwrap();
            if words == "SUBSCRIBE +switch-master" {
                let Ok(message) = publish.lock().unwrap().recv() else {
                    return;
                };
                let mut out = Vec::new();
                encode_command(&mut out, &["message", "+topology", &message]);
                stream.write_all(&out).unwrap();
            }
        }
    }
}

fn record(master: &Server, epoch: u64) -> String {
    let (name, port) = ("codis-demo-1", master.port);
    serde_json::json!({
        "name": name, "epoch": epoch, "master": format!("127.0.0.1:{port}"), "sentinel": "x",
    })
    .to_string()
}

/// On a busy machine one of some tries shows that.
#[test]
fn one_topology_message_moves_the_group_within_milliseconds() {
    let mut slow = Vec::new();
    for _ in 0..6 {
        let took = moved_by_a_message();
        if took < Duration::from_millis(200) {
            return;
        }
        slow.push(took);
    }
    panic!("{slow:?}");
}

/// How long it takes from the message until a client is led by it.
fn moved_by_a_message() -> Duration {
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let fixture = Fixture::online(settings(), &[&old]);
    let (publish, receiver) = mpsc::channel();
    // The snapshot never changes, so only the message can move the group.
    let addr = scripted_sentinel(record(&old, 3), receiver);
    fixture
        .put_body(
            "sentinels",
            &model::Sentinel {
                servers: vec![addr],
                out_of_sync: false,
            },
        )
        .unwrap();
    wait_for("the snapshot is adopted", || {
        fixture
            .stats()
            .sentinels
            .epochs
            .get("1")
            .is_some_and(|epoch| epoch.0 == 3)
    });
    let mut client = fixture.client();
    assert_eq!(client.text(&["SET", "k", "old"]), "OK");
    new.run(&["SET", "k", "new"]);
    let began = Instant::now();
    publish.send(record(&new, 4)).unwrap();
    while client.text(&["GET", "k"]) != "new" {
        assert!(began.elapsed() < SOON);
    }
    let took = began.elapsed();
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_millis(1500) {
        assert_eq!(
            client.text(&["GET", "k"]),
            "new",
            "the older snapshot moves nothing back"
        );
    }
    took
}
