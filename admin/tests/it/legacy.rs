//! From a tree of Codis 2 to a product of Codis 3: dump, convert, restore.

use codis_runtime::coordinator;
use serde_json::{Value, json};

use crate::stores::{Kind, Store};
use crate::tool::{admin, refusal, stderr, stdout};

/// The nodes that Codis 2 keeps for a product, those of other parts of it included.
async fn plant(store: &coordinator::Shared) {
    let root = "/zk/codis/db_old";
    let put = async |path: &str, value: Value| {
        let path = format!("{root}/{path}");
        let text = value.to_string();
        store.create(&path, text.as_bytes()).await.unwrap();
    };
    for id in 0..1024 {
        let (group, status) = if id < 1000 {
            (id % 2 + 1, "online")
        } else {
            (-1, "offline")
        };
        let slot = json!({
            "product_name": "old", "id": id, "group_id": group,
            "state": {
                "status": status, "last_op_ts": "0",
                "migrate_status": { "from": -1, "to": -1 },
            },
        });
        put(&format!("slots/slot_{id}"), slot).await;
    }
    for (group, addr, kind) in [
        (1, "10.0.0.1:6380", "slave"),
        (1, "10.0.0.1:6379", "master"),
        (2, "10.0.0.2:6379", "master"),
    ] {
        let server = json!({ "type": kind, "group_id": group, "addr": addr });
        put(&format!("servers/group_{group}/{addr}"), server).await;
    }
    put(
        "proxy/proxy_1",
        json!({ "id": "proxy_1", "state": "online" }),
    )
    .await;
    store
        .create(&format!("{root}/fence/10.0.0.9:19000"), b"")
        .await
        .unwrap();
    store
        .create(&format!("{root}/dashboard"), b"no JSON at all")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_of_codis_2_is_taken_over() {
    let server = Store::start(Kind::ZooKeeper);
    let store = coordinator::open("zookeeper", &server.addr(), "")
        .await
        .unwrap();
    plant(&store).await;
    let option = format!("--zookeeper={}", server.addr());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();

    let dumped = admin(&[&option, "--config-dump", "-1", "--product=old"]);
    assert!(
        stderr(&dumped).contains("/dashboard holds no JSON"),
        "{dumped:?}"
    );
    let tree: Value = serde_json::from_str(&stdout(&dumped)).unwrap();
    assert_eq!(tree["slots"].as_object().unwrap().len(), 1024);
    assert_eq!(tree["slots"]["slot_7"]["state"]["status"], "online");
    assert_eq!(tree["servers"]["group_1"]["10.0.0.1:6380"]["type"], "slave");
    assert_eq!(tree["fence"]["10.0.0.9:19000"], Value::Null);
    assert_eq!(tree["dashboard"], "no JSON at all");

    std::fs::write(file("v1"), stdout(&dumped)).unwrap();
    let converted = admin(&["-v", &format!("--config-convert={}", file("v1"))]);
    let text = stdout(&converted);
    let dump: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(dump["slots"].as_array().unwrap().len(), 1000);
    assert_eq!(
        dump["slots"][7],
        json!({ "id": 7, "group_id": 2, "action": {} })
    );
    assert_eq!(dump["group"][0]["servers"][0]["server"], "10.0.0.1:6379");
    assert_eq!(dump["group"][0]["servers"][1]["server"], "10.0.0.1:6380");
    assert_eq!(dump.get("proxy"), None);

    std::fs::write(file("v3"), &text).unwrap();
    let told = refusal(&admin(&[
        &option,
        &format!("--config-restore={}", file("v1")),
        "--product=new",
    ]));
    assert!(told.contains("--config-convert="), "{told}");
    let restore = format!("--config-restore={}", file("v3"));
    stdout(&admin(&[&option, &restore, "--product=new", "--confirm"]));
    let dump = stdout(&admin(&[&option, "--config-dump", "--product=new"]));
    let dump: Value = serde_json::from_str(&dump).unwrap();
    assert_eq!(dump["slots"][7]["group_id"], 2);
    assert_eq!(dump["slots"][1023]["group_id"], 0);
    assert_eq!(dump["group"][1]["servers"][0]["server"], "10.0.0.2:6379");
}
