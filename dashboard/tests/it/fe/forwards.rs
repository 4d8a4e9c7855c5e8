//! What goes to dashboards.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use codis_core::xauth;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Fe, write_list};
use crate::bed::{Bed, Dashboard, PRODUCT, call, free_port};

/// A dashboard, and a front end that has it in its file.
async fn with_a_dashboard(bed: &Bed) -> (Dashboard, Fe, PathBuf) {
    let dashboard = bed.dashboard().await;
    let file = bed.path("list.json");
    write_list(&file, &[(PRODUCT, &dashboard.addr)]);
    let fe = Fe::on_file(bed, &file).await;
    (dashboard, fe, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_its_refusal_come_through() {
    let bed = Bed::new();
    let (dashboard, fe, _) = with_a_dashboard(&bed).await;
    let path = format!(
        "/api/topom/group/create/{}/7?forward={PRODUCT}",
        xauth::dashboard(PRODUCT)
    );
    let done = call(&fe.addr, "PUT", &path, "").await.unwrap();
    assert_eq!((done.status, done.body.as_str()), (200, "\"OK\""));
    assert_eq!(dashboard.group(7).await.id, 7);
    let again = call(&fe.addr, "PUT", &path, "").await.unwrap();
    assert!(
        again.head.starts_with("HTTP/1.1 800 status code 800"),
        "{}",
        again.head
    );
    assert_eq!(again.cause(), "group-[7] already exists");
    let path = format!(
        "/api/topom/slots/assign/{}?forward={PRODUCT}",
        xauth::dashboard(PRODUCT)
    );
    let body = "[{\"id\": 1, \"group_id\": 8}]";
    let refused = call(&fe.addr, "PUT", &path, body).await.unwrap();
    assert_eq!(refused.cause(), "group-[8] doesn't exist");
    let log = dashboard.process.log();
    assert!(log.contains("127.0.0.1"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_with_a_known_name_goes_on_as_it_is() {
    let bed = Bed::new();
    let (_dashboard, fe, _) = with_a_dashboard(&bed).await;
    for path in ["/topom", "/topom/stats", "/topom/slots", "/api/topom/model"] {
        let answer = fe.get(&format!("{path}?forward={PRODUCT}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    // Where both have a route, the name decides.
    let theirs = fe.get(&format!("/metrics?forward={PRODUCT}")).await.body;
    assert!(theirs.contains("codis_dashboard_"), "{theirs}");
    assert!(fe.get("/metrics").await.body.contains("codis_fe_forwarded"));
    let wrong = call(&fe.addr, "DELETE", "/topom?forward=demo", "").await;
    assert_eq!(wrong.unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_sees_the_request_of_the_browser() {
    let bed = Bed::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let file = bed.path("list.json");
    write_list(&file, &[("a b", &addr)]);
    let fe = Fe::on_file(&bed, &file).await;
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let len = stream.read(&mut bytes).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Own: 1\r\n\r\nhi";
        stream.write_all(answer).await.unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    });
    let path = "/any/p%C3%A4th/?x=%2F&forward=a%20b&forward=c";
    let answer = fe.get(path).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hi"));
    assert!(answer.head.contains("x-own: 1"), "{}", answer.head);
    let seen = seen.await.unwrap().to_ascii_lowercase();
    let line = format!("get {} http/1.1\r\n", path.to_ascii_lowercase());
    assert!(seen.starts_with(&line), "{seen}");
    assert!(
        seen.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"),
        "{seen}"
    );
    assert!(
        seen.contains(&format!("\r\nhost: {}\r\n", fe.addr)),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_there_are_forbidden() {
    let bed = Bed::new();
    let file = bed.path("list.json");
    write_list(&file, &[("other", "127.0.0.1:1")]);
    let fe = Fe::on_file(&bed, &file).await;
    for path in [
        "/topom?forward=demo",
        "/topom?forward=",
        "/topom",
        "/api/topom/model",
        "/nothing",
    ] {
        let answer = fe.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (403, ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_is_down_is_a_bad_gateway() {
    let bed = Bed::new();
    let file = bed.path("list.json");
    let nobody = format!("127.0.0.1:{}", free_port());
    write_list(&file, &[("down", &nobody), ("none", ""), ("odd", "x")]);
    let fe = Fe::on_file(&bed, &file).await;
    for (name, why) in [
        ("down", &*nobody),
        ("none", "start codis-dashboard"),
        ("odd", "host:port"),
    ] {
        let answer = fe.get(&format!("/topom?forward={name}")).await;
        assert_eq!(answer.status, 502, "{name}");
        assert!(answer.body.contains(why), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_moved_is_found_by_the_first_call() {
    let bed = Bed::new();
    let (mut dashboard, fe, file) = with_a_dashboard(&bed).await;
    let path = format!("/topom/model?forward={PRODUCT}");
    assert_eq!(fe.get(&path).await.status, 200);
    dashboard.process.signal(Signal::TERM);
    assert!(dashboard.process.ended().await.success());
    let moved = bed.dashboard().await;
    assert_ne!(moved.addr, dashboard.addr);
    write_list(&file, &[(PRODUCT, &moved.addr)]);
    let answer = fe.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains(&moved.addr), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_dashboard_delays_its_own_callers_alone() {
    let bed = Bed::new();
    let (dashboard, fe, file) = with_a_dashboard(&bed).await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = other.local_addr().unwrap().to_string();
    write_list(&file, &[(PRODUCT, &dashboard.addr), ("other", &addr)]);
    fe.lists(&[PRODUCT, "other"]).await;
    dashboard.process.signal(Signal::STOP);
    let (to, path) = (fe.addr.clone(), format!("/topom/model?forward={PRODUCT}"));
    let hung = tokio::spawn(async move { call(&to, "GET", &path, "").await });
    let begun = Instant::now();
    assert_eq!(fe.names().await.len(), 2);
    assert_eq!(fe.get("/").await.status, 200);
    assert_eq!(fe.get("/topom?forward=none").await.status, 403);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(!hung.is_finished(), "it waits for the one that hangs");
    dashboard.process.signal(Signal::CONT);
    assert_eq!(hung.await.unwrap().unwrap().status, 200);
}
