//! The `sentinel` directives.
//!
//! They are not applied as they are read: a file may set the timeouts of a master before the line
//! that monitors it. [`Group`] gives the order in which the queued lines are applied.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_sentinel_proto::ids::SentinelId;
use codis_sentinel_proto::persist::PersistedMaster;
use codis_sentinel_proto::settings::{MasterSettings, WriteCheck};

use super::server::{number, yes_no};
use super::{Config, hosts, layers};
use codis_sentinel_proto::epochs::STORED_MAX;

/// Length of a sentinel's id.
pub const MYID_LEN: usize = 40;

/// When a queued directive is applied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// Directives that name no master.
    Globals,
    /// `monitor`.
    Monitors,
    /// Directives about a monitored master.
    Details,
}

impl Group {
    /// The group of a directive, by its keyword.
    pub fn of(keyword: &str) -> Self {
        const GLOBALS: &[&str] = &[
            "announce-hostnames",
            "announce-ip",
            "announce-port",
            "current-epoch",
            "deny-scripts-reconfig",
            "metrics-bind",
            "metrics-port",
            "myid",
            "rejoining",
            "resolve-hostnames",
            "sentinel-pass",
            "sentinel-user",
        ];
        match keyword.to_ascii_lowercase().as_str() {
            "monitor" => Self::Monitors,
            k if GLOBALS.contains(&k) => Self::Globals,
            _ => Self::Details,
        }
    }
}

