//! Adoption of what the sentinels say about a group.
//!
//! A sentinel's word is a pair (epoch, master). A pair with a higher epoch than the one held is
//! adopted; an equal one may confirm the master but never move it; a lower one is dropped. So pairs
//! may be lost, doubled, late and reordered, and all who follow the rule end at the same pair.
//!
//! The held pair is the stored topology of the group. Where the group's own record disagrees with
//! it (a crash between the two writes, or an original dashboard that ran in between), a pair that
//! repeats the held one puts the record right.

use codis_core::belief::Word;
use codis_core::epoch::Epoch;
use codis_core::ha::GroupTopology;
use codis_core::model::{ActionState, Group, Promoting};

use crate::cluster::place_of;
use crate::edit::Edit;
use crate::{Change, Cluster, Refusal};

/// What a sentinel, or a majority of stock ones, says about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The group.
    pub group: u32,
    /// The config epoch of the master.
    pub epoch: Epoch,
    /// The master, as the group's record writes it.
    pub master: String,
    /// Its run id when known, else empty.
    pub run_id: String,
    /// Who says so.
    pub source: String,
}

/// What becomes of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is newer than what is held, or repeats it where the group's record disagrees.
    Adopt,
    /// It repeats what is held.
    Refresh,
    /// Its epoch is lower and its master the same: nothing to do.
    Stale,
    /// Its epoch is not higher and its master is another: never followed, but reported when it
    /// persists, for with stock sentinels alone it can mean that their epochs started over.
    Conflict,
}

/// Judges a claim against what is held.
pub fn judge(cluster: &Cluster, claim: &Claim) -> Verdict {
    let current = cluster.master(claim.group);
    let held = cluster.topology(claim.group);
    let (epoch, master) = held.map_or((Epoch::ZERO, current), |t| (t.epoch, t.master.as_str()));
    if claim.epoch > epoch {
        Verdict::Adopt
    } else if claim.master != master {
        Verdict::Conflict
    } else if claim.epoch < epoch {
        Verdict::Stale
    } else if current == master {
        Verdict::Refresh
    } else {
        Verdict::Adopt
    }
}

/// Finds the server that an address stands for: by its text, else by an equal run id, which
/// `run_id_of` knows of an address. It is asked only when the text is of no help.
pub fn locate(
    group: &Group,
    addr: &str,
    run_id: &str,
    run_id_of: impl Fn(&str) -> Option<String>,
) -> Option<usize> {
    let by_run_id = || {
        let known = |addr: &str| run_id_of(addr).is_some_and(|known| known == run_id);
        group
            .servers
            .iter()
            .position(|server| !run_id.is_empty() && known(&server.addr))
    };
    place_of(group, addr).or_else(by_run_id)
}

/// Adopts a claim: first the pair, then the order of the group. A claim that is no longer news
/// changes nothing, so a doubled one is harmless.
pub fn adopt(cluster: &Cluster, claim: &Claim, at: &str) -> Edit {
    let group = cluster.group(claim.group)?;
    let place = crate::edit::place(group, &claim.master)?;
    if judge(cluster, claim) != Verdict::Adopt {
        return Ok(Vec::new());
    }
    let topology = GroupTopology {
        group_id: claim.group,
        epoch: claim.epoch,
        master: claim.master.clone(),
        run_id: claim.run_id.clone(),
        source: claim.source.clone(),
        adopted_at: at.to_owned(),
        priorities: crate::edit::priorities(cluster, claim.group),
        strays: crate::edit::strays(cluster, claim.group),
    };
    let mut reordered = with_master(group, place);
    reordered.out_of_sync = true;
    // The sentinels decided, so a promotion that the dashboard had under way by itself is over.
    if group.promoting.state != ActionState::Nothing {
        reordered.promoting = Promoting::default();
    }
    let mut changes = vec![Change::PutTopology(topology), Change::PutGroup(reordered)];
    if cluster.is_locked(claim.group) {
        changes.push(Change::Lock {
            group: claim.group,
            locked: false,
        });
    }
    Ok(changes)
}

/// `group` with the server at `place` first, the old master last and the others in order.
pub(crate) fn with_master(group: &Group, place: usize) -> Group {
    let mut group = group.clone();
    if place > 0 {
        let master = group.servers.remove(place);
        let old = group.servers.remove(0);
        group.servers.insert(0, master);
        group.servers.push(old);
    }
    group
}

/// Settles, at start and without sentinels to ask, groups whose record names another master than
/// the held topology.
///
/// With sentinels configured the held topology stands: an election made it. Without, whoever moved
/// the master was an operator with an original dashboard, so the record stands, at the next epoch.
pub fn settle_drift(cluster: &Cluster, group: u32, at: &str) -> Edit {
    let record = cluster.group(group)?;
    let Some(held) = cluster.topology(group).filter(|_| cluster.drifted(group)) else {
        return Ok(Vec::new());
    };
    match place_of(record, &held.master).filter(|_| cluster.has_sentinels()) {
        Some(place) => {
            let reordered = Group {
                out_of_sync: true,
                ..with_master(record, place)
            };
            Ok(vec![Change::PutGroup(reordered)])
        }
        None => Ok(vec![Change::PutTopology(GroupTopology {
            group_id: group,
            epoch: held.epoch.next(),
            master: cluster.master(group).to_owned(),
            run_id: String::new(),
            source: "dashboard".to_owned(),
            adopted_at: at.to_owned(),
            priorities: held.priorities.clone(),
            strays: held.strays.clone(),
        })]),
    }
}

/// The claim that a sentinel's word makes, in the words of the group's record.
///
/// # Errors
/// There is no such group, or it has no such server.
pub fn claim_for(
    cluster: &Cluster,
    word: &Word,
    source: &str,
    run_id_of: impl Fn(&str) -> Option<String>,
) -> Result<Claim, Refusal> {
    let record = cluster.group(word.group)?;
    let place = locate(record, &word.master, &word.run_id, run_id_of).ok_or_else(|| {
        let (group, server) = (word.group, word.master.clone());
        Refusal::NotInGroup { group, server }
    })?;
    Ok(Claim {
        group: word.group,
        epoch: word.epoch,
        master: record.servers[place].addr.clone(),
        run_id: word.run_id.clone(),
        source: source.to_owned(),
    })
}
