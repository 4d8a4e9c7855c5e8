//! What holds when the operator's file and the state say different things about a setting.
//!
//! With a state directory the operator's file is only read, and `SENTINEL SET` and failovers go to
//! the state. The state also keeps what the operator's file said when it was last read
//! ([`said`]). So each setting has three values: said then, said now, and held by the state.
//!
//! - Said now is not what was said then: the operator has edited the file, and that wins.
//! - Otherwise the state wins, as what it holds was ordered since.
//!
//! A line that is gone counts as an edit, to the default. For a master it means that it is removed,
//! and its floor stays. A line for a master that the state does not monitor is an order to monitor
//! it, unless the line is unchanged: then the master was removed by an order and stays so. Another
//! address in a line is taken as REMOVE and MONITOR would: without an epoch, so that peers who know
//! better correct it; its replicas are found anew; the floor and the vote stay. A new line for a
//! master that is monitored by an order already does not undo an election.
//!
//! Epochs only rise, and known servers come from the state, unless the file holds a higher config
//! epoch: then another sentinel has kept its state in that file in the meantime, and its address
//! and servers are the later ones.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_sentinel_proto::persist::PersistedMaster;

use super::rewrite::{Line, setting_lines_of};
use super::{Config, Globals, Server, directives, users};
use crate::acl;

/// What a line of the state starts with that repeats the operator's file.
pub const SAID: &str = "operator-said";

/// A setting without its value, and the value.
type Settings = BTreeMap<Vec<String>, String>;

/// The lines that keep what the operator's file says.
pub fn said(operator: &Config) -> Vec<Line> {
    let lines = setting_lines_of(operator).into_iter();
    let lines = lines.chain(users::said(operator));
    lines.map(|line| line.prefixed(SAID)).collect()
}

/// Puts what the operator's file says together with a state.
///
/// # Errors
/// A setting that is no longer allowed, for instance a script that is gone.
pub fn resolve(now: Config, state: Config) -> Result<Config, String> {
    let then = Said::of_words(&state.said);
    let said_now = Said::of_lines(&setting_lines_of(&now));
    let held = Said::of_lines(&setting_lines_of(&state));
    let mut merged = Config {
        myid: match now.myid.clone() {
            Some(id) if then.settings.get(&myid_key()) != Some(&id.to_string()) => Some(id),
            told => state.myid.clone().or(told),
        },
        current_epoch: now.current_epoch.max(state.current_epoch),
        epoch_floors: floors(&now, &state),
        told_users: users::made_by(&now.server),
        notes: now.notes.clone(),
        warnings: now.warnings.clone(),
        server: Server {
            acl: acl::Settings {
                declared: users::resolve(&now, &state),
                ..now.server.acl.clone()
            },
            ..now.server.clone()
        },
        rejoining: now.rejoining || state.rejoining,
        globals: Globals::default(),
        masters: BTreeMap::new(),
        ..state.clone()
    };
    let names: BTreeSet<&String> = now.masters.keys().chain(state.masters.keys()).collect();
    for name in names {
        let then = then.monitors.get(name);
        let found = match (now.masters.get(name), state.masters.get(name)) {
            (Some(now), Some(held)) => Some(both(then, now, held, merged.current_epoch)),
            (Some(now), None) => returned(&mut merged, name, then, now),
            (None, Some(_)) if then.is_some() => {
                let note = format!("{name} is no longer in the config file: it is not monitored");
                merged.warnings.push(note);
                None
            }
            (None, held) => held.cloned(),
        };
        if let Some(mut master) = found {
            master.settings = codis_sentinel_proto::settings::MasterSettings::default();
            merged.masters.insert(name.clone(), master);
        }
    }
    apply_settings(&mut merged, &then, &said_now, &held)?;
    Ok(merged)
}

/// Settings as lines say them.
#[derive(Default)]
struct Said {
    /// All but `monitor`.
    settings: Settings,
    /// Address and quorum by name.
    monitors: BTreeMap<String, (Addr, u32)>,
}

