//! Actions on a coordinator's records are the same whatever the coordinator is.

use codis_core::model::{Group, GroupServer, Topom};
use codis_core::{json, paths};
use codis_runtime::coordinator::{self, Shared};

use crate::stores::{Kind, Store};
use crate::tool::{admin, refusal, stderr, stdout};

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

async fn the_store_is_read_and_the_lock_removed(name: &str, addr: &str, auth: &str) {
    let store = store_with_a_product(name, addr, auth).await;
    let (option, password) = (format!("--{name}={addr}"), format!("--{name}-auth={auth}"));
    let run = |words: &[&str]| {
        let mut all = vec![option.as_str()];
        if !auth.is_empty() {
            all.push(&password);
        }
        all.extend(words);
        admin(&all)
    };

    let list: serde_json::Value =
        serde_json::from_str(&stdout(&run(&["--dashboard-list"]))).unwrap();
    let expected = serde_json::json!([{ "name": "demo", "dashboard": "127.0.0.1:18080" }]);
    assert_eq!(list, expected);

    let dump = run(&["-v", "--config-dump", "--product=demo"]);
    assert!(stderr(&dump).contains("/codis3/demo/group"), "{dump:?}");
    let dump: serde_json::Value = serde_json::from_str(&stdout(&dump)).unwrap();
    assert_eq!(dump["slots"].as_array().unwrap().len(), 1024);
    assert_eq!(dump["group"][0]["servers"][0]["server"], "127.0.0.1:6379");

    assert_eq!(stdout(&run(&["--remove-lock", "--product=demo"])), "");
    assert_eq!(store.read(&paths::topom("demo")).await.unwrap(), None);
    let again = run(&["--remove-lock", "--product=demo", "--output=json"]);
    assert_eq!(stdout(&again), "\"OK\"\n");
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
    let told = refusal(&admin(&[&filesystem, "--config-dump", "--product=nobody"]));
    assert!(told.contains("cann't find product = nobody [v3]"), "{told}");
    assert!(told.contains("--dashboard-list"), "{told}");
    let told = refusal(&admin(&[
        &filesystem,
        "--config-dump",
        "-1",
        "--product=nobody",
    ]));
    assert!(told.contains("cann't find product = nobody [v1]"), "{told}");
    let told = refusal(&admin(&[&filesystem, "--config-dump", "--product=a/b"]));
    assert!(told.contains("bad product name = a/b"), "{told}");
}
