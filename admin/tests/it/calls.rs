//! Which calls the commands make, what is printed of the answers, and which dashboard is asked.

use serde_json::json;

use crate::board::{Board, error};
use crate::tool::{admin, admin_with, refusal, stderr, stdout};

/// A command and the one call that it makes.
const CALLS: &[(&str, &str)] = &[
    ("--shutdown", "shutdown/X"),
    ("--reload", "reload/X"),
    ("--log-level=debug", "loglevel/X/debug"),
    ("--create-proxy --addr=p:1", "proxy/create/X/p:1"),
    ("--online-proxy -x p:1", "proxy/online/X/p:1"),
    ("--create-group --gid=3", "group/create/X/3"),
    ("--remove-group -g 3", "group/remove/X/3"),
    ("--resync-group --gid=3", "group/resync/X/3"),
    ("--resync-group --all", "group/resync-all/X"),
    ("--group-add --gid=3 --addr=s:1", "group/add/X/3/s:1"),
    (
        "--group-add --gid=3 --addr=s:1 --datacenter=d/c",
        "group/add/X/3/s:1/d%2Fc",
    ),
    (
        "--group-add --gid=3 --addr=s:1 --force",
        "group/add/X/3/s:1?force=1",
    ),
    ("--group-del --gid=3 --addr=s:1", "group/del/X/3/s:1"),
    (
        "--replica-groups --gid=3 --addr=s:1 --enable",
        "group/replica-groups/X/3/s:1/1",
    ),
    (
        "--replica-groups --all --disable",
        "group/replica-groups-all/X/0",
    ),
    (
        "--sync-action --create --addr=s:1",
        "group/action/create/X/s:1",
    ),
    (
        "--sync-action --remove --addr=s:1",
        "group/action/remove/X/s:1",
    ),
    (
        "--slot-action --create --sid=7 --gid=2",
        "slots/action/create/X/7/2",
    ),
    ("--slot-action --remove --sid=7", "slots/action/remove/X/7"),
    ("--slot-action --cancel --sid=7", "slots/action/cancel/X/7"),
    (
        "--slot-action --create-some --gid-from=1 --gid-to=2 --num-slots=10",
        "slots/action/create-some/X/1/2/10",
    ),
    (
        "--slot-action --create-range --beg=0 --end=9 --gid=2",
        "slots/action/create-range/X/0/9/2",
    ),
    (
        "--slot-action --interval=1000",
        "slots/action/interval/X/1000",
    ),
    ("--slot-action --disabled=1", "slots/action/disabled/X/1"),
    ("--sentinel-add --addr=s:1", "sentinels/add/X/s:1"),
    ("--sentinel-del --addr=s:1", "sentinels/del/X/s:1/0"),
    ("--sentinel-del --addr=s:1 --force", "sentinels/del/X/s:1/1"),
    ("--sentinel-resync", "sentinels/resync-all/X"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_one_call_and_prints_nothing() {
    let board = Board::content().await;
    let option = board.option();
    for (words, call) in CALLS {
        let words: Vec<&str> = words.split(' ').collect();
        let all = [&[option.as_str()], words.as_slice()].concat();
        assert_eq!(stdout(&admin(&all)), "", "{words:?}");
        assert_eq!(board.changes(), [format!("PUT /api/topom/{call}")]);
        let with_json = [all.as_slice(), &["--output=json"]].concat();
        assert_eq!(stdout(&admin(&with_json)), "\"OK\"\n", "{words:?}");
        board.changes();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warning_beside_the_answer_is_told() {
    let board = Board::content().await;
    let words = [&board.option(), "--group-add", "--gid=3", "--addr=s:1"];
    let output = admin(&words);
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output), "codis-admin: warning: it holds 7 keys\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_assigned_only_when_confirmed() {
    let board = Board::content().await;
    let option = board.option();
    let words = [&option, "--slots-assign", "--beg=8", "--end=9", "--gid=2"];
    let output = admin(&words);
    let expected = json!([
        { "id": 8, "group_id": 2, "action": {} },
        { "id": 9, "group_id": 2, "action": {} },
    ]);
    let printed: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(printed, expected);
    assert!(stderr(&output).contains("--confirm"), "{output:?}");
    assert_eq!(board.changes(), Vec::<String>::new());

    stdout(&admin(&[&words[..], &["--confirm"]].concat()));
    let changes = board.changes();
    let (call, body) = changes[0].split_once(" [").unwrap();
    assert_eq!(call, "PUT /api/topom/slots/assign/X");
    let body: serde_json::Value = serde_json::from_str(&format!("[{body}")).unwrap();
    assert_eq!(body, expected);

    let offline = ["--slots-assign", "--beg=8", "--end=9", "--offline"];
    stdout(&admin(
        &[&[option.as_str()], &offline[..], &["--confirm"]].concat(),
    ));
    let changes = board.changes();
    assert!(
        changes[0].starts_with("PUT /api/topom/slots/assign/X/offline ["),
        "{changes:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_printed_as_the_original_prints_it() {
    let plan = |asked: &str| {
        let plan = json!({ "1": 2, "2": 2, "4": 2, "5": 1 }).to_string();
        asked.contains("/slots/rebalance/").then_some((200, plan))
    };
    let board = Board::start(plan).await;
    let option = board.option();
    let lines = "[0001,0002] => 2\n[0004,0004] => 2\n[0005,0005] => 1\ndone\n";
    assert_eq!(stdout(&admin(&[&option, "--rebalance"])), lines);
    assert_eq!(board.changes(), ["PUT /api/topom/slots/rebalance/X/0"]);
    assert_eq!(
        stdout(&admin(&[&option, "--rebalance", "--confirm"])),
        lines
    );
    assert_eq!(board.changes(), ["PUT /api/topom/slots/rebalance/X/1"]);
    stdout(&admin(&[&option, "--rebalance", "--by=memory"]));
    assert_eq!(
        board.changes(),
        ["PUT /api/topom/slots/rebalance/X/0?by=memory"]
    );
    let output = stdout(&admin(&[&option, "--rebalance", "--output=json"]));
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(output, json!({ "1": 2, "2": 2, "4": 2, "5": 1 }));

    let original = Board::start(move |asked| match asked {
        "GET /topom/slots/ranges" => Some((404, String::new())),
        _ => plan(asked),
    });
    let original = original.await;
    let words = [&original.option(), "--rebalance", "--by=keys", "--confirm"];
    let told = refusal(&admin(&words));
    assert!(told.contains("leave --by out"), "{told}");
    assert_eq!(original.changes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_ends_when_the_slots_have_moved() {
    // What the slot looks like at each look; the last look counts from then on.
    let slot = |group: u32, action| json!({ "id": 7, "group_id": group, "action": action });
    let moving = json!({ "index": 1, "state": "migrating", "target_id": 2 });
    let moves = vec![
        slot(1, json!({})),
        slot(1, moving.clone()),
        slot(1, moving.clone()),
        slot(2, json!({})),
    ];
    let stays = vec![slot(1, json!({})), slot(1, moving), slot(1, json!({}))];
    for (looks, code) in [(moves, 0), (stays, 1)] {
        let looks = std::sync::Mutex::new(looks.into_iter().rev().collect::<Vec<_>>());
        let board = Board::start(move |asked| {
            if asked != "GET /api/topom/stats/X" {
                return None;
            }
            let mut looks = looks.lock().unwrap();
            let last = looks.len() == 1;
            let slot = if last {
                looks.last().cloned()
            } else {
                looks.pop()
            };
            Some((200, json!({ "slots": [slot] }).to_string()))
        });
        let board = board.await;
        let option = board.option();
        let words = ["--slot-action", "--create", "--sid=7", "--gid=2", "--wait"];
        let output = admin(&[&[option.as_str()], &words[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert_eq!(
            code == 1,
            stderr(&output).contains("did not move"),
            "{}",
            stderr(&output)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_dashboard_that_leads_is_asked() {
    let dead = "127.0.0.1:1";
    let idle = Board::start(|asked| {
        let served = asked.contains("/model") || asked.contains("/xping/");
        (!served).then(|| error("topom is not online"))
    });
    let (idle, leader) = (idle.await, Board::content().await);
    let all = format!("{dead},{},{}", idle.addr, leader.addr);
    stdout(&admin_with(&all, &["--create-group", "--gid=1"]));
    assert_eq!(leader.changes(), ["PUT /api/topom/group/create/X/1"]);

    let refuses = Board::start(|asked| {
        asked
            .starts_with("PUT")
            .then(|| error("group-[1] already exists"))
    });
    let refuses = refuses.await;
    let all = format!("--dashboard={},{}", refuses.addr, leader.addr);
    let told = refusal(&admin(&[&all, "--create-group", "--gid=1"]));
    assert!(
        told.contains("[Remote Error] group-[1] already exists"),
        "{told}"
    );
    assert_eq!(leader.changes(), Vec::<String>::new(), "it was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_are_found_by_address_id_and_token() {
    let proxy =
        |id: u32, token: &str| json!({ "id": id, "token": token, "admin_addr": format!("p:{id}") });
    let stats = json!({ "proxy": { "models": [proxy(1, "aa"), proxy(2, "bb")], "stats": {} } });
    let stats = stats.to_string();
    let board = Board::start(move |asked| {
        (asked == "GET /api/topom/stats/X").then(|| (200, stats.clone()))
    });
    let board = board.await;
    let option = board.option();
    let run = |words: &[&str]| admin(&[&[option.as_str()], words].concat());
    for chosen in ["--addr=p:2", "--token=bb", "--pid=2"] {
        assert_eq!(stdout(&run(&["--remove-proxy", chosen])), "");
        assert_eq!(board.changes(), ["PUT /api/topom/proxy/remove/X/bb/0"]);
        assert_eq!(stdout(&run(&["--reinit-proxy", chosen])), "");
        assert_eq!(board.changes(), ["PUT /api/topom/proxy/reinit/X/bb"]);
    }
    let all = stdout(&run(&["--reinit-proxy", "--all"]));
    assert_eq!(all.matches("reinit proxy: {\n").count(), 2, "{all}");
    assert_eq!(board.changes().len(), 2);
    let all = stdout(&run(&["--reinit-proxy", "--all", "--output=json"]));
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all[1]["token"], "bb");

    let told = refusal(&run(&["--remove-proxy", "--addr=p:3"]));
    assert!(
        told.contains("can't find specific proxy with addr = p:3"),
        "{told}"
    );
    let told = refusal(&run(&["--remove-proxy", "--pid=3"]));
    assert!(
        told.contains("can't find specific proxy with id = 3"),
        "{told}"
    );
    stdout(&run(&["--remove-proxy", "--pid=3", "--force"]));
    let status = stdout(&run(&["--proxy-status"]));
    assert_eq!(
        status,
        "[?] proxy-1 [T] aa [A] p:1 [P]\n[?] proxy-2 [T] bb [A] p:2 [P]\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_the_dashboard_does_not_have_is_explained() {
    let board = Board::start(|asked| {
        asked
            .contains("/action/cancel/")
            .then(|| (404, "404 page not found".to_owned()))
    });
    let board = board.await;
    let told = refusal(&admin(&[
        &board.option(),
        "--slot-action",
        "--cancel",
        "--sid=1",
    ]));
    assert!(told.contains("does not know this call"), "{told}");
}