impl Said {
    fn of_lines(lines: &[Line]) -> Self {
        let words: Vec<Vec<String>> = lines.iter().map(|line| line.words().to_vec()).collect();
        Self::of_words(&words)
    }

    fn of_words(lines: &[Vec<String>]) -> Self {
        let mut said = Self::default();
        for words in lines {
            match words.as_slice() {
                [monitor, name, host, port, quorum] if monitor == "monitor" => {
                    let numbers = (port.parse(), quorum.parse());
                    if let (Ok(port), Ok(quorum)) = numbers {
                        let pair = (Addr::new(host.as_str(), port), quorum);
                        said.monitors.insert(name.clone(), pair);
                    }
                }
                [key @ .., value] => {
                    said.settings.insert(key.to_vec(), value.clone());
                }
                [] => {}
            }
        }
        said
    }
}

fn myid_key() -> Vec<String> {
    vec!["myid".to_owned()]
}

fn floors(now: &Config, state: &Config) -> BTreeMap<String, Epoch> {
    let mut floors = now.epoch_floors.clone();
    let of_masters = state
        .masters
        .iter()
        .map(|(name, it)| (name, &it.config_epoch));
    for (name, floor) in state.epoch_floors.iter().chain(of_masters) {
        let held = floors.entry(name.clone()).or_default();
        *held = (*floor).max(*held);
    }
    floors
}

/// A master of the file that the state does not monitor.
fn returned(
    merged: &mut Config,
    name: &str,
    then: Option<&(Addr, u32)>,
    now: &PersistedMaster,
) -> Option<PersistedMaster> {
    if then == Some(&(now.addr.clone(), now.quorum)) {
        let note = format!("{name} was removed by an order: it is not monitored");
        merged.notes.push(note);
        return None;
    }
    let mut master = now.clone();
    if merged.epoch_floors.contains_key(name) {
        // Nobody knows any more at which epochs it was voted about.
        master.leader_epoch = master.leader_epoch.max(merged.current_epoch);
    }
    Some(master)
}

/// A master of both.
fn both(
    then: Option<&(Addr, u32)>,
    now: &PersistedMaster,
    held: &PersistedMaster,
    current_epoch: Epoch,
) -> PersistedMaster {
    let mut master = held.clone();
    master.leader_epoch = held.leader_epoch.max(now.leader_epoch);
    if then.is_none_or(|(_, quorum)| *quorum != now.quorum) {
        master.quorum = now.quorum;
    }
    if now.config_epoch > held.config_epoch {
        return PersistedMaster {
            leader_epoch: master.leader_epoch,
            quorum: master.quorum,
            ..now.clone()
        };
    }
    let edited = match then {
        Some((addr, _)) => *addr != now.addr,
        None => held.config_epoch == Epoch::ZERO,
    };
    if edited && now.addr != held.addr {
        master.addr = now.addr.clone();
        master.config_epoch = Epoch::ZERO;
        master.leader_epoch = master.leader_epoch.max(current_epoch);
        master.replicas.clear();
    }
    master
}

fn apply_settings(merged: &mut Config, then: &Said, now: &Said, held: &Said) -> Result<(), String> {
    let keys: BTreeSet<&Vec<String>> = now
        .settings
        .keys()
        .chain(held.settings.keys())
        .filter(|key| **key != myid_key())
        .collect();
    for key in keys {
        let is_edited = now.settings.get(key) != then.settings.get(key);
        let value = if is_edited { now } else { held }.settings.get(key);
        let is_about_nobody = key
            .get(1)
            .is_some_and(|it| !merged.masters.contains_key(it));
        let Some(value) = value.filter(|_| !is_about_nobody) else {
            continue;
        };
        let words: Vec<String> = key.iter().chain([value]).cloned().collect();
        directives::apply(merged, &words)
            .map_err(|reason| format!("sentinel {}: {reason}", words.join(" ")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
