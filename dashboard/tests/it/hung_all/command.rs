//! `codis-admin` while a server, a proxy and a sentinel hang.

use std::time::{Duration, Instant};

use crate::bed::{Hang, neighbour, until};

use super::world::World;

/// What a command is allowed: some calls, each of which is timed elsewhere, and the start of a
/// process on a busy machine.
const COMMAND_MAX: Duration = Duration::from_secs(15);

/// What a command printed, and whether it succeeded.
async fn run(world: &World, words: &str) -> (bool, String) {
    let mut command = tokio::process::Command::new(neighbour("codis-admin"));
    command.arg(format!("--dashboard={}", world.board.addr));
    command.args(words.split(' ')).kill_on_drop(true);
    let begun = Instant::now();
    let output = command.output().await.unwrap();
    let took = begun.elapsed();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(took < COMMAND_MAX, "{words}: {took:?}: {text}");
    (output.status.success(), text)
}

/// Commands that succeed, whatever hangs.
fn commands(world: &World) -> Vec<String> {
    let (replica, spare) = (&world.first[1].addr, &world.spare[0].addr);
    let (good, good_token) = (&world.good.1, &world.good_token);
    [
        "config",
        "model",
        "stats",
        "slots",
        "group",
        "proxy",
        "--list-group",
        "--list-proxy",
        "--slots-status",
        "--create-group --gid=9",
        &format!("--group-add --gid=9 --addr={spare}"),
        &format!("--replica-groups --gid=9 --addr={spare} --enable"),
        "--replica-groups --all --disable",
        "--resync-group --gid=1",
        "--resync-group --all",
        &format!("--sync-action --create --addr={replica}"),
        &format!("--sync-action --remove --addr={replica}"),
        &format!("--group-del --gid=9 --addr={spare}"),
        "--remove-group --gid=9",
        "--slots-assign --beg=5 --end=5 --gid=2 --confirm",
        "--slots-assign --beg=5 --end=5 --gid=1 --confirm",
        "--slot-action --disabled=1",
        "--slot-action --create --sid=310 --gid=5",
        "--slot-action --remove --sid=310",
        "--slot-action --create-range --beg=320 --end=320 --gid=5",
        "--slot-action --cancel --sid=320",
        "--slot-action --interval=0",
        "--slot-action --disabled=0",
        "--rebalance",
        "--rebalance --by=memory",
        &format!("--online-proxy --addr={good}"),
        &format!("--reinit-proxy --token={good_token}"),
        "--reload",
        "--log-level=info",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_an_operator_answer_while_peers_hang() {
    let mut world = World::new().await;
    world.add_sentinels().await;
    world.hang(Hang::Stopped).await;
    world.until_the_proxy_is_not_waited_for().await;
    for words in commands(&world) {
        let (succeeded, text) = run(&world, &words).await;
        assert!(succeeded, "{words}: {text}");
    }
    // It tells each sentinel.
    let (succeeded, text) = run(&world, "--sentinel-resync").await;
    let sentinel = world.sentinel.as_ref().unwrap().addr();
    assert!(!succeeded && text.contains(sentinel), "{text}");
    until("the status tells who hangs, and for how long", async || {
        let (_, groups) = run(&world, "--group-status").await;
        let (_, proxies) = run(&world, "--proxy-status").await;
        let is_told = |text: &str, name: &str| {
            let mut lines = text.lines().filter(|line| line.contains(name));
            lines.any(|line| line.contains("[T]") && line.contains("stale: no answer for "))
        };
        is_told(&groups, world.server.addr()) && is_told(&proxies, world.bad.addr())
    })
    .await;
    for (words, name, addr) in [
        (
            "--group-status --output=json",
            "server",
            world.server.addr(),
        ),
        (
            "--proxy-status --output=json",
            "admin_addr",
            world.bad.addr(),
        ),
    ] {
        let (_, text) = run(&world, words).await;
        let lines: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let hung = lines.iter().find(|line| line[name] == addr).unwrap();
        assert!(hung["age_ms"].as_u64() > Some(0), "{text}");
        let well = lines.iter().filter(|line| line.get("age_ms").is_none());
        assert!(well.count() > 0, "{text}");
    }
    let candidate = world.board.order(2).await.remove(1);
    let (succeeded, text) = run(
        &world,
        &format!("--promote-server --gid=2 --addr={candidate}"),
    )
    .await;
    assert!(succeeded, "{text}");
    assert_eq!(world.board.order(2).await[0], candidate);
    // They stay in the others' count of a majority for a while, so this comes last.
    for verb in ["add", "del"] {
        let words = format!("--sentinel-{verb} --addr={}", world.more.addr);
        let (succeeded, text) = run(&world, &words).await;
        assert!(succeeded, "{words}: {text}");
    }
}
