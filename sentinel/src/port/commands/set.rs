//! `SENTINEL SET`: options of one master, applied in order. On an error the earlier ones stay.

use std::path::Path;
use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::resp::Value;
use codis_sentinel_proto::settings::{MasterSettings, WriteCheck};

use super::{Context, Outcome, masters};
use crate::conf::directives::is_executable;
use crate::conf::server::{number, yes_no};
use codis_sentinel_proto::epochs;

const DENIED: &str = "ERR Reconfiguration of scripts path is denied for security reasons. Check \
the deny-scripts-reconfig configuration directive in your Sentinel configuration";

/// The settings as they change, and what is told of the changes.
struct Draft {
    settings: MasterSettings,
    quorum: u32,
    /// Texts of the `+set` events.
    changes: Vec<String>,
    /// The highest epoch floor asked for.
    floor: Option<Epoch>,
    /// The highest epoch seen.
    epoch_seen: Epoch,
    deny_scripts: bool,
}

pub(super) fn run(context: &mut Context<'_>, words: &[String]) -> Outcome {
    let Some((name, options)) = words.split_first() else {
        return masters::no_such_master();
    };
    let Some((settings, quorum)) = context.machine.settings_of(name) else {
        return masters::no_such_master();
    };
    let mut draft = Draft {
        settings: settings.clone(),
        quorum,
        changes: Vec::new(),
        floor: None,
        epoch_seen: context.machine.current_epoch(),
        deny_scripts: context.globals.deny_scripts_reconfig,
    };
    let result = draft.apply_all(options);
    if let Some(floor) = draft.floor {
        context.machine.raise_epoch_floor(context.now, name, floor);
    }
    if !draft.changes.is_empty() {
        let Draft {
            settings,
            quorum,
            changes,
            ..
        } = draft;
        let touched = changes.iter().any(|change| is_about_forgetting(change));
        if let Some(doubt) = settings.doubt().filter(|_| touched) {
            context.shared.log.warning(&format!("{name}: {doubt}"));
        }
        let set = context
            .machine
            .set(context.now, name, settings, quorum, &changes);
        if let Err(error) = set {
            return Outcome::error(error.to_string());
        }
    }
    Outcome::Durable(match result {
        Ok(()) => Value::ok(),
        Err(error) => Value::error(error.into_bytes()),
    })
}

fn is_about_forgetting(change: &str) -> bool {
    let option = change.split(' ').next().unwrap_or_default();
    let options = ["forget-after", "down-after-milliseconds"];
    options.iter().any(|it| it.eq_ignore_ascii_case(option))
}

impl Draft {
    fn apply_all(&mut self, words: &[String]) -> Result<(), String> {
        let mut rest = words;
        while let [option, following @ ..] = rest {
            let lower = option.to_ascii_lowercase();
            let count = if lower == "rename-command" { 2 } else { 1 };
            if following.len() < count {
                return Err(unknown(option));
            }
            let (values, after) = following.split_at(count);
            self.apply(option, &lower, values)?;
            rest = after;
        }
        Ok(())
    }

    fn apply(&mut self, option: &str, lower: &str, values: &[String]) -> Result<(), String> {
        let value = values.first().map_or("", String::as_str);
        let bad = || format!("ERR Invalid argument '{value}' for SENTINEL SET '{option}'");
        let text = || (!value.is_empty()).then(|| value.to_owned());
        // The ranges are those of the config file, which must be readable afterwards.
        let positive = || number(value, 1, i64::MAX as u64).map_err(|_| bad());
        let small = || number(value, 1, i32::MAX as u32).map_err(|_| bad());
        let settings = &mut self.settings;
        match lower {
            "down-after-milliseconds" => settings.down_after = Duration::from_millis(positive()?),
            "failover-timeout" => settings.failover_timeout = Duration::from_millis(positive()?),
            "parallel-syncs" => settings.parallel_syncs = small()?,
            "quorum" => self.quorum = small()?,
            "master-reboot-down-after-period" => {
                let millis = number(value, 0, i64::MAX as u64).map_err(|_| bad())?;
                settings.reboot_down_after = Duration::from_millis(millis);
            }
            "forget-after" => {
                let millis = number(value, 0, i64::MAX as u64).map_err(|_| bad())?;
                settings.forget_after = Duration::from_millis(millis);
            }
            "refused-after-milliseconds" => {
                let millis = number(value, 0, i64::MAX as u64).map_err(|_| bad())?;
                settings.refused_after = Duration::from_millis(millis);
            }
            "master-lost-data-failover" => {
                settings.lost_data_failover = yes_no(value).map_err(|_| bad())?;
            }
            "master-write-check" => {
                settings.write_check = WriteCheck::parse(value).ok_or_else(bad)?;
            }
            "notification-script" => {
                const MISSING: &str =
                    "ERR Notification script seems non existing or non executable";
                settings.notification_script = script(value, self.deny_scripts, MISSING)?;
            }
            "client-reconfig-script" => {
                const MISSING: &str =
                    "ERR Client reconfiguration script seems non existing or non executable";
                settings.client_reconfig_script = script(value, self.deny_scripts, MISSING)?;
            }
            "script-stdin-json" => {
                settings.script_stdin_json = yes_no(value).map_err(|_| bad())?;
            }
            "auth-pass" => settings.auth_pass = text(),
            "auth-user" => settings.auth_user = text(),
            "rename-command" => self.rename(option, values)?,
            "epoch-floor" => {
                let floor = Epoch(value.parse().map_err(|_| bad())?);
                if !epochs::is_plausible(floor, self.epoch_seen) {
                    return Err(bad());
                }
                self.floor = self.floor.max(Some(floor));
                return Ok(());
            }
            _ => return Err(unknown(option)),
        }
        let shown = match lower {
            "auth-pass" => "******".to_owned(),
            _ => values.join(" "),
        };
        self.changes.push(format!("{option} {shown}"));
        Ok(())
    }

