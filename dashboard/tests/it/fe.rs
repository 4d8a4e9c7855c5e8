//! The web front end: its list, what it passes on, its page, its command line.

mod browser;
mod command;
mod files;
mod forwards;
mod page;

use std::path::Path;
use std::process::Command;

use codis_core::xauth;
use serde_json::json;

use crate::bed::{Answer, Bed, PRODUCT, Process, call, free_port, until};
use crate::stores::{Kind, Store};

/// A front end process.
struct Fe {
    process: Process,
    addr: String,
}

impl Fe {
    /// A front end that answers.
    async fn start(bed: &Bed, flags: &[&str]) -> Self {
        let port = free_port();
        let addr = format!("127.0.0.1:{port}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_codis-fe"));
        command.arg(format!("--listen={addr}")).args(flags);
        let process = Process::start(command, &bed.path(&format!("fe-{port}.log")));
        let fe = Self { process, addr };
        until("the front end answers", async || {
            call(&fe.addr, "GET", "/live", "").await.is_ok()
        })
        .await;
        fe
    }

    /// One that reads its products from `file`.
    async fn on_file(bed: &Bed, file: &Path) -> Self {
        let flag = format!("--dashboard-list={}", file.display());
        Self::start(bed, &[&flag]).await
    }

    async fn get(&self, path: &str) -> Answer {
        call(&self.addr, "GET", path, "").await.unwrap()
    }

    async fn names(&self) -> Vec<String> {
        serde_json::from_str(&self.get("/list").await.body).unwrap()
    }

    async fn lists(&self, names: &[&str]) {
        until("the list is as wanted", async || {
            self.names().await == names
        })
        .await;
    }
}

/// Writes a list of products as `codis-admin --dashboard-list` prints it.
fn write_list(file: &Path, rows: &[(&str, &str)]) {
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, dashboard)| json!({ "name": name, "dashboard": dashboard }))
        .collect();
    std::fs::write(file, serde_json::to_string(&rows).unwrap()).unwrap();
}

fn content_type(answer: &Answer) -> &str {
    let line = answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    line.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_sorted_text_and_follows_the_file() {
    let bed = Bed::new();
    let file = bed.path("list.json");
    write_list(&file, &[]);
    let fe = Fe::on_file(&bed, &file).await;
    let empty = fe.get("/list").await;
    assert_eq!((empty.status, empty.body.as_str()), (200, "[]"));
    assert!(
        content_type(&empty).starts_with("text/plain"),
        "{}",
        empty.head
    );
    write_list(&file, &[("b", "h:1"), ("a", "h:2")]);
    fe.lists(&["a", "b"]).await;
    assert_eq!(fe.get("/list/").await.body, "[\n    \"a\",\n    \"b\"\n]");
    let head = call(&fe.addr, "HEAD", "/list", "").await.unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let wrong = call(&fe.addr, "PUT", "/list", "").await.unwrap();
    assert_eq!(wrong.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_keeps_the_last_one() {
    let bed = Bed::new();
    let file = bed.path("list.json");
    let fe = Fe::on_file(&bed, &file).await;
    assert_eq!(fe.names().await, Vec::<String>::new());
    let ready = fe.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("list.json"), "{}", ready.body);
    write_list(&file, &[("a", "h:2")]);
    fe.lists(&["a"]).await;
    assert_eq!(fe.get("/ready").await.status, 200);
    for broken in ["[{\"name\": \"b\", ", "{}", ""] {
        std::fs::write(&file, broken).unwrap();
        // A name that is not there makes it read again.
        assert_eq!(fe.get("/topom?forward=b").await.status, 403);
        assert_eq!(fe.names().await, ["a"], "{broken}");
    }
    std::fs::remove_file(&file).unwrap();
    until("reads failed", async || {
        fe.get("/topom?forward=b").await;
        let metrics = fe.get("/metrics").await.body;
        let failed = metrics
            .lines()
            .find_map(|line| line.strip_prefix("codis_fe_list_reads_failed_total "));
        failed.is_some_and(|count| count.parse::<u32>().unwrap() >= 3)
    })
    .await;
    assert_eq!(fe.names().await, ["a"]);
}

/// A product on one coordinator, through the whole chain.
async fn on_a_coordinator(bed: &Bed, store: (&str, &str), flags: &[&str]) {
    let fe = Fe::start(bed, flags).await;
    assert_eq!(fe.names().await, Vec::<String>::new());
    let port = free_port();
    let config = bed.path("dashboard.toml");
    let (name, addr) = store;
    let text = format!(
        "coordinator_name = \"{name}\"\ncoordinator_addr = \"{addr}\"\n\
         product_name = \"{PRODUCT}\"\nadmin_addr = \"127.0.0.1:{port}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_codis-dashboard"));
    command.arg("-c").arg(config);
    let _dashboard = Process::start(command, &bed.path("dashboard.log"));
    let stats = format!(
        "/api/topom/stats/{}?forward={PRODUCT}",
        xauth::dashboard(PRODUCT)
    );
    until(
        "figures come through without a look at the list",
        async || fe.get(&stats).await.status == 200,
    )
    .await;
    let stats: serde_json::Value = serde_json::from_str(&fe.get(&stats).await.body).unwrap();
    assert_eq!(stats["slots"].as_array().unwrap().len(), 1024);
    fe.lists(&[PRODUCT]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn products_come_from_a_directory() {
    let bed = Bed::new();
    let root = bed.path("store").display().to_string();
    let flag = format!("--filesystem={root}");
    on_a_coordinator(&bed, ("filesystem", &root), &[&flag]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn products_come_from_etcd() {
    let bed = Bed::new();
    let store = Store::start(Kind::Etcd);
    let flag = format!("--etcd={}", store.addr());
    on_a_coordinator(&bed, ("etcd", &store.addr()), &[&flag]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn products_come_from_zookeeper() {
    let bed = Bed::new();
    let store = Store::start(Kind::ZooKeeper);
    let flag = format!("--zookeeper={}", store.addr());
    on_a_coordinator(&bed, ("zookeeper", &store.addr()), &[&flag]).await;
}
