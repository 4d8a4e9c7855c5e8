//! Every change is recorded, with its outcome.

mod orders;

use serde_json::{Value, json};

use crate::bed::{Bed, Dashboard, call};

async fn newest(dashboard: &Dashboard, n: usize) -> Vec<Value> {
    let xauth = codis_core::xauth::dashboard(crate::bed::PRODUCT);
    let told = dashboard
        .get(&format!("/api/topom/audit/{xauth}/{n}"))
        .await;
    told.as_array().unwrap().clone()
}

/// What a caller is told of, apart from the dashboard's own doings.
async fn of_callers(dashboard: &Dashboard) -> Vec<Value> {
    let mut all = newest(dashboard, 1000).await;
    all.retain(|entry| entry["from"] != "dashboard");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_with_before_after_and_outcome() {
    let bed = Bed::new();
    let file = bed.path("audit/log.jsonl");
    let line = format!("audit_log = \"{}\"\n", file.display());
    let mut dashboard = bed.dashboard_with(&line).await;
    dashboard.put("group/create/X/1").await;
    dashboard.refused("group/create/X/1").await;
    let redis = bed.redis().await;
    dashboard
        .put(&format!("group/add/X/1/{}", redis.addr))
        .await;
    dashboard.give(0..=1023, 1).await;
    dashboard.put("loglevel/X/debug").await;
    dashboard.refused("group/create/wrong/2").await;
    let told = of_callers(&dashboard).await;
    let of = |what: &str, kind: &str| -> Vec<&Value> {
        told.iter()
            .filter(|e| e["what"] == what && e["kind"] == kind)
            .collect()
    };
    let created = of("group/create/1", "change");
    assert_eq!(created.len(), 1);
    let record = &created[0]["records"][0];
    assert_eq!(record["record"], "group-[1]");
    assert_eq!(record["before"], Value::Null);
    assert_eq!(record["after"]["servers"], json!([]));
    let calls = of("group/create/1", "call");
    assert_eq!(calls[0]["outcome"], "done");
    assert_eq!(calls[1]["outcome"], "refused");
    assert_eq!(calls[1]["cause"], "group-[1] already exists");
    assert!(calls[1]["took_ms"].is_u64() && calls[1]["at"].is_string());
    let slots: Vec<&Value> = of("slots/assign", "change");
    let records: Vec<&Value> = slots
        .iter()
        .flat_map(|e| e["records"].as_array().unwrap())
        .filter(|r| r["record"].as_str().unwrap().starts_with("slot-"))
        .collect();
    assert!(records.len() <= 1024 / 64, "neighbours are told together");
    for record in &records {
        assert_eq!(record["before"]["group_id"], 0);
        assert_eq!(record["after"]["group_id"], 1);
    }
    assert_eq!(of("loglevel/debug", "call")[0]["outcome"], "done");
    let stranger = of("group/create/2", "call");
    assert_eq!(
        stranger[0]["outcome"], "refused",
        "a wrong secret is told, and not shown"
    );
    dashboard.put("shutdown/X").await;
    assert!(dashboard.process.ended().await.success());
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for entry in &told {
        assert!(lines.contains(entry), "not in the file: {entry}");
    }
    let last = lines.iter().rfind(|e| e["kind"] == "call").unwrap();
    assert_eq!(last["what"], "shutdown");
    let secret = codis_core::xauth::dashboard(crate::bed::PRODUCT);
    assert!(!text.contains(&secret), "the secret opens the API");
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_are_told_and_numbers_are_checked() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let xauth = codis_core::xauth::dashboard(crate::bed::PRODUCT);
    let path = format!("/api/topom/group/create/{xauth}/7");
    let forwarded = format!(
        "{path} HTTP/1.1\r\nX-Forwarded-For: 10.1.2.3\r\nUser-Agent: codis-ha/3.3\r\nX-Rest: "
    );
    // The helper writes the path as it is: a header goes with it.
    let answer = call(&dashboard.addr, "PUT", &forwarded, "").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let entries = of_callers(&dashboard).await;
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        assert_eq!(entry["for"], "10.1.2.3", "{entry}");
        assert_eq!(entry["agent"], "codis-ha/3.3", "{entry}");
        assert!(entry["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
    assert_eq!(newest(&dashboard, 1).await.len(), 1);
    for (n, cause) in [
        ("0", "invalid n = 0, expected 1 to 1000"),
        ("1001", "invalid n = 1001, expected 1 to 1000"),
        ("x", "invalid n"),
    ] {
        let path = format!("/api/topom/audit/{xauth}/{n}");
        let answer = call(&dashboard.addr, "GET", &path, "").await.unwrap();
        assert_eq!((answer.status, answer.cause().as_str()), (800, cause));
    }
}