/// Applies the words that follow `sentinel`; an error says what is wrong with them.
pub fn apply(config: &mut Config, words: &[String]) -> Result<(), String> {
    let Some((keyword, args)) = words.split_first() else {
        return Ok(());
    };
    let keyword = keyword.to_ascii_lowercase();
    if keyword == layers::SAID {
        config.said.push(args.to_vec());
        return Ok(());
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match Group::of(&keyword) {
        Group::Globals => apply_global(config, &keyword, &args),
        Group::Monitors => monitor(config, &args),
        Group::Details => apply_detail(config, &keyword, &args),
    }
}

fn apply_global(config: &mut Config, keyword: &str, args: &[&str]) -> Result<(), String> {
    let [value] = args else {
        return Err(UNRECOGNIZED.into());
    };
    let text = || (!value.is_empty()).then(|| (*value).to_owned());
    let globals = &mut config.globals;
    match keyword {
        "announce-ip" => globals.announce_ip = text().or(globals.announce_ip.take()),
        "announce-port" => globals.announce_port = number(value, 0, u16::MAX)?,
        "metrics-bind" => {
            let ip = value.parse::<std::net::IpAddr>();
            let ip = ip.map_err(|_| format!("`{value}`: must be an IP address"))?;
            globals.metrics_bind = Some(ip.to_string());
        }
        "metrics-port" => globals.metrics_port = number(value, 0, u16::MAX)?,
        "deny-scripts-reconfig" => globals.deny_scripts_reconfig = yes_no(value)?,
        "sentinel-user" => globals.sentinel_user = text().or(globals.sentinel_user.take()),
        "sentinel-pass" => globals.sentinel_pass = text().or(globals.sentinel_pass.take()),
        "resolve-hostnames" => globals.resolve_hostnames = yes_no(value)?,
        "announce-hostnames" => globals.announce_hostnames = yes_no(value)?,
        "current-epoch" => {
            raise(&mut config.current_epoch, epoch(value)?);
            config.epochs_told.insert(String::new());
        }
        "rejoining" => config.rejoining = yes_no(value)?,
        "myid" if value.len() == MYID_LEN => config.myid = Some(SentinelId::new(*value)),
        "myid" => return Err(format!("an id has {MYID_LEN} characters")),
        _ => return Err(UNRECOGNIZED.into()),
    }
    Ok(())
}

fn monitor(config: &mut Config, args: &[&str]) -> Result<(), String> {
    let [name, host, port, quorum] = args else {
        return Err(UNRECOGNIZED.into());
    };
    let quorum = number(quorum, 1, i32::MAX as u32)?;
    let port = number(port, 0, u16::MAX)?;
    let host = hosts::configured(host, &config.globals)?;
    if config.masters.contains_key(*name) {
        return Err(format!("duplicate master name `{name}`"));
    }
    let master = PersistedMaster {
        addr: Addr::new(host, port),
        quorum,
        settings: MasterSettings::default(),
        config_epoch: Epoch::ZERO,
        leader_epoch: Epoch::ZERO,
        replicas: Vec::new(),
        sentinels: Vec::new(),
        forgotten: Vec::new(),
    };
    config.masters.insert((*name).to_owned(), master);
    Ok(())
}

fn apply_detail(config: &mut Config, keyword: &str, args: &[&str]) -> Result<(), String> {
    let Some((name, args)) = args.split_first() else {
        return Err(UNRECOGNIZED.into());
    };
    if keyword == "epoch-floor" {
        return epoch_floor(config, name, args);
    }
    let globals = config.globals.clone();
    let dir = config.server.dir.clone().unwrap_or_default();
    let Some(master) = config.masters.get_mut(*name) else {
        return Err(format!("no such master with the name `{name}`"));
    };
    match (keyword, args) {
        ("config-epoch", [value]) => {
            master.config_epoch = epoch(value)?;
            raise(&mut config.current_epoch, master.config_epoch);
        }
        ("leader-epoch", [value]) => {
            master.leader_epoch = epoch(value)?;
            raise(&mut config.current_epoch, master.leader_epoch);
            config.epochs_told.insert((*name).to_owned());
        }
        ("known-replica" | "known-slave", [host, port]) => {
            let addr = address(host, port, &globals)?;
            if master.replicas.contains(&addr) {
                return Err(format!("duplicate replica {addr}"));
            }
            master.replicas.push(addr);
        }
        ("known-sentinel", [_, _]) => {}
        ("known-sentinel", [host, port, id]) => {
            let addr = address(host, port, &globals)?;
            if master
                .sentinels
                .iter()
                .any(|(known, _)| known.as_str() == *id)
            {
                return Err(format!("duplicate sentinel {id}"));
            }
            master.sentinels.push((SentinelId::new(*id), addr));
        }
        ("forgotten-sentinel", [id]) => master.forgotten.push(SentinelId::new(*id)),
        _ => apply_setting(&mut master.settings, &dir, keyword, args)?,
    }
    Ok(())
}

fn apply_setting(
    settings: &mut MasterSettings,
    dir: &Path,
    keyword: &str,
    args: &[&str],
) -> Result<(), String> {
    match (keyword, args) {
        ("down-after-milliseconds", [ms]) => settings.down_after = millis(ms, 1)?,
        ("failover-timeout", [ms]) => settings.failover_timeout = millis(ms, 1)?,
        ("master-reboot-down-after-period", [ms]) => settings.reboot_down_after = millis(ms, 0)?,
        ("forget-after", [ms]) => settings.forget_after = millis(ms, 0)?,
        ("refused-after-milliseconds", [ms]) => settings.refused_after = millis(ms, 0)?,
        ("master-lost-data-failover", [yes]) => settings.lost_data_failover = yes_no(yes)?,
        ("master-write-check", [word]) => {
            settings.write_check =
                WriteCheck::parse(word).ok_or("argument must be 'no', 'report' or 'yes'")?;
        }
        ("parallel-syncs", [n]) => settings.parallel_syncs = number(n, 1, i32::MAX as u32)?,
        ("notification-script", [path]) => {
            settings.notification_script = Some(executable(dir, path)?);
        }
        ("client-reconfig-script", [path]) => {
            settings.client_reconfig_script = Some(executable(dir, path)?);
        }
        ("script-stdin-json", [value]) => settings.script_stdin_json = yes_no(value)?,
        ("auth-pass", [pass]) => settings.auth_pass = Some((*pass).to_owned()),
        ("auth-user", [user]) => settings.auth_user = Some((*user).to_owned()),
        ("rename-command", [old, new]) => {
            let old = old.to_ascii_uppercase();
            if settings.renamed_commands.contains_key(&old) {
                return Err(format!("command {old} is renamed twice"));
            }
            settings.renamed_commands.insert(old, (*new).to_owned());
        }
        _ => return Err(UNRECOGNIZED.into()),
    }
    Ok(())
}

fn epoch_floor(config: &mut Config, name: &str, args: &[&str]) -> Result<(), String> {
    let [value] = args else {
        return Err(UNRECOGNIZED.into());
    };
    let floor = epoch(value)?;
    raise(
        config.epoch_floors.entry(name.to_owned()).or_default(),
        floor,
    );
    Ok(())
}

fn raise(held: &mut Epoch, seen: Epoch) {
    *held = (*held).max(seen);
}

fn epoch(value: &str) -> Result<Epoch, String> {
    number(value, 0, STORED_MAX).map(Epoch)
}

fn millis(value: &str, low: u64) -> Result<Duration, String> {
    number(value, low, i64::MAX as u64).map(Duration::from_millis)
}

fn address(host: &str, port: &str, globals: &super::Globals) -> Result<Addr, String> {
    Ok(Addr::new(
        hosts::configured(host, globals)?,
        number(port, 0, u16::MAX)?,
    ))
}

/// A script path; a relative one starts at `dir`, which is entered before scripts run.
fn executable(dir: &Path, path: &str) -> Result<String, String> {
    if is_executable(&dir.join(path)) {
        return Ok(path.to_owned());
    }
    Err(format!("`{path}` does not exist or is not executable"))
}

/// Whether a script may be run: a file with an execute bit.
pub fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

const UNRECOGNIZED: &str = "unrecognized sentinel configuration statement";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::lex;

    fn apply_line(config: &mut Config, line: &str) -> Result<(), String> {
        apply(config, &lex::split_text(line).unwrap())
    }

    #[test]
    fn every_directive_lands_in_its_field() {
        let mut config = Config::default();
        for line in [
            "monitor m 127.0.0.1 6379 2",
            "DOWN-AFTER-milliseconds m 1500",
            "failover-timeout m 9000",
            "parallel-syncs m 2",
            "notification-script m /bin/sh",
            "client-reconfig-script m /bin/sh",
            "auth-pass m secret",
            "auth-user m user",
            "rename-command m config cfg",
            "master-reboot-down-after-period m 77",
            "forget-after m 90000",
            "forgotten-sentinel m def",
            "refused-after-milliseconds m 300",
            "master-lost-data-failover m no",
            "master-write-check m Report",
            "config-epoch m 5",
            "leader-epoch m 7",
            "known-slave m 127.0.0.1 6380",
            "known-replica m ::1 6381",
            "known-sentinel m 127.0.0.1 26380",
            "known-sentinel m 127.0.0.1 26380 abc",
            "current-epoch 6",
            "epoch-floor gone 9",
            "announce-ip 127.0.0.9",
            "sentinel-pass p",
        ] {
            apply_line(&mut config, line).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
        let master = &config.masters["m"];
        assert_eq!(master.settings.down_after, Duration::from_millis(1500));
        assert_eq!(master.settings.renamed_commands["CONFIG"], "cfg");
        assert_eq!(master.settings.refused_after, Duration::from_millis(300));
        assert!(!master.settings.lost_data_failover);
        assert_eq!(master.settings.write_check, WriteCheck::Report);
        assert_eq!(master.replicas.len(), 2);
        assert_eq!(master.sentinels.len(), 1);
        assert_eq!(master.settings.forget_after, Duration::from_secs(90));
        assert_eq!(master.forgotten, [SentinelId::new("def")]);
        assert_eq!(config.current_epoch, Epoch(7));
        assert_eq!(config.epoch_floors["gone"], Epoch(9));
        assert_eq!(config.globals.announce_ip.as_deref(), Some("127.0.0.9"));
    }

    #[test]
    fn wrong_directives_are_refused() {
        let mut config = Config::default();
        apply_line(&mut config, "monitor m 127.0.0.1 6379 2").unwrap();
        for line in [
            "monitor m 127.0.0.1 6380 2",
            "monitor n 127.0.0.1 6380 0",
            "monitor n host.example 6380 1",
            "monitor n 127.0.0.1 65536 1",
            "down-after-milliseconds m 0",
            "down-after-milliseconds other 10",
            "notification-script m /no/such/file",
            "myid short",
            "deny-scripts-reconfig perhaps",
            "frobnicate m 1",
            "current-epoch -1",
            "master-write-check m perhaps",
            "master-lost-data-failover m 1",
            "refused-after-milliseconds m -1",
            "forget-after m soon",
        ] {
            assert!(apply_line(&mut config, line).is_err(), "{line}");
        }
        apply_line(&mut config, "rename-command m a b").unwrap();
        assert!(apply_line(&mut config, "rename-command m A c").is_err());
    }
}
