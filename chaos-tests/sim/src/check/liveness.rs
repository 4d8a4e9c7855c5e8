//! Once the faults stop: one master that all agree on, that lives, and that all follow.

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;

use crate::moment::Moment;
use crate::node::Node;
use crate::view::View;

/// Judges one group by its name, how its sentinels see it, and its living servers. The error says
/// what is missing.
pub fn judge(
    name: &str,
    views: &[Option<View>],
    alive: &[&Node],
    now: Moment,
) -> Result<(), String> {
    let mut agreed: Option<(Epoch, Addr)> = None;
    for (index, view) in views.iter().enumerate() {
        let who = index + 1;
        let view = view
            .as_ref()
            .ok_or_else(|| format!("s{who} does not monitor {name}"))?;
        let held = (view.epoch, view.master.clone());
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
    for (index, view) in views.iter().flatten().enumerate() {
        let seen = sentinel(view, views.len() - 1, &master, alive);
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

fn sentinel(view: &View, peers: usize, master: &Addr, alive: &[&Node]) -> Result<(), String> {
    if view.down {
        return Err("the master is flagged down".to_owned());
    }
    if let Some(state) = view.failover {
        return Err(format!("a failover is in {state}"));
    }
    for node in alive.iter().filter(|node| node.addr != *master) {
        let mut known = view.replicas.iter();
        match known.find(|(addr, _)| *addr == node.addr) {
            None => return Err(format!("replica {} is unknown", node.addr)),
            Some((_, true)) => return Err(format!("replica {} is flagged down", node.addr)),
            Some((_, false)) => {}
        }
    }
    let known = view.peers.len();
    if known != peers {
        return Err(format!("{known} of {peers} other sentinels are known"));
    }
    match view.peers.iter().find(|(_, down)| *down) {
        Some((addr, _)) => Err(format!("sentinel {addr} is flagged down")),
        None => Ok(()),
    }
}
