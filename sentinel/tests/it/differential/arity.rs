//! Every command and subcommand with too few and too many words.

use super::script::Step;

/// The commands of a sentinel, and those of a server that it does not have.
const COMMANDS: &str = "
    acl auth client command hello info ping psubscribe publish punsubscribe role sentinel
    subscribe unsubscribe
    config quit reset echo select multi exec monitor pubsub time debug slowlog get set del
    ssubscribe spublish script eval object memory latency module replicaof failover watch wait";

const CONTAINERS: &[(&str, &str)] = &[
    (
        "acl",
        "cat deluser dryrun genpass getuser help list load log save users whoami foo",
    ),
    (
        "client",
        "caching getname getredir help id info kill list no-evict pause reply setname tracking
         trackinginfo unblock unpause foo no-touch",
    ),
    (
        "command",
        "count docs getkeys getkeysandflags help info list foo",
    ),
    (
        "sentinel",
        "ckquorum debug failover flushconfig get-master-addr-by-name help info-cache
         is-master-down-by-addr master masters monitor myid pending-scripts remove replicas reset
         sentinels set simulate-failure slaves foo",
    ),
];

/// Requests of `name` with `count` more words.
fn step(name: &str, count: usize) -> Step {
    let line = [name, &" x".repeat(count)].concat();
    Step::Say(Box::leak(line.into_boxed_str()), 1)
}

/// The script.
pub fn all() -> Vec<Step> {
    let mut steps = Vec::new();
    for name in COMMANDS.split_ascii_whitespace() {
        // A subscription is answered by name; one that lasts limits what may follow.
        if matches!(
            name,
            "psubscribe" | "subscribe" | "punsubscribe" | "unsubscribe"
        ) {
            steps.push(step(name, 0));
            continue;
        }
        // Its sections are compared elsewhere, and its words are a map of all commands.
        let least = usize::from(matches!(name, "info" | "command" | "hello"));
        steps.extend((least..8).map(|count| step(name, count)));
    }
    for (container, names) in CONTAINERS {
        for name in names.split_ascii_whitespace() {
            let full = format!("{container} {name}");
            // These reply without words, and what they reply is compared elsewhere or random.
            let replies = matches!(
                full.as_str(),
                "acl genpass"
                    | "acl cat"
                    | "acl log"
                    | "command docs"
                    | "command info"
                    | "command list"
            );
            let pauses = full == "client pause";
            // More words are the options of Valkey 9 there.
            let most = if full == "sentinel failover" { 2 } else { 8 };
            let least = usize::from(replies || pauses);
            steps.extend((least..most).map(|count| step(&full, count)));
        }
    }
    steps
}
