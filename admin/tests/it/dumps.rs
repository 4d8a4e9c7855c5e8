//! `--config-dump` and `--config-restore`: what was dumped is what is restored, or nothing is.

use std::path::{Path, PathBuf};

use codis_core::paths;
use codis_runtime::coordinator::{self, Shared};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::board::Board;
use crate::stores::{Kind, Store};
use crate::tool::{admin, refusal, stderr, stdout};

/// A coordinator as the tool and as the test see it.
struct Place {
    option: String,
    store: Shared,
}

impl Place {
    async fn open(name: &str, addr: &str) -> Self {
        Self {
            option: format!("--{name}={addr}"),
            store: coordinator::open(name, addr, "").await.unwrap(),
        }
    }

    async fn directory(dir: &TempDir) -> Self {
        Self::open("filesystem", dir.path().join("store").to_str().unwrap()).await
    }

    fn run(&self, words: &[&str]) -> std::process::Output {
        admin(&[&[self.option.as_str()], words].concat())
    }

    fn dump(&self, product: &str) -> Value {
        let product = format!("--product={product}");
        let text = stdout(&self.run(&["--config-dump", &product]));
        serde_json::from_str(&text).unwrap()
    }

    fn restore(&self, file: &Path, more: &[&str]) -> std::process::Output {
        let file = format!("--config-restore={}", file.display());
        self.run(&[&[file.as_str(), "--product=demo"], more].concat())
    }

    async fn record(&self, path: &str) -> Option<Value> {
        let text = self.store.read(path).await.unwrap()?;
        Some(serde_json::from_slice(&text).unwrap())
    }
}

fn save(dir: &TempDir, name: &str, dump: &Value) -> PathBuf {
    let file = dir.path().join(name);
    std::fs::write(&file, dump.to_string()).unwrap();
    file
}

/// A product with offline slots, a migration under way, sentinels and our own records.
fn full() -> Value {
    let server = |addr: &str| {
        json!({
            "server": addr, "datacenter": "", "action": {}, "replica_group": false,
        })
    };
    let group = |id: u32, servers: Value| {
        json!({
            "id": id, "servers": servers, "promoting": {}, "out_of_sync": false,
        })
    };
    let slot = |id: u16| {
        let moving = json!({ "index": 1, "state": "migrating", "target_id": 2 });
        match id {
            0..=511 => json!({ "id": id, "group_id": 1, "action": {} }),
            512 => json!({ "id": id, "group_id": 1, "action": moving }),
            _ => json!({ "id": id, "group_id": 0, "action": {} }),
        }
    };
    json!({
        "slots": (0..1024).map(slot).collect::<Vec<_>>(),
        "group": [
            group(1, json!([server("127.0.0.1:6379"), server("127.0.0.1:6380")])),
            group(2, json!([server("127.0.0.1:6381")])),
        ],
        "proxy": [{
            "id": 1, "token": "383dfb3741adae9aba28c3617fcd8a12", "start_time": "now",
            "admin_addr": "127.0.0.1:11080", "proto_type": "tcp4",
            "proxy_addr": "127.0.0.1:19000", "product_name": "demo", "pid": 7, "pwd": "/",
            "sys": "Linux", "hostname": "h", "datacenter": "",
        }],
        "sentinel": { "servers": ["127.0.0.1:26379"], "out_of_sync": false },
        "ha": {
            "group-0001": { "group_id": 1, "epoch": 7, "master": "127.0.0.1:6379", "run_id": "",
                "source": "dashboard", "adopted_at": "" },
            "leader": { "term": 4, "token": "t" },
            "slot-action": { "interval": 5, "disabled": true },
        },
    })
}

