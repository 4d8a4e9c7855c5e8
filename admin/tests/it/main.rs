//! The tool run as an operator runs it, on a coordinator's directory and on addresses where nobody
//! listens. What needs a cluster is tested with the cluster.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../../../ha/runtime/tests/it/stores.rs"]
mod stores;

use std::process::{Command, Output};

use codis_core::model::{Group, GroupServer, Topom};
use codis_core::{json, paths};
use codis_runtime::coordinator::{self, Shared};

use stores::{Kind, Store};

fn admin(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_codis-admin"))
        .args(words)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn store_with_a_product(name: &str, addr: &str, auth: &str) -> Shared {
    let store = coordinator::open(name, addr, auth).await.unwrap();
    let topom = Topom {
        admin_addr: "127.0.0.1:18080".to_owned(),
        ..Topom::default()
    };
    store
        .create(&paths::topom("demo"), &json::encode(&topom))
        .await
        .unwrap();
    let server = GroupServer {
        addr: "127.0.0.1:6379".to_owned(),
        ..GroupServer::default()
    };
    let group = Group {
        id: 1,
        servers: vec![server],
        ..Group::default()
    };
    store
        .create(&paths::group("demo", 1), &json::encode(&group))
        .await
        .unwrap();
    store
}

/// Whatever the coordinator is, the actions on its records are the same.
async fn the_store_is_read_and_the_lock_removed(name: &str, addr: &str, auth: &str) {
    let store = store_with_a_product(name, addr, auth).await;
    let (option, password) = (format!("--{name}={addr}"), format!("--{name}-auth={auth}"));
    let run = |words: &[&str]| {
        let mut all = vec![option.as_str()];
        if !auth.is_empty() {
            all.push(&password);
        }
        all.extend(words);
        stdout(&admin(&all))
    };

    let list: serde_json::Value = serde_json::from_str(&run(&["--dashboard-list"])).unwrap();
    assert_eq!(list[0]["name"], "demo");
    assert_eq!(list[0]["dashboard"], "127.0.0.1:18080");

    let dump = run(&["--config-dump", "--product=demo"]);
    let dump: serde_json::Value = serde_json::from_str(&dump).unwrap();
    assert_eq!(dump["slots"].as_array().unwrap().len(), 1024);
    assert_eq!(dump["group"][0]["servers"][0]["server"], "127.0.0.1:6379");

    assert_eq!(run(&["--remove-lock", "--product=demo"]), "");
    assert_eq!(store.read(&paths::topom("demo")).await.unwrap(), None);
}

#[tokio::test]
async fn a_directory_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    the_store_is_read_and_the_lock_removed("filesystem", root, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_is_read() {
    let server = Store::start(Kind::ZooKeeper);
    the_store_is_read_and_the_lock_removed("zookeeper", &server.addr(), "u:secret").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_is_read() {
    let server = Store::start(Kind::Etcd);
    the_store_is_read_and_the_lock_removed("etcd", &server.addr(), "").await;
}

#[test]
fn an_unknown_product_is_an_error_with_a_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let filesystem = format!("--filesystem={}", dir.path().display());
    let output = admin(&[&filesystem, "--config-dump", "--product=nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("--dashboard-list"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nobody_listening_is_said_with_a_next_step() {
    let output = admin(&["--dashboard=127.0.0.1:1", "--group-status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("is codis-dashboard running there?"),
        "{}",
        stderr(&output)
    );
    let output = admin(&["--proxy=127.0.0.1:1", "--start"]);
    assert!(
        stderr(&output).contains("is codis-proxy running"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn usage_errors_exit_with_one_and_help_with_zero() {
    for words in [
        &["--group-status"][..],
        &["--dashboard=h:1", "--create-group"],
        &["--what"],
    ] {
        assert_eq!(admin(words).status.code(), Some(1), "{words:?}");
    }
    assert!(stdout(&admin(&["--help"])).contains("--promote-server"));
    assert!(stdout(&admin(&["--version"])).contains("version"));
}
