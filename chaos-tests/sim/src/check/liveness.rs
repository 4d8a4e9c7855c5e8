//! Once the faults stop: one master that all agree on, that lives, and that all follow.

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::Machine;

use crate::moment::Moment;
use crate::node::Node;

/// Judges one group by its name, its sentinels (with the time that each reads) and its living
/// servers. The error says what is missing.
pub fn judge(
    name: &str,
    machines: &[(&Machine, Time)],
    alive: &[&Node],
    now: Moment,
) -> Result<(), String> {
    let mut agreed: Option<(Epoch, Addr)> = None;
    for (index, (machine, local)) in machines.iter().enumerate() {
        let who = index + 1;
        let topology = machine.topology(*local, name);
        let topology = topology.ok_or_else(|| format!("s{who} does not monitor {name}"))?;
        let held = (topology.epoch, topology.master);
        match &agreed {
            None => agreed = Some(held),
            Some(first) if *first == held => {}
            Some(first) => {
                return Err(format!("{name}: s1 says {first:?}, s{who} says {held:?}"));
            }
        }
    }
    let (_, master) = agreed.ok_or("no sentinel at all")?;
    servers(name, &master, alive, now)?;
    for (index, (machine, local)) in machines.iter().enumerate() {
        let peers = machines.len() - 1;
        let seen = sentinel(name, machine, *local, peers, &master, alive);
        seen.map_err(|text| format!("{name} at s{}: {text}", index + 1))?;
    }
    Ok(())
}

fn servers(name: &str, master: &Addr, alive: &[&Node], now: Moment) -> Result<(), String> {
    let node = alive.iter().find(|node| node.addr == *master);
    let node = node.ok_or_else(|| format!("{name}: the master {master} is dead"))?;
    if !node.is_master() {
        return Err(format!("{name}: {master} follows {:?}", node.follows));
    }
    for node in alive {
        if now < node.loading_until {
            return Err(format!("{name}: {} is loading", node.addr));
        }
        if node.addr == *master {
            continue;
        }
        if node.follows.as_ref() != Some(master) {
            return Err(format!(
                "{name}: {} follows {:?}, not {master}",
                node.addr, node.follows
            ));
        }
        if !node.link_up() {
            return Err(format!("{name}: {} has no link to {master}", node.addr));
        }
    }
    Ok(())
}

fn sentinel(
    name: &str,
    machine: &Machine,
    local: Time,
    peers: usize,
    master: &Addr,
    alive: &[&Node],
) -> Result<(), String> {
    let view = machine.master(local, name).ok_or("it is not monitored")?;
    if view.instance.s_down.is_some() || view.instance.o_down.is_some() {
        return Err("the master is flagged down".to_owned());
    }
    if let Some(state) = view.failover_state {
        return Err(format!("a failover is in {state}"));
    }
    let replicas = machine.replicas(local, name).ok_or("no list of replicas")?;
    for node in alive.iter().filter(|node| node.addr != *master) {
        let seen = replicas
            .iter()
            .find(|replica| replica.instance.addr == node.addr);
        let seen = seen.ok_or_else(|| format!("replica {} is unknown", node.addr))?;
        if seen.instance.s_down.is_some() {
            return Err(format!("replica {} is flagged down", node.addr));
        }
    }
    let sentinels = machine
        .sentinels(local, name)
        .ok_or("no list of sentinels")?;
    if sentinels.len() != peers {
        return Err(format!(
            "{} of {peers} other sentinels are known",
            sentinels.len()
        ));
    }
    match sentinels.iter().find(|peer| peer.instance.s_down.is_some()) {
        Some(peer) => Err(format!("sentinel {} is flagged down", peer.instance.addr)),
        None => Ok(()),
    }
}
