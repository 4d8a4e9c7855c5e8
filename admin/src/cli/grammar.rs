//! What may stand on the command line at all.

use clap::{Arg, ArgAction, Command, value_parser};

/// Options that take a value: name, short form, value name, help.
const VALUES: &[(&str, Option<char>, &str, &str)] = &[
    (
        "dashboard",
        None,
        "ADDR",
        "talk to the first of these dashboards that answers (admin addresses, comma separated; \
         default: CODIS_DASHBOARD in the environment)",
    ),
    (
        "proxy",
        None,
        "ADDR",
        "talk to the proxy at this admin address",
    ),
    (
        "filesystem",
        None,
        "ROOT",
        "work on the coordinator's directory itself",
    ),
    (
        "zookeeper",
        None,
        "ADDR",
        "work on the records in ZooKeeper at these servers",
    ),
    (
        "zookeeper-auth",
        None,
        "AUTH",
        "user:password for ZooKeeper",
    ),
    (
        "etcd",
        None,
        "ADDR",
        "work on the records in etcd at these servers",
    ),
    ("etcd-auth", None, "AUTH", "user:password for etcd"),
    ("auth", Some('a'), "AUTH", "the proxy's product_auth"),
    (
        "addr",
        Some('x'),
        "ADDR",
        "a server, proxy (admin address) or sentinel",
    ),
    ("token", Some('t'), "TOKEN", "a proxy's token"),
    ("product", None, "NAME", "a product"),
    ("datacenter", None, "NAME", "where a server stands"),
    (
        "log-level",
        None,
        "LEVEL",
        "error, warn, info, debug or none",
    ),
    (
        "fillslots",
        None,
        "FILE",
        "fill the proxy's slots from a JSON array",
    ),
    (
        "config-convert",
        None,
        "FILE",
        "print a dump of Codis 1 or 2 in the form of Codis 3 (`-` reads the standard input)",
    ),
    (
        "config-restore",
        None,
        "FILE",
        "write a dump into a product that has no groups and no proxies (`-`: standard input)",
    ),
];

/// Options that take a number.
const NUMBERS: &[(&str, Option<char>, &str, &str)] = &[
    ("gid", Some('g'), "ID", "a group, 1..=9999"),
    ("pid", None, "ID", "a proxy's id in the list of proxies"),
    ("beg", None, "SLOT", "the first slot, 0..=1023"),
    ("end", None, "SLOT", "the last slot, 0..=1023"),
    ("sid", None, "SLOT", "a slot, 0..=1023"),
    (
        "gid-from",
        None,
        "ID",
        "the group that slots leave; 0 for offline slots",
    ),
    ("gid-to", None, "ID", "the group that slots go to"),
    ("num-slots", None, "N", "how many slots"),
];

/// Options that take a number, which may be below zero: the dashboard says what it makes of it.
const INTEGERS: &[(&str, Option<char>, &str, &str)] = &[
    (
        "interval",
        None,
        "US",
        "with --slot-action: microseconds between two migrate commands, 0..=1000000",
    ),
    (
        "disabled",
        None,
        "0|1",
        "with --slot-action: 1 starts no more pending slots and holds running ones, 0 goes on",
    ),
];