async fn what_was_dumped_is_restored(name: &str, addr: &str) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(name, addr).await;
    let file = save(&dir, "dump", &full());

    let shown = place.restore(&file, &[]);
    let printed: Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert_eq!(printed, full(), "it shows what it would write");
    assert!(stderr(&shown).contains("--confirm"), "{shown:?}");
    assert!(
        stderr(&shown).contains("1 slots whose migration"),
        "{shown:?}"
    );
    assert_eq!(place.record(&paths::group("demo", 1)).await, None);

    assert_eq!(stdout(&place.restore(&file, &["--confirm"])), "");
    let mut expected = full();
    expected["ha"]["leader"]["term"] = json!(1004);
    assert_eq!(place.dump("demo"), expected);
    assert_eq!(place.record("/codis3/demo/ha/restore").await, None);
    assert_eq!(
        place.record(&paths::slot("demo", 1023)).await,
        None,
        "no record says offline"
    );

    let told = refusal(&place.restore(&file, &["--confirm"]));
    assert!(told.contains("product demo is not empty"), "{told}");
    let told = refusal(&place.restore(&file, &["--confirm", "--force"]));
    assert!(told.contains("product demo is not empty"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    what_was_dumped_is_restored("filesystem", dir.path().to_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_is_restored() {
    let server = Store::start(Kind::Etcd);
    what_was_dumped_is_restored("etcd", &server.addr()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_is_restored() {
    let server = Store::start(Kind::ZooKeeper);
    what_was_dumped_is_restored("zookeeper", &server.addr()).await;
}

/// A record below the place of the sentinel record, where a directory has no room for both: the
/// piece of the restore that holds the sentinels fails, after those of the slots.
const OBSTACLE: &str = "/codis3/demo/sentinel/obstacle";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_was_cut_short_is_finished_by_the_same_command() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::directory(&dir).await;
    let file = save(&dir, "dump", &full());
    place.store.create(OBSTACLE, b"{}").await.unwrap();
    let told = refusal(&place.restore(&file, &["--confirm"]));
    assert!(told.contains("give the same command again"), "{told}");
    assert!(place.record(&paths::slot("demo", 3)).await.is_some());
    assert!(place.record("/codis3/demo/ha/restore").await.is_some());

    let mut changed = full();
    changed["group"] = json!([changed["group"][0]]);
    changed["slots"] = json!([{ "id": 1, "group_id": 1, "action": {} }]);
    let another = save(&dir, "another", &changed);
    let told = refusal(&place.restore(&another, &["--confirm"]));
    assert!(told.contains("cut short"), "{told}");

    place.store.delete(OBSTACLE).await.unwrap();
    place.store.delete("/codis3/demo/sentinel").await.unwrap();
    let resumed = place.restore(&file, &["--confirm"]);
    assert_eq!(stdout(&resumed), "");
    assert!(stderr(&resumed).contains("going on"), "{resumed:?}");
    let mut expected = full();
    expected["ha"]["leader"]["term"] = json!(1004);
    assert_eq!(place.dump("demo"), expected);
    assert_eq!(place.record("/codis3/demo/ha/restore").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cut_restore_left_is_replaced_when_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::directory(&dir).await;
    place.store.create(OBSTACLE, b"{}").await.unwrap();
    refusal(&place.restore(&save(&dir, "dump", &full()), &["--confirm"]));
    place.store.delete(OBSTACLE).await.unwrap();
    place.store.delete("/codis3/demo/sentinel").await.unwrap();

    let mut other = full();
    other["group"] = json!([other["group"][0]]);
    other["slots"] = json!([{ "id": 1, "group_id": 1, "action": {} }]);
    let file = save(&dir, "other", &other);
    stdout(&place.restore(&file, &["--confirm", "--force"]));
    let dump = place.dump("demo");
    assert_eq!(dump["group"], other["group"]);
    assert_eq!(
        dump["slots"][0]["group_id"], 0,
        "nothing of the first is left"
    );
    assert_eq!(dump["slots"][1]["group_id"], 1);
    assert_eq!(place.record(&paths::slot("demo", 0)).await, None);
    assert_eq!(place.record(&paths::group("demo", 2)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_the_original_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::directory(&dir).await;
    let mut dump = full();
    let members = dump.as_object_mut().unwrap();
    members.remove("sentinel");
    members.remove("ha");
    let file = save(&dir, "dump", &dump);
    stdout(&place.restore(&file, &["--confirm"]));
    let restored = place.dump("demo");
    assert_eq!(restored["slots"], dump["slots"]);
    assert_eq!(restored["group"], dump["group"]);
    assert_eq!(restored["proxy"], dump["proxy"]);
    assert_eq!(restored["sentinel"], json!({ "out_of_sync": false }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_dashboard_is_not_written_below() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::directory(&dir).await;
    let file = save(&dir, "dump", &full());
    let board = Board::content().await;
    let topom = |addr: &str| json!({ "admin_addr": addr, "product_name": "demo" }).to_string();
    let lock = paths::topom("demo");
    let text = topom(&board.addr);
    place.store.update(&lock, text.as_bytes()).await.unwrap();
    let told = refusal(&place.restore(&file, &["--confirm"]));
    assert!(told.contains("--shutdown"), "{told}");
    assert_eq!(place.record(&paths::group("demo", 1)).await, None);

    // The record of one that is gone is in nobody's way.
    let text = topom("127.0.0.1:1");
    place.store.update(&lock, text.as_bytes()).await.unwrap();
    stdout(&place.restore(&file, &["--confirm"]));
    assert!(place.record(&paths::group("demo", 1)).await.is_some());
}

#[tokio::test]
async fn a_dump_that_contradicts_itself_is_refused_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::directory(&dir).await;
    let mut bad = full();
    bad["slots"][5]["group_id"] = json!(7);
    bad["slots"][6].as_object_mut().unwrap().remove("id");
    let file = save(&dir, "bad", &bad);
    for more in [&[][..], &["--confirm"]] {
        let told = refusal(&place.restore(&file, more));
        assert!(
            told.contains("slot-0005 with group-0007 doesn't exist or empty"),
            "{told}"
        );
        assert!(told.contains("slots[6] has no `id`"), "{told}");
    }
    for text in ["", "[]", "{}", "{\"group\": 7}", "{\"servers\": {}}"] {
        let file = dir.path().join("odd");
        std::fs::write(&file, text).unwrap();
        refusal(&place.restore(&file, &["--confirm"]));
    }
    assert_eq!(
        place.store.list("/codis3/demo").await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_middle_of_an_edit_is_no_dump() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::directory(&dir).await;
    stdout(&place.restore(&save(&dir, "dump", &full()), &["--confirm"]));
    let edit = "/codis3/demo/ha/edit";
    place.store.create(edit, b"{}").await.unwrap();
    let told = refusal(&place.run(&["--config-dump", "--product=demo"]));
    assert!(told.contains("start codis-dashboard"), "{told}");
    place.store.delete(edit).await.unwrap();
    assert_eq!(place.dump("demo")["group"], full()["group"]);
}
