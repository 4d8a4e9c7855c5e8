//! The command line: the options of the original, long ones also by unique prefix.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::actions::{self, Action};

/// A command line that passed its checks.
#[derive(Debug)]
pub struct Invocation {
    /// What to do.
    pub action: &'static Action,
    /// With which options.
    pub options: Options,
}

/// The options given.
#[derive(Debug)]
pub struct Options(ArgMatches);

/// Options that take a value: name, short form, value name, help.
const VALUES: &[(&str, Option<char>, &str, &str)] = &[
    (
        "dashboard",
        None,
        "ADDR",
        "talk to the dashboard at this admin address",
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
];

/// Options that take a number.
const NUMBERS: &[(&str, Option<char>, &str, &str)] = &[
    ("gid", Some('g'), "ID", "a group, 1..=9999"),
    ("pid", None, "ID", "a proxy's id in the list of proxies"),
    ("beg", None, "SLOT", "the first slot, 0..=1023"),
    ("end", None, "SLOT", "the last slot, 0..=1023"),
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
    ("create", "with --sync-action: order it"),
    ("remove", "with --sync-action: take the order back"),
    ("sentinel-add", "add a sentinel"),
    ("sentinel-del", "remove a sentinel"),
    ("sentinel-resync", "tell all sentinels what to monitor"),
    (
        "remove-lock",
        "delete the record of a dashboard that is gone",
    ),
    (
        "config-dump",
        "slots, groups and proxies of a product, as JSON",
    ),
    (
        "dashboard-list",
        "all products and their dashboards, as JSON",
    ),
    ("all", "every group, or every proxy"),
    ("force", "go on when the other side does not answer"),
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
        .args(SWITCHES.iter().map(switch))
        .arg(
            Arg::new("verbose")
                .short('v')
                .help("say more")
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
                .help("form of --proxy-status and --group-status"),
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
  codis-admin --filesystem=/tmp/codis --dashboard-list

Exit codes: 0 done, 1 refused or failed.";

/// Why there is nothing to do.
#[derive(Debug)]
pub enum Refusal {
    /// The text to print; whether it is an answer (help) or an error.
    Grammar(clap::Error),
    /// Options that do not go together.
    Pattern(String),
    /// `--version`.
    Version,
}

/// Reads the command line.
///
/// # Errors
/// See [`Refusal`].
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Invocation, Refusal> {
    let matches = command()
        .try_get_matches_from(words)
        .map_err(Refusal::Grammar)?;
    if matches.get_flag("version") {
        return Err(Refusal::Version);
    }
    let given: Vec<&str> = matches
        .ids()
        .map(clap::Id::as_str)
        .filter(|id| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine))
        .collect();
    let action = actions::resolve(&given).map_err(Refusal::Pattern)?;
    Ok(Invocation {
        action,
        options: Options(matches),
    })
}

impl Options {
    /// Whether a switch was given.
    pub fn has(&self, switch: &str) -> bool {
        self.0.get_flag(switch)
    }

    /// The text of an option, when it was given.
    pub fn text(&self, option: &str) -> Option<&str> {
        self.0.get_one::<String>(option).map(String::as_str)
    }

    /// The number of an option, when it was given.
    pub fn number(&self, option: &str) -> Option<u32> {
        self.0.get_one::<u32>(option).copied()
    }

    /// The text of an option that the action's row requires.
    ///
    /// # Errors
    /// It was not given.
    pub fn needed(&self, option: &str) -> anyhow::Result<&str> {
        self.text(option)
            .ok_or_else(|| anyhow::anyhow!("option --{option} is required"))
    }

    /// The number of an option that the action's row requires.
    ///
    /// # Errors
    /// It was not given.
    pub fn needed_number(&self, option: &str) -> anyhow::Result<u32> {
        self.number(option)
            .ok_or_else(|| anyhow::anyhow!("option --{option} is required"))
    }

    /// Whether `--output=json` was given.
    pub fn json(&self) -> bool {
        self.text("output") == Some("json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Invocation, Refusal> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn both_value_forms_and_prefixes_work() {
        let one = parse_line("codis-admin --dashboard=h:1 --create-group --gid=3").unwrap();
        let two = parse_line("codis-admin --dashboard h:1 --create-g -g 3").unwrap();
        for invocation in [one, two] {
            assert_eq!(invocation.action.verb, "create-group");
            assert_eq!(invocation.options.needed_number("gid").unwrap(), 3);
            assert_eq!(invocation.options.needed("dashboard").unwrap(), "h:1");
        }
    }

    #[test]
    fn every_action_and_option_is_in_the_grammar() {
        let grammar = command();
        let known: Vec<_> = grammar
            .get_arguments()
            .map(|arg| arg.get_id().as_str())
            .collect();
        for action in actions::ACTIONS {
            let lists = [action.needs, action.one_of, action.may, &[action.verb]];
            for option in lists
                .into_iter()
                .flatten()
                .filter(|option| !option.is_empty())
            {
                assert!(known.contains(option), "--{option}");
            }
        }
    }

    #[test]
    fn bad_numbers_are_refused() {
        assert!(parse_line("codis-admin --dashboard=h:1 --create-group --gid=x").is_err());
        assert!(parse_line("codis-admin --dashboard=h:1 --nonsense").is_err());
    }
}
