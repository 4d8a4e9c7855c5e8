//! Questions about the quorum, the servers' INFO, and scripts.

use std::collections::BTreeSet;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::resp::Value;
use codis_sentinel_proto::ids::SentinelId;

use super::super::render::{Map, bulk};
use super::{Context, Outcome, masters};
use codis_sentinel_proto::epochs;

pub(super) fn is_master_down(context: &Context<'_>, words: &[String]) -> Outcome {
    let [host, port, epoch, id] = words else {
        return not_an_integer();
    };
    let numbers = port.parse::<i64>().ok().zip(epoch.parse::<i64>().ok());
    let Some((port, epoch)) = numbers else {
        return not_an_integer();
    };
    let epoch = Epoch(u64::try_from(epoch).unwrap_or(0));
    if !epochs::is_plausible(epoch, context.machine.current_epoch()) {
        return not_an_integer();
    }
    Outcome::Asked {
        // A port out of range names no master, and port 0 is the address of none.
        master: Addr::new(host, u16::try_from(port).unwrap_or(0)),
        epoch,
        candidate: (id != "*").then(|| SentinelId::new(id.as_str())),
    }
}

fn not_an_integer() -> Outcome {
    Outcome::error("ERR value is not an integer or out of range")
}

pub(super) fn ckquorum(context: &Context<'_>, name: &str) -> Outcome {
    let Some((usable, voters, quorum)) = context.machine.usable_sentinels(name) else {
        return masters::no_such_master();
    };
    match quorum_verdict(usable, voters, quorum) {
        Ok(text) => Value::simple(text.into_bytes()).into(),
        Err(text) => Outcome::error(text),
    }
}

/// The text of `CKQUORUM`: whether the usable sentinels could agree on a failover.
pub fn quorum_verdict(usable: usize, voters: usize, quorum: u32) -> Result<String, String> {
    let mut reasons = Vec::new();
    if usable < usize::try_from(quorum).unwrap_or(usize::MAX) {
        reasons
            .push("Not enough available Sentinels to reach the specified quorum for this master");
    }
    if usable < voters / 2 + 1 {
        reasons
            .push("Not enough available Sentinels to reach the majority and authorize a failover");
    }
    if reasons.is_empty() {
        return Ok(format!(
            "OK {usable} usable Sentinels. Quorum and failover authorization can be reached"
        ));
    }
    let reasons = reasons.join(". ");
    Err(format!("NOQUORUM {usable} usable Sentinels. {reasons}"))
}

pub(super) fn info_cache(context: &Context<'_>, names: &[String]) -> Outcome {
    let mut out = Vec::new();
    let mut told = BTreeSet::new();
    for name in names {
        // As in Redis, a name is told once.
        if !told.insert(name) {
            continue;
        }
        let Some(master) = context.machine.master(context.now, name) else {
            continue;
        };
        let replicas = context
            .machine
            .replicas(context.now, name)
            .unwrap_or_default();
        let mut servers = vec![master.instance.addr];
        servers.extend(replicas.into_iter().map(|view| view.instance.addr));
        let entries = servers.iter().map(|addr| match context.infos.get(addr) {
            Some((at, text)) => {
                let age = context.now.since(at).as_millis();
                Value::array([
                    Value::Integer(i64::try_from(age).unwrap_or(i64::MAX)),
                    bulk(text),
                ])
            }
            None => Value::array([Value::Integer(0), Value::null()]),
        });
        out.push(bulk(name.as_str()));
        out.push(Value::array(entries));
    }
    Value::array(out).into()
}

pub(super) fn pending_scripts(context: &Context<'_>) -> Outcome {
    let jobs = context.scripts.jobs().map(|job| {
        let mut map = Map::default();
        map.value("argv", Value::array(job.argv.iter().map(bulk)));
        match job.running {
            Some((pid, age)) => {
                map.text("flags", "running");
                map.text("pid", pid.to_string());
                map.text("run-time", age.as_millis().to_string());
            }
            None => {
                map.text("flags", "scheduled");
                map.text("pid", "0");
                map.text("run-delay", job.delay.as_millis().to_string());
            }
        }
        map.text("retry-num", job.tries.to_string());
        map.into()
    });
    Value::array(jobs).into()
}
