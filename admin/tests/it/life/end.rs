//! A cluster is saved, and ends.

use codis_core::paths;
use codis_core::slot::SLOTS;
use serde_json::{Value, json};

use super::bed::{Life, PRODUCT, parsed, until};
use crate::tool::{refusal, stderr, stdout};

/// What the store holds is dumped, and restored under another name.
pub async fn backup(life: &Life) {
    let dumped = life.on_store(&["-v", "--config-dump", "--product=demo"]);
    assert!(stderr(&dumped).contains("/codis3/demo/group"), "{dumped:?}");
    let dump = parsed(&dumped);
    assert_eq!(dump["slots"].as_array().unwrap().len(), SLOTS);
    assert_eq!(dump["slots"], life.asked(&["slots"]), "API and store agree");
    assert_eq!(dump["group"], life.asked(&["--list-group"]));
    assert_eq!(dump["proxy"], life.asked(&["--list-proxy"]));
    assert_eq!(dump["sentinel"]["servers"].as_array().unwrap().len(), 2);

    let file = life.file("dump.json");
    std::fs::write(&file, stdout(&dumped)).unwrap();
    let restore = format!("--config-restore={file}");
    let told = refusal(&life.on_store(&[&restore, "--product=demo", "--confirm"]));
    assert!(told.contains("--shutdown"), "a dashboard serves it: {told}");
    let shown = parsed(&life.on_store(&[&restore, "--product=copy"]));
    assert_eq!(shown, dump);
    let restored = life.on_store(&[&restore, "--product=copy", "--confirm"]);
    assert_eq!(stdout(&restored), "");
    let copy = parsed(&life.on_store(&["--config-dump", "--product=copy"]));
    for member in ["slots", "group", "proxy", "sentinel"] {
        assert_eq!(copy[member], dump[member], "{member}");
    }
    let told = refusal(&life.on_store(&[&restore, "--product=copy", "--confirm"]));
    assert!(told.contains("product copy is not empty"), "{told}");
}

/// A tree of Codis 2 in the same store becomes a product of its own.
pub async fn legacy(life: &Life) {
    let put = async |path: &str, value: Value| {
        let path = format!("/zk/codis/db_old/{path}");
        let text = value.to_string();
        life.records.create(&path, text.as_bytes()).await.unwrap();
    };
    for id in 0..8 {
        let slot = json!({ "id": id, "group_id": 1, "state": { "status": "online" } });
        put(&format!("slots/slot_{id}"), slot).await;
    }
    let server = json!({ "addr": "10.0.0.1:6379", "group_id": 1, "type": "master" });
    put("servers/group_1/10.0.0.1:6379", server).await;
    let tree = life.on_store(&["--config-dump", "-1", "--product=old"]);
    let (v1, v3) = (life.file("v1.json"), life.file("v3.json"));
    std::fs::write(&v1, stdout(&tree)).unwrap();
    let converted = life.run("", &[&format!("--config-convert={v1}")]);
    std::fs::write(&v3, stdout(&converted)).unwrap();
    let restore = format!("--config-restore={v3}");
    stdout(&life.on_store(&[&restore, "--product=new", "--confirm"]));
    let record = life.record(&paths::slot("new", 7)).await.unwrap();
    assert_eq!(record, json!({ "id": 7, "group_id": 1, "action": {} }));
}

/// The last proxy stops, the dashboard is killed and leaves its lock, another one takes over and
/// stops as it should.
pub async fn shutdown(life: &mut Life) {
    assert_eq!(stdout(&life.on_proxy(0, &["--shutdown"])), "");
    assert!(life.proxies[0].process.ended().await.success());
    let told = refusal(&life.on_proxy(0, &["--shutdown"]));
    assert!(told.contains("is codis-proxy running"), "{told}");

    // A dashboard that stands by would lead, and be found.
    life.standby = None;
    life.board.process.kill();
    let removed = life.on_store(&["--remove-lock", "--product=demo"]);
    assert_eq!(stdout(&removed), "");
    assert_eq!(life.record(&paths::topom(PRODUCT)).await, None);
    let listed = |product: &str| {
        let list = parsed(&life.on_store(&["--dashboard-list"]));
        let rows = list.as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["name"] == product);
        row.unwrap()["dashboard"].as_str().unwrap().to_owned()
    };
    assert_eq!((listed("demo"), listed("copy")), Default::default());

    let groups = life.records.list(&paths::groups(PRODUCT)).await.unwrap();
    life.another_board().await;
    let again = life.asked(&["--list-group"]);
    assert_eq!(again.as_array().unwrap().len(), groups.len());
    life.done(&["--shutdown"]);
    assert!(life.board.process.ended().await.success());
    until("the lock is released", async || {
        life.record(&paths::topom(PRODUCT)).await.is_none()
    })
    .await;
}
