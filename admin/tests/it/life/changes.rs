//! What is done to a cluster that serves.

use codis_core::{paths, xauth};
use serde_json::json;

use super::bed::{Life, PRODUCT, call, info, parsed, until};
use super::birth::{addr, status};
use crate::tool::{refusal, stdout};

/// A proxy is told what to do, by itself and through the dashboard.
pub async fn proxy(life: &Life) {
    let model = parsed(&life.on_proxy(0, &["model"]));
    assert_eq!(model["product_name"], PRODUCT);
    assert!(parsed(&life.on_proxy(0, &[]))["stats"].is_object());
    for (words, auth) in [
        (["--start", ""], true),
        (["--log-level=debug", ""], true),
        (["--forcegc", ""], true),
        (["--reset-stats", ""], true),
        (["--reset-stats", "--auth=wrong"], false),
    ] {
        let output = life.on_proxy(0, &words);
        if auth {
            assert_eq!(stdout(&output), "", "{words:?}");
        } else {
            let told = refusal(&output);
            assert!(told.contains("--auth"), "{told}");
        }
    }

    // A slot is locked at the one proxy by hand; the dashboard puts it right.
    let wanted = life.asked(&["--slots-status"]);
    let file = life.file("slots.json");
    std::fs::write(&file, json!([wanted[0]]).to_string()).unwrap();
    let fill = format!("--fillslots={file}");
    assert_eq!(stdout(&life.on_proxy(0, &[&fill, "--locked"])), "");
    assert_eq!(stdout(&life.on_proxy(0, &[&fill])), "");
    life.done(&["--reinit-proxy", "--pid=1"]);
    let all = stdout(&life.on_board(&["--reinit-proxy", "--all"]));
    assert_eq!(all.matches("reinit proxy: {\n").count(), 2, "{all}");
    life.proxies_in_step().await;
}

/// Proxies read from a replica, or not.
pub async fn replicas(life: &Life) {
    let replica = addr(&life.servers[1].addr);
    let one = ["--replica-groups", "--gid=1", replica.as_str()];
    let read_from = async |count: usize| {
        until("the proxies read from so many servers", async || {
            let slots = parsed(&life.on_proxy(0, &["slots"]));
            let lists = slots[0]["replica_groups"].as_array();
            let servers = lists.into_iter().flatten();
            let servers = servers.map(|list| list.as_array().map_or(0, Vec::len));
            servers.sum::<usize>() == count
        })
        .await;
    };
    life.done(&[&one[..], &["--enable"]].concat());
    assert!(life.group(1).await.servers[1].replica_group);
    life.done(&["--resync-group", "--gid=1"]);
    read_from(1).await;
    life.done(&["--replica-groups", "--all", "--enable"]);
    life.done(&["--resync-group", "--all"]);
    read_from(2).await;
    life.done(&["--replica-groups", "--all", "--disable"]);
    life.done(&[&one[..], &["--disable"]].concat());
    life.done(&["--resync-group", "--all"]);
    read_from(0).await;
    assert!(!life.group(1).await.out_of_sync);
    life.refused(&["--resync-group", "--gid=9"], "group-[9] doesn't exist");
}

/// The replica of group 1 becomes its master.
pub async fn promotion(life: &Life) {
    let (old, new) = (&life.servers[0].addr, &life.servers[1].addr);
    life.refused(
        &["--promote-server", "--gid=1", &addr(old)],
        "group-[1] can't promote master",
    );
    let table = stdout(&life.on_board(&["--promote-server", "--gid=1", &addr(new)]));
    assert!(table.contains("group-1 [0] "), "{table}");
    assert_eq!(life.group(1).await.servers[0].addr, *new);
    assert_eq!(info(new, "role").await.as_deref(), Some("master"));
    until("the old master follows the new one", async || {
        info(old, "role").await.as_deref() == Some("slave")
            && info(old, "master_link_status").await.as_deref() == Some("up")
    })
    .await;
    status(life, &format!("[ ] group-1 [1] {old} ==> {new}:up")).await;
    until("the promotion is over", async || {
        life.group(1).await.promoting.state == codis_core::model::ActionState::Nothing
    })
    .await;
    life.proxies_in_step().await;
    let slots = parsed(&life.on_proxy(1, &["slots"]));
    assert_eq!(slots[0]["backend_addr"], *new);
    for n in 0..100 {
        let key = format!("again-{n}");
        call(&life.proxies[1].data, &["SET", &key, "v"])
            .await
            .unwrap();
    }
}

/// Sentinels watch the groups, and one of them leaves.
pub async fn sentinels(life: &mut Life) {
    for _ in 0..3 {
        life.sentinel().await;
    }
    let life = &*life;
    for sentinel in &life.sentinels {
        life.done(&["--sentinel-add", &addr(&sentinel.addr)]);
    }
    life.done(&["--sentinel-resync"]);
    for sentinel in &life.sentinels {
        let watches = async || {
            let name = paths::monitored_group(PRODUCT, "demo-1").map(|_| "demo-1");
            let words = ["SENTINEL", "get-master-addr-by-name", name.unwrap()];
            let told = call(&sentinel.addr, &words).await.ok()?;
            let told: (String, String) = redis::from_redis_value(told).ok()?;
            Some(format!("{}:{}", told.0, told.1))
        };
        until("the sentinel watches the master of group 1", async || {
            watches().await.as_ref() == Some(&life.servers[1].addr)
        })
        .await;
    }
    let record = life.record(&paths::sentinel(PRODUCT)).await.unwrap();
    assert_eq!(record["servers"].as_array().unwrap().len(), 3);
    let last = addr(&life.sentinels[2].addr);
    life.done(&["--sentinel-del", &last, "--force"]);
    let record = life.record(&paths::sentinel(PRODUCT)).await.unwrap();
    assert_eq!(record["servers"].as_array().unwrap().len(), 2);
    life.refused(&["--sentinel-del", &last], "not found");
}

/// What is not needed leaves: slots, a server, a group, a proxy.
pub async fn shrink(life: &mut Life) {
    let offline = ["--slots-assign", "--beg=1020", "--end=1023", "--offline"];
    life.done(&[&offline[..], &["--confirm"]].concat());
    assert_eq!((life.owner(1019).await, life.owner(1020).await), (2, 0));
    let (master, replica) = (addr(&life.servers[1].addr), addr(&life.servers[0].addr));
    life.refused(
        &["--group-del", "--gid=1", &master],
        "group-[1] can't remove master, still in use",
    );
    life.done(&["--group-del", "--gid=1", &replica]);
    assert_eq!(life.group(1).await.servers.len(), 1);
    life.refused(&["--remove-group", "--gid=1"], "group-[1] isn't empty");
    life.done(&["--remove-group", "--gid=3"]);
    assert_eq!(life.record(&paths::group(PRODUCT, 3)).await, None);
    life.done(&["--reload"]);

    let list = life.asked(&["--list-proxy"]);
    let token = list[1]["token"].as_str().unwrap().to_owned();
    let told = refusal(&life.on_board(&["--remove-proxy", "--pid=9"]));
    assert!(
        told.contains("can't find specific proxy with id = 9"),
        "{told}"
    );
    life.done(&["--remove-proxy", "--pid=2"]);
    assert_eq!(life.record(&paths::proxy(PRODUCT, &token)).await, None);
    let mut gone = life.proxies.remove(1);
    assert!(gone.process.ended().await.success());
    let secret = xauth::proxy(PRODUCT, "", &token);
    assert!(!gone.process.log().contains(&secret));
    life.proxies_in_step().await;
}
