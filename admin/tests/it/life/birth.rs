//! A cluster is put together.

use codis_core::paths;
use serde_json::json;

use super::bed::{Life, PRODUCT, call, info, parsed, until};
use crate::tool::stdout;

/// The dashboard is found, and tells of itself.
pub async fn dashboard(life: &Life) {
    let list = parsed(&life.on_store(&["--dashboard-list"]));
    assert_eq!(
        list,
        json!([{ "name": PRODUCT, "dashboard": life.board.addr }])
    );
    assert_eq!(life.asked(&["model"])["admin_addr"], life.board.addr);
    assert_eq!(life.asked(&[])["config"]["product_name"], PRODUCT);
    for part in ["config", "stats", "slots", "group", "proxy"] {
        assert!(!life.asked(&[part]).is_null(), "{part}");
    }
    life.done(&["--log-level=debug"]);
    life.refused(&["--log-level=loud"], "invalid loglevel");
}

/// Group 1 has a master and a replica in another data centre, group 2 a master, group 3 nothing.
pub async fn groups(life: &Life) {
    let [a, b, c, _] = life.servers.as_slice() else {
        panic!("four servers");
    };
    for gid in ["--gid=1", "--gid=2", "--gid=3"] {
        life.done(&["--create-group", gid]);
    }
    life.refused(&["--create-group", "--gid=1"], "group-[1] already exists");
    life.refused(&["--create-group", "--gid=10000"], "invalid group id");
    let (at_a, at_b, at_c) = (addr(&a.addr), addr(&b.addr), addr(&c.addr));
    life.done(&["--group-add", "--gid=1", &at_a]);
    life.done(&["--group-add", "--gid=1", &at_b, "--datacenter=east"]);
    life.done(&["--group-add", "--gid=2", &at_c]);
    life.refused(&["--group-add", "--gid=2", &at_a], "already exists");
    life.refused(
        &["--group-add", "--gid=2", "--addr=127.0.0.1:1"],
        "127.0.0.1:1",
    );
    let group = life.group(1).await;
    assert_eq!(group.servers.len(), 2);
    assert_eq!(group.servers[1].datacenter, "east");
    assert_eq!(life.group(2).await.servers.len(), 1);

    // The new server follows nobody until it is told to.
    let row = |mark: &str, index: usize, server: &str, link: &str| {
        format!("[{mark}] group-1 [{index}] {server} ==> {link}")
    };
    status(life, &row("X", 1, &b.addr, "NO:ONE")).await;
    life.done(&["--sync-action", "--create", &at_b]);
    status(life, &row(" ", 1, &b.addr, &format!("{}:up", a.addr))).await;
    status(life, &row(" ", 0, &a.addr, "NO:ONE")).await;
    assert_eq!(info(&b.addr, "role").await.as_deref(), Some("slave"));
    until("the order is marked as taken", async || {
        life.group(1).await.servers[1].action.state == codis_core::model::ActionState::Synced
    })
    .await;
    life.done(&["--sync-action", "--remove", &at_b]);
    assert_eq!(
        life.group(1).await.servers[1].action,
        codis_core::model::ServerAction::default()
    );
    life.refused(
        &["--sync-action", "--remove", &at_b],
        "action doesn't exist",
    );
}

/// Most slots have a group; the last sixteen are offline.
pub async fn slots(life: &Life) {
    let one = ["--slots-assign", "--beg=0", "--end=503", "--gid=1"];
    let shown = life.asked(&one);
    assert_eq!(shown.as_array().unwrap().len(), 504);
    assert_eq!(life.owner(0).await, 0, "it was only shown");
    life.done(&[&one[..], &["--confirm"]].concat());
    life.done(&[
        "--slots-assign",
        "--beg=504",
        "--end=1007",
        "--gid=2",
        "--confirm",
    ]);
    life.refused(
        &[
            "--slots-assign",
            "--beg=0",
            "--end=0",
            "--gid=3",
            "--confirm",
        ],
        "group-[3] is empty",
    );
    assert_eq!((life.owner(0).await, life.owner(503).await), (1, 1));
    assert_eq!((life.owner(504).await, life.owner(1008).await), (2, 0));
    let slots = life.asked(&["slots"]);
    assert_eq!(slots[1007]["group_id"], 2);
    assert_eq!(slots[1008]["group_id"], 0);
    let wanted = life.asked(&["--slots-status"]);
    assert_eq!(wanted[0]["backend_addr"], life.servers[0].addr);
}

/// Two proxies join: one by a command, the other as if it had called itself.
pub async fn proxies(life: &mut Life) {
    life.proxy().await;
    life.proxy().await;
    let [one, two] = life.proxies.as_slice() else {
        panic!("two proxies");
    };
    let (at_one, at_two) = (addr(&one.admin), addr(&two.admin));
    life.done(&["--create-proxy", &at_one]);
    life.refused(&["--create-proxy", &at_one], "already exists");
    life.done(&["--online-proxy", &at_two]);
    let list = life.asked(&["--list-proxy"]);
    assert_eq!((&list[0]["id"], &list[1]["id"]), (&json!(1), &json!(2)));
    let token = list[0]["token"].as_str().unwrap();
    let record = life.record(&paths::proxy(PRODUCT, token)).await.unwrap();
    assert_eq!(record["admin_addr"], one.admin);
    until("both proxies are marked as fine", async || {
        let table = stdout(&life.on_board(&["--proxy-status"]));
        let row = format!(
            "[ ] proxy-1 [T] {token} [A] {} [P] {}\n",
            one.admin, one.data
        );
        table.starts_with(&row) && table.contains("[ ] proxy-2 ")
    })
    .await;
    life.proxies_in_step().await;
    for n in 0..100 {
        let key = format!("key-{n}");
        let set = call(&one.data, &["SET", &key, "v"]).await;
        // The offline slots have no server yet.
        if codis_core::slot::SlotId::of_key(key.as_bytes()).get() < 1008 {
            set.unwrap();
        }
    }
    assert!(info(&life.servers[0].addr, "db0").await.is_some());
    assert!(info(&life.servers[2].addr, "db0").await.is_some());
}

/// Waits for a line of the group status; blanks in rows do not count.
pub async fn status(life: &Life, line: &str) {
    until(line, async || {
        let table = stdout(&life.on_board(&["--group-status"]));
        let mut rows = table.lines().map(|row| {
            let (mark, rest) = row.split_at(4.min(row.len()));
            let words: Vec<&str> = rest.split_whitespace().collect();
            format!("{mark}{}", words.join(" "))
        });
        rows.any(|row| row == line)
    })
    .await;
}

/// `--addr=ADDR`.
pub fn addr(addr: &str) -> String {
    format!("--addr={addr}")
}
