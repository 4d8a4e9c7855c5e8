//! `SENTINEL HISTORY`: the last failovers, newest first, those under way before all others.

use std::time::SystemTime;

use codis_core::addr::Addr;
use codis_core::failover::{Candidate, Record, Stage, Vote};
use codis_core::resp::Value;

use super::super::render::{Map, bulk};
use super::{Context, Outcome, masters};
use crate::wall;

pub(super) fn history(context: &Context<'_>, words: &[String]) -> Outcome {
    let name = match words {
        [] => None,
        [name] => Some(name.as_str()),
        _ => {
            return Outcome::error("ERR wrong number of arguments for 'sentinel|history' command");
        }
    };
    let is_wanted = |record: &Record| name.is_none_or(|name| record.name == name);
    let open = context.machine.failovers_in_progress().into_iter();
    let open = open.filter(|(_, record)| is_wanted(record));
    let mut values: Vec<Value> = open
        .map(|(zero, mut record)| {
            let age = context.now.since(zero);
            record.start_unix_ms = wall::millis_before(SystemTime::now(), age);
            render(&record)
        })
        .collect();
    values.extend(context.history.newest(name).map(render));
    let known = name.is_none_or(|name| context.machine.settings_of(name).is_some());
    if values.is_empty() && !known {
        return masters::no_such_master();
    }
    Value::array(values).into()
}

fn render(record: &Record) -> Value {
    let Record {
        name,
        epoch,
        first_epoch,
        attempts,
        sentinel,
        role,
        leader,
        cause,
        start_unix_ms,
        stages,
        votes,
        candidates,
        from,
        to,
        outcome,
    } = record;
    let addr = |addr: &Option<Addr>| addr.as_ref().map(Addr::to_string).unwrap_or_default();
    let mut map = Map::default();
    map.text("name", name);
    map.number("epoch", epoch);
    map.number("first-epoch", first_epoch);
    map.number("attempts", attempts);
    map.text("sentinel", sentinel);
    map.text("role", role.name());
    map.text("leader", leader.as_deref().unwrap_or_default());
    map.text("cause", cause);
    map.text("outcome", outcome);
    map.number("start", start_unix_ms);
    map.text("from", from.to_string());
    map.text("to", addr(to));
    map.value("stages", Value::array(stages.iter().map(stage)));
    map.value("votes", Value::array(votes.iter().map(vote)));
    let candidates = candidates.iter().map(candidate);
    map.value("candidates", Value::array(candidates));
    map.into()
}

fn stage(stage: &Stage) -> Value {
    let Stage { name, ms, addr } = stage;
    let mut map = Map::default();
    map.text("stage", name);
    map.number("ms", ms);
    if let Some(addr) = addr {
        map.text("replica", addr.to_string());
    }
    map.into()
}

fn vote(vote: &Vote) -> Value {
    let Vote { voter, leader } = vote;
    let mut map = Map::default();
    map.text("voter", voter);
    map.text("leader", leader);
    map.into()
}

fn candidate(candidate: &Candidate) -> Value {
    let Candidate {
        addr,
        offset,
        priority,
        refused,
    } = candidate;
    let mut map = Map::default();
    map.text("name", addr.to_string());
    map.number("offset", offset);
    map.number("priority", priority.map_or(-1, i64::from));
    map.value("refused", Value::array(refused.iter().map(bulk)));
    map.into()
}