/// Options that are there or not.
const SWITCHES: &[(&str, &str)] = &[
    ("start", "bring the proxy online"),
    ("shutdown", "stop the proxy or dashboard"),
    ("reset-stats", "set the proxy's counters to zero"),
    ("forcegc", "accepted; there is no garbage to collect"),
    ("locked", "fill the slots locked"),
    ("list-group", "all groups, as JSON"),
    ("list-proxy", "all proxies, as JSON"),
    ("reload", "read the store again"),
    ("slots-assign", "give slots to a group without moving keys"),
    (
        "slots-status",
        "all slots as the proxies should have them, as JSON",
    ),
    ("offline", "take the slots from their groups"),
    ("confirm", "do it; without, only show it"),
    ("create-proxy", "register a proxy"),
    ("online-proxy", "register a proxy, or take it back"),
    ("remove-proxy", "stop a proxy and forget it"),
    ("reinit-proxy", "fill a proxy again"),
    ("proxy-status", "one line for each proxy"),
    ("create-group", "make a group"),
    ("remove-group", "remove an empty group"),
    ("resync-group", "fill the group's slots again"),
    ("group-add", "add a server to a group"),
    ("group-del", "take a server out of a group"),
    ("group-status", "one line for each server"),
    ("replica-groups", "let proxies read from a server, or not"),
    ("enable", "with --replica-groups: let them"),
    ("disable", "with --replica-groups: do not let them"),
    ("promote-server", "make a replica the master of its group"),
    ("sync-action", "order a server to follow its group's master"),
    (
        "slot-action",
        "queue slots for migration, or change how they migrate",
    ),
    ("create", "with --sync-action or --slot-action: order it"),
    (
        "remove",
        "with --sync-action or --slot-action: take back what is pending",
    ),
    (
        "cancel",
        "with --slot-action: stop a migration, started or not, and roll it back",
    ),
    (
        "create-some",
        "with --slot-action: move that many slots from one group to another",
    ),
    (
        "create-range",
        "with --slot-action: move a range of slots to a group",
    ),
    (
        "rebalance",
        "show a plan of migrations that evens the groups out, or carry it out",
    ),
    (
        "wait",
        "with --slot-action and --rebalance: stay until the slots have moved",
    ),
    ("sentinel-add", "add a sentinel"),
    ("sentinel-del", "remove a sentinel"),
    ("sentinel-resync", "tell all sentinels what to monitor"),
    (
        "remove-lock",
        "delete the record of a dashboard that is gone",
    ),
    (
        "config-dump",
        "all records of a product, as JSON that --config-restore takes",
    ),
    (
        "dashboard-list",
        "all products and their dashboards, as JSON",
    ),
    ("all", "every group, or every proxy"),
    ("force", "go on in spite of what is in the way"),
];

/// The grammar.
pub fn command() -> Command {
    let value =
        |&(name, short, shown, help): &(&'static str, Option<char>, &'static str, &'static str)| {
            let arg = Arg::new(name).long(name).value_name(shown).help(help);
            short.into_iter().fold(arg, Arg::short)
        };
    let switch = |&(name, help): &(&'static str, &'static str)| {
        Arg::new(name)
            .long(name)
            .help(help)
            .action(ArgAction::SetTrue)
    };
    Command::new("codis-admin")
        .about("The command line of a Codis cluster")
        .after_help(AFTER_HELP)
        .infer_long_args(true)
        .disable_version_flag(true)
        .args(VALUES.iter().map(value))
        .args(
            NUMBERS
                .iter()
                .map(|row| value(row).value_parser(value_parser!(u32))),
        )
        .args(INTEGERS.iter().map(|row| {
            value(row)
                .value_parser(value_parser!(i64))
                .allow_negative_numbers(true)
        }))
        .args(SWITCHES.iter().map(switch))
        .arg(
            Arg::new("by")
                .long("by")
                .value_name("WHAT")
                .value_parser(["slots", "memory", "keys"])
                .help("with --rebalance: what the groups shall have equal parts of"),
        )
        .arg(
            Arg::new("legacy")
                .short('1')
                .help("with --config-dump: the tree of Codis 1 and 2, below /zk/codis")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new("verbose")
                .short('v')
                .help("tell on stderr of every call and every record read")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new("version")
                .long("version")
                .help("print it")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new("output")
                .long("output")
                .value_parser(["text", "json"])
                .help("json: one JSON value on stdout for every action, errors as JSON on stderr"),
        )
        .arg(
            Arg::new("part")
                .value_name("PART")
                .help(PART_HELP)
                .value_parser(PARTS.to_vec()),
        )
}

const PARTS: [&str; 6] = ["config", "model", "stats", "slots", "group", "proxy"];
const PART_HELP: &str = "one part of the overview; group and proxy only of a dashboard";
const AFTER_HELP: &str = "Examples:
  codis-admin --dashboard=127.0.10.25:18080 --group-status
  codis-admin --dashboard=127.0.10.25:18080 --slots-assign --beg=0 --end=511 --gid=1 --confirm
  codis-admin --dashboard=127.0.10.25:18080 --promote-server --gid=1 --addr=127.0.10.21:6380
  codis-admin --proxy=127.0.10.23:11080 stats
  codis-admin --dashboard=127.0.10.25:18080,127.0.10.26:18080 --rebalance --confirm --wait
  codis-admin --etcd=127.0.10.27:2379 --config-dump --product=demo

Exit codes: 0 done, 1 refused or failed.";