    fn rename(&mut self, option: &str, values: &[String]) -> Result<(), String> {
        let [old, new] = values else {
            return Err(unknown(option));
        };
        for name in [old, new] {
            if name.is_empty() {
                return Err(format!(
                    "ERR Invalid argument '{name}' for SENTINEL SET '{option}'"
                ));
            }
        }
        let renames = &mut self.settings.renamed_commands;
        if old.eq_ignore_ascii_case(new) {
            renames.remove(&old.to_ascii_uppercase());
        } else {
            renames.insert(old.to_ascii_uppercase(), new.clone());
        }
        Ok(())
    }
}

/// A script path; empty unsets it.
fn script(path: &str, deny: bool, missing: &str) -> Result<Option<String>, String> {
    if deny {
        return Err(DENIED.into());
    }
    if path.is_empty() {
        return Ok(None);
    }
    if !is_executable(Path::new(path)) {
        return Err(missing.into());
    }
    Ok(Some(path.to_owned()))
}

fn unknown(option: &str) -> String {
    format!("ERR Unknown option or number of arguments for SENTINEL SET '{option}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(words: &[&str]) -> (Draft, Result<(), String>) {
        let mut draft = Draft {
            settings: MasterSettings::default(),
            quorum: 2,
            changes: Vec::new(),
            floor: None,
            epoch_seen: Epoch::ZERO,
            deny_scripts: true,
        };
        let words: Vec<String> = words.iter().map(|&w| w.to_owned()).collect();
        let result = draft.apply_all(&words);
        (draft, result)
    }

    #[test]
    fn options_before_an_error_stay() {
        let (draft, result) = apply(&["quorum", "3", "auth-pass", "x", "Parallel-Syncs", "0"]);
        assert_eq!(
            result.unwrap_err(),
            "ERR Invalid argument '0' for SENTINEL SET 'Parallel-Syncs'"
        );
        assert_eq!(draft.quorum, 3);
        assert_eq!(draft.changes, ["quorum 3", "auth-pass ******"]);
    }

    #[test]
    fn extensions_are_options_too() {
        let (draft, result) = apply(&[
            "forget-after",
            "90000",
            "refused-after-milliseconds",
            "300",
            "master-lost-data-failover",
            "no",
            "master-write-check",
            "yes",
        ]);
        assert_eq!(result, Ok(()));
        assert_eq!(draft.settings.forget_after, Duration::from_secs(90));
        assert_eq!(draft.settings.refused_after, Duration::from_millis(300));
        assert!(!draft.settings.lost_data_failover);
        assert_eq!(draft.settings.write_check, WriteCheck::Yes);
        assert!(apply(&["master-write-check", "1"]).1.is_err());
    }

    #[test]
    fn errors_are_those_of_redis() {
        assert_eq!(
            apply(&["notification-script", "/bin/sh"]).1.unwrap_err(),
            DENIED
        );
        assert_eq!(
            apply(&["foo", "1"]).1.unwrap_err(),
            "ERR Unknown option or number of arguments for SENTINEL SET 'foo'"
        );
        assert!(apply(&["quorum"]).1.is_err());
        assert!(apply(&["rename-command", "config"]).1.is_err());
    }

    #[test]
    fn renames_come_and_go_and_floors_only_rise() {
        let (draft, result) = apply(&["rename-command", "config", "cfg", "epoch-floor", "7"]);
        assert_eq!(result, Ok(()));
        assert_eq!(draft.settings.renamed_commands["CONFIG"], "cfg");
        assert_eq!(draft.floor, Some(Epoch(7)));
        let (draft, _) = apply(&["rename-command", "a", "b", "rename-command", "A", "a"]);
        assert!(draft.settings.renamed_commands.is_empty());
    }
}
