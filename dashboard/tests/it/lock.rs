//! One dashboard at a time, and none that waits for a dead one.

use std::time::{Duration, Instant};

use codis_core::json;
use codis_core::model::Topom;
use codis_runtime::http;
use codis_runtime::shutdown::Shutdown;
use rustix::process::Signal;

use crate::bed::{Bed, free_port, once_within};
use crate::leadership::{leads, until_leads};

const LOCK: &str = "/codis3/demo/topom";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_dashboard_stands_by_and_leads_when_the_first_stops() {
    let bed = Bed::new();
    let mut first = bed.dashboard().await;
    first.put("group/create/X/1").await;
    let second = bed.dashboard_offline("127.0.0.1", free_port(), &[]);
    second.online().await;
    assert!(second.process.log().contains("lock not taken"));
    assert_eq!(
        second.refused("group/create/X/1").await,
        "group-[1] already exists"
    );
    first.process.signal(Signal::TERM);
    assert!(first.process.ended().await.success());
    until_leads(&second).await;
    assert_eq!(
        second.refused("group/create/X/1").await,
        "group-[1] already exists"
    );
    let held: Topom = json::decode(bed.record(LOCK).unwrap().as_bytes()).unwrap();
    assert_eq!(held.admin_addr, second.addr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dashboard_is_replaced_at_once_on_the_same_address() {
    let bed = Bed::new();
    let mut first = bed.dashboard().await;
    first.put("group/create/X/1").await;
    first.process.kill();
    assert!(bed.record(LOCK).is_some(), "a crash leaves the record");
    // Less than the lease of 10 s.
    once_within(Duration::from_secs(9), "the next one leads", async || {
        first.process.kill();
        let begun = Instant::now();
        first = bed.dashboard_offline("127.0.0.1", first.port, &[]);
        until_leads(&first).await;
        begun.elapsed()
    })
    .await;
    first.put("shutdown/X").await;
    assert!(first.process.ended().await.success());
    assert_eq!(bed.record(LOCK), None, "an orderly stop removes it");
}

/// An original dashboard takes no lock of the operating system; its answer shows that it lives.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_living_original_is_respected() {
    let bed = Bed::new();
    let listener = http::bind("127.0.0.1:0").await.unwrap();
    let original = Topom {
        token: "0".repeat(32),
        start_time: "then".to_owned(),
        admin_addr: listener.local_addr().unwrap().to_string(),
        product_name: "demo".to_owned(),
        pid: 1,
        ..Topom::default()
    };
    let file = bed
        .path("store")
        .join("data")
        .join(LOCK.trim_start_matches('/'));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, json::encode(&original)).unwrap();
    let stop = Shutdown::new();
    let answer = original.clone();
    let routes = axum::Router::new().route(
        "/topom/model",
        axum::routing::get(async move || http::json(&answer)),
    );
    let served = tokio::spawn(http::serve(listener, routes, stop.clone()));
    let dashboard = bed.dashboard_offline("127.0.0.1", free_port(), &[]);
    crate::bed::until("the original is noticed", async || {
        dashboard.process.log().contains("an original dashboard")
    })
    .await;
    let passed_on = dashboard.try_put("group/create/X/1", "").await;
    assert_eq!(passed_on.status, 404, "this double has no such route");
    assert!(!leads(&dashboard).await);
    stop.request("the original crashes");
    served.await.unwrap().unwrap();
    until_leads(&dashboard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_and_a_port_in_use_exit_with_1() {
    let bed = Bed::new();
    let first = bed.dashboard().await;
    let mut same_port = bed.dashboard_offline("127.0.0.1", first.port, &[]);
    assert_eq!(same_port.process.ended().await.code(), Some(1));
    let mut bad = bed.dashboard_offline("127.0.0.1", free_port(), &["--product_name=-"]);
    assert_eq!(bad.process.ended().await.code(), Some(1));
    assert!(
        bad.process.log().contains("bad product name = -"),
        "{}",
        bad.process.log()
    );
    let mut version = bed.dashboard_offline("127.0.0.1", free_port(), &["--version"]);
    assert!(version.process.ended().await.success());
}
