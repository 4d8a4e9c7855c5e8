//! The command line: the options of the original, long ones also by unique prefix.

mod grammar;

pub use grammar::command;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::actions::{self, Action};

/// The variable of the environment that names the dashboard when no option does.
pub const DASHBOARD_VARIABLE: &str = "CODIS_DASHBOARD";

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
pub struct Options {
    matches: ArgMatches,
    /// The dashboard that the environment names.
    dashboard: Option<String>,
}

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

/// Reads the command line; `dashboard` is what [`DASHBOARD_VARIABLE`] holds.
///
/// # Errors
/// See [`Refusal`].
pub fn parse(
    words: impl IntoIterator<Item = String>,
    dashboard: Option<String>,
) -> Result<Invocation, Refusal> {
    let matches = command()
        .try_get_matches_from(words)
        .map_err(Refusal::Grammar)?;
    if matches.get_flag("version") {
        return Err(Refusal::Version);
    }
    let given: Vec<&str> = matches
        .ids()
        .map(clap::Id::as_str)
        .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
        .collect();
    let dashboard = dashboard.filter(|text| !text.is_empty());
    let action = actions::resolve(&given, dashboard.is_some()).map_err(Refusal::Pattern)?;
    Ok(Invocation {
        action,
        options: Options { matches, dashboard },
    })
}

impl Options {
    /// Whether a switch was given.
    pub fn has(&self, switch: &str) -> bool {
        self.matches.get_flag(switch)
    }

    /// The text of an option, when it was given.
    pub fn text(&self, option: &str) -> Option<&str> {
        self.matches.get_one::<String>(option).map(String::as_str)
    }

    /// The number of an option, when it was given.
    pub fn number(&self, option: &str) -> Option<u32> {
        self.matches.get_one::<u32>(option).copied()
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

    /// The number, which may be below zero, of an option that the action's row requires.
    ///
    /// # Errors
    /// It was not given.
    pub fn needed_integer(&self, option: &str) -> anyhow::Result<i64> {
        let given = self.matches.get_one::<i64>(option).copied();
        given.ok_or_else(|| anyhow::anyhow!("option --{option} is required"))
    }

    /// The addresses of dashboards: from the option, else from the environment.
    ///
    /// # Errors
    /// None is named.
    pub fn dashboards(&self) -> anyhow::Result<&str> {
        let named = self.text("dashboard").or(self.dashboard.as_deref());
        named.ok_or_else(|| anyhow::anyhow!("option --dashboard is required"))
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
        parse(line.split_whitespace().map(str::to_owned), None)
    }

    #[test]
    fn both_value_forms_and_prefixes_work() {
        let one = parse_line("codis-admin --dashboard=h:1 --create-group --gid=3").unwrap();
        let two = parse_line("codis-admin --dashboard h:1 --create-g -g 3").unwrap();
        for invocation in [one, two] {
            assert_eq!(invocation.action.verb, "create-group");
            assert_eq!(invocation.options.needed_number("gid").unwrap(), 3);
            assert_eq!(invocation.options.dashboards().unwrap(), "h:1");
        }
    }

    #[test]
    fn the_environment_gives_way_to_the_option() {
        let parse = |line: &str| {
            let words = line.split_whitespace().map(str::to_owned);
            parse(words, Some("e:1,e:2".to_owned())).unwrap()
        };
        let dashboards = |line: &str| parse(line).options.dashboards().unwrap().to_owned();
        assert_eq!(dashboards("codis-admin --group-status"), "e:1,e:2");
        assert_eq!(dashboards("codis-admin --dashboard=h:1"), "h:1");
        assert_eq!(
            parse("codis-admin --proxy=h:1 --start").action.verb,
            "start"
        );
    }

    #[test]
    fn every_action_and_option_is_in_the_grammar() {
        let grammar = command();
        let known: Vec<_> = grammar
            .get_arguments()
            .map(|arg| arg.get_id().as_str())
            .collect();
        for action in actions::ACTIONS {
            let names = [action.verb, action.form];
            let lists = [action.needs, action.one_of, action.may, &names];
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
        assert!(parse_line("codis-admin --dashboard=h:1 --rebalance --by=luck").is_err());
    }

    #[test]
    fn an_interval_may_be_below_zero() {
        let line = "codis-admin --dashboard=h:1 --slot-action --interval=-5";
        let invocation = parse_line(line).unwrap();
        assert_eq!(invocation.options.needed_integer("interval").unwrap(), -5);
    }
}
