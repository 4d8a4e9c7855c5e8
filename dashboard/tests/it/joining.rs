//! What a server is asked before it joins a group, with real servers.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use codis_core::json;
use codis_core::model::{Group, GroupServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::bed::{Bed, Dashboard, Redis, free_port, is_late, until};

fn add(server: &str) -> String {
    format!("group/add/X/1/{server}")
}

/// The add is refused with these words; with `force` it is made, or refused as well.
async fn found(dashboard: &Dashboard, server: &str, words: &[&str], may_force: bool) {
    let path = add(server);
    let late = RefCell::new(String::new());
    until("the server is asked in time", async || {
        let cause = dashboard.refused(&path).await;
        let is_late = cause.contains("no answer in time");
        *late.borrow_mut() = cause;
        !is_late
    })
    .await;
    let cause = late.into_inner();
    for word in words {
        assert!(cause.contains(word), "{cause} lacks {word}");
    }
    assert_eq!(cause.contains("?force=1"), may_force, "{cause}");
    let forced = format!("{path}?force=1");
    if may_force {
        dashboard.put(&forced).await;
        dashboard.put(&format!("group/del/X/1/{server}")).await;
    } else {
        until("it is refused all the same", async || {
            dashboard.refused(&forced).await == cause
        })
        .await;
    }
    assert!(dashboard.order(1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_server_of_the_group_is_refused_by_name() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    dashboard.put("group/create/X/1").await;

    let sentinel = bed.sentinel(Path::new("redis-sentinel")).await;
    let words = ["it is a sentinel", "sentinels/add"];
    found(&dashboard, &sentinel.addr, &words, false).await;

    // Else its second port would be the first one and 10000, which may be another's.
    let cluster = format!("cluster-enabled yes\ncluster-port {}\n", free_port());
    let node = bed.redis_with(&cluster).await;
    found(&dashboard, &node.addr, &["cluster mode"], false).await;

    let secret = bed.redis_with("requirepass other\n").await;
    let words = ["refuses the password", "product_auth"];
    found(&dashboard, &secret.addr, &words, false).await;

    // Something that answers, but not as Redis does.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let echo = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 512];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                }
            });
        }
    });
    found(&dashboard, &echo, &["not a Redis server"], false).await;

    let pair = bed.replicated(1).await;
    let words = ["it follows", &pair[0].addr, "SLAVEOF NO ONE"];
    found(&dashboard, &pair[1].addr, &words, true).await;

    // A group of another product in the same store.
    let server = GroupServer {
        addr: pair[0].addr.clone(),
        ..GroupServer::default()
    };
    let group = Group {
        id: 7,
        servers: vec![server],
        ..Group::default()
    };
    let dir = bed.path("store/data/codis3/another/group");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("group-0007"), json::encode(&group)).unwrap();
    let words = ["product [another]", "group-[7]"];
    found(&dashboard, &pair[0].addr, &words, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_known_by_any_of_its_addresses() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let server = bed.redis().await;
    dashboard.fill_group(1, std::slice::from_ref(&server)).await;
    dashboard.put("group/create/X/2").await;
    until("its run id is known", async || {
        let stats = dashboard.stats().await.group.stats;
        let polled = stats.get(&server.addr);
        polled.is_some_and(|polled| polled.stats.contains_key("run_id"))
    })
    .await;
    let other = server.addr.replace("127.0.0.1", "localhost");
    let cause = dashboard.refused(&format!("group/add/X/2/{other}")).await;
    let words = format!("server-[{}] of group-[1] by another address", server.addr);
    assert!(cause.contains(&words), "{cause}");
    let cause = dashboard
        .refused(&format!("group/add/X/2/{}", server.addr))
        .await;
    assert_eq!(cause, format!("server-[{}] already exists", server.addr));
    let cause = dashboard
        .refused(&format!("group/add/X/2/{other}?force=yes"))
        .await;
    assert_eq!(cause, "invalid force");
}

async fn warning(dashboard: &Dashboard, server: &Redis) -> String {
    let mut answer = dashboard.try_put(&add(&server.addr), "").await;
    while is_late(&answer) {
        answer = dashboard.try_put(&add(&server.addr), "").await;
    }
    assert_eq!((answer.status, answer.body.as_str()), (200, "\"OK\""));
    let head = answer.head.to_ascii_lowercase();
    let line = head
        .lines()
        .find(|line| line.starts_with("x-codis-warning:"));
    line.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn unexpected_keys_are_told_beside_the_answer() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    dashboard.put("group/create/X/1").await;
    let (first, second, third) = (bed.redis().await, bed.redis().await, bed.redis().await);
    for key in ["a", "b", "c"] {
        first.call(&["SET", key, "v"]).await.unwrap();
        second.call(&["SET", key, "v"]).await.unwrap();
    }
    let told = warning(&dashboard, &first).await;
    assert!(told.contains("it holds 3 keys"), "{told}");
    let told = warning(&dashboard, &second).await;
    assert!(told.contains("a sync action deletes them"), "{told}");
    assert_eq!(warning(&dashboard, &third).await, "");
}

/// A server that hangs is given up within its second, and holds nobody else up.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_not_waited_for() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    dashboard.put("group/create/X/1").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let begun = std::time::Instant::now();
    let cause = dashboard.refused(&add(&silent)).await;
    assert!(cause.contains("no answer in time"), "{cause}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}
