//! Routes, errors and records in the form of Codis.

use crate::bed::{Bed, call};

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_as_status_800_in_the_words_of_codis() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    for (path, cause) in [
        ("group/create/X/0", "invalid group id = 0, out of range"),
        ("group/create/X/one", "invalid gid"),
        ("group/remove/X/7", "group-[7] doesn't exist"),
        ("group/resync/X/7", "group-[7] doesn't exist"),
        ("group/promote/X/7/127.0.0.1:1", "group-[7] doesn't exist"),
        ("group/add/X/1/nonsense", "invalid server address"),
        (
            "group/action/create/X/127.0.0.1:1",
            "server-[127.0.0.1:1] doesn't exist",
        ),
        ("proxy/reinit/X/t", "proxy-[t] doesn't exist"),
        ("proxy/remove/X/t/yes", "invalid force"),
        (
            "sentinels/del/X/127.0.0.1:1/0",
            "sentinel-[127.0.0.1:1] not found",
        ),
        ("loglevel/X/loud", "invalid loglevel"),
        (
            "group/create/wrong/1",
            "invalid xauth, please check product name & auth",
        ),
    ] {
        assert_eq!(dashboard.refused(path).await, cause, "{path}");
    }
    let unreachable = dashboard.refused("group/add/X/1/127.0.0.1:1").await;
    assert!(unreachable.contains("refused"), "{unreachable}");
    let answer = dashboard.try_put("group/create/X/0", "").await;
    assert!(
        answer.head.starts_with("HTTP/1.1 800 status code 800"),
        "{}",
        answer.head
    );
    assert_eq!(
        answer.body,
        "{\n    \"Cause\": \"invalid group id = 0, out of range\",\n    \"Stack\": null\n}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_read_strictly_and_unknown_routes_are_404() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    for body in ["", "{", "[null]", "[{\"id\":\"x\"}]", "{\"id\":1}"] {
        let answer = dashboard.try_put("slots/assign/X", body).await;
        assert_eq!(answer.status, 800, "{body}: {}", answer.body);
        assert!(
            answer.cause().starts_with("invalid JSON body"),
            "{}",
            answer.cause()
        );
    }
    let too_high = dashboard
        .try_put("slots/assign/X", "[{\"id\":1024,\"group_id\":1}]")
        .await;
    assert_eq!(too_high.cause(), "slot-[1024] doesn't exist");
    for (method, path) in [
        ("GET", "/nowhere"),
        ("PUT", "/topom"),
        ("PUT", "/api/topom/slots/action/x"),
    ] {
        let answer = call(&dashboard.addr, method, path, "").await.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (404, "404 page not found"),
            "{path}"
        );
    }
    let root = call(&dashboard.addr, "GET", "/", "").await.unwrap();
    assert_eq!(root.status, 302);
    for path in [
        "/live",
        "/ready",
        "/metrics",
        "/topom/",
        "/topom/slots",
        "/api/topom/model",
    ] {
        assert_eq!(
            call(&dashboard.addr, "GET", path, "").await.unwrap().status,
            200,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_has_the_shape_of_codis_and_records_their_stored_form() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    dashboard.put("group/create/X/2").await;
    let group = || bed.record("/codis3/demo/group/group-0002").unwrap();
    assert_eq!(group(), include_str!("golden/group-empty.json"));
    let redis = bed.redis().await;
    dashboard
        .put(&format!("group/add/X/2/{}/dc1", redis.addr))
        .await;
    let golden = include_str!("golden/group.json");
    assert_eq!(group(), golden.replace("ADDR", &redis.addr));
    dashboard.give(7..=7, 2).await;
    let slot = bed.record("/codis3/demo/slots/slot-0007").unwrap();
    assert_eq!(slot, include_str!("golden/slot.json"));
    let overview = dashboard.get("/topom").await;
    assert_eq!(overview["config"]["sentinel_down_after"], "3s");
    assert_eq!(overview["stats"]["slots"].as_array().unwrap().len(), 1024);
    assert_eq!(overview["model"], dashboard.get("/topom/model").await);
    let slots = dashboard.get("/topom/slots").await;
    assert_eq!(slots[7]["backend_addr"], redis.addr);
    assert_eq!(
        slots[1023],
        serde_json::json!({ "id": 1023, "forward_method": 1 })
    );
    let info = dashboard
        .get(&format!("/api/topom/group/info/{}", redis.addr))
        .await;
    assert_eq!(info["maxmemory"], "0");
    let stranger = call(
        &dashboard.addr,
        "GET",
        "/api/topom/group/info/127.0.0.1:1",
        "",
    )
    .await
    .unwrap();
    assert_eq!(stranger.cause(), "server-[127.0.0.1:1] doesn't exist");
}
