//! What is believed of what the sentinels say.
//!
//! A record from one of our sentinels is believed at once: a majority elected what it says, and its
//! epoch makes a late one harmless. What stock sentinels say is believed when a majority of all
//! answered, and then the highest epoch wins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::paths;
use codis_core::topology::Topology;
use codis_runtime::host;
use codis_topom::adopt::{self, Claim, StockMaster, Verdict};
use codis_topom::edit;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::core::Core;
use crate::state::Audit;

/// How long an answer counts towards a majority.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(3);

/// The latest word of each sentinel, and what it comes to.
#[derive(Debug)]
pub struct Belief {
    answers: Mutex<BTreeMap<String, (Instant, Vec<StockMaster>)>>,
    masters: Mutex<BTreeMap<u32, String>>,
    conflicts: Mutex<BTreeSet<u32>>,
    unknown: Mutex<BTreeSet<(u32, String)>>,
    open: watch::Sender<bool>,
}

impl Belief {
    /// Nothing heard yet; `open` is told once a majority spoke.
    pub fn new(open: watch::Sender<bool>) -> Self {
        Self {
            answers: Mutex::default(),
            masters: Mutex::default(),
            conflicts: Mutex::default(),
            unknown: Mutex::default(),
            open,
        }
    }

    /// Group to master, as the sentinels say.
    pub fn masters(&self) -> BTreeMap<u32, String> {
        lock(&self.masters).clone()
    }

    /// Groups whose sentinels name another master at an epoch that is not higher.
    pub fn conflicts(&self) -> BTreeSet<u32> {
        lock(&self.conflicts).clone()
    }

    /// Waits until a majority of the sentinels spoke.
    pub async fn opened(&self) {
        // The sender is ours, so it is there as long as we wait.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    /// Lets the rows send.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Forgets sentinels that are no longer on record, and all when there are none.
    pub fn retain(&self, sentinels: &[String]) {
        lock(&self.answers).retain(|sentinel, _| sentinels.contains(sentinel));
        if sentinels.is_empty() {
            lock(&self.masters).clear();
            lock(&self.conflicts).clear();
        }
    }

    fn fresh_answers(&self) -> Vec<Vec<StockMaster>> {
        let answers = lock(&self.answers);
        let fresh = answers
            .values()
            .filter(|(at, _)| at.elapsed() < ANSWER_AGE_MAX);
        fresh.map(|(_, masters)| masters.clone()).collect()
    }
}

fn lock<T>(part: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record from one of our sentinels.
pub async fn handle_topology(core: &Arc<Core>, record: &Topology) {
    let Some(group) = paths::monitored_group(&core.settings.product_name, &record.name) else {
        return;
    };
    let addr = record.master.to_string();
    if let Some(claim) = claim(
        core,
        group,
        &addr,
        &record.run_id,
        record.epoch,
        &record.sentinel,
    ) {
        consider(core, claim, false).await;
    }
}

/// A sentinel's whole list.
pub async fn handle_answer(core: &Arc<Core>, sentinel: &str, masters: Vec<StockMaster>) {
    lock(&core.belief.answers).insert(sentinel.to_owned(), (Instant::now(), masters));
    let total = core.state.cluster().sentinel().servers.len();
    let Ok(believed) = adopt::believe(&core.belief.fresh_answers(), total) else {
        return;
    };
    for (group, master) in believed {
        let source = "majority";
        if let Some(claim) = claim(
            core,
            group,
            &master.addr,
            &master.run_id,
            master.epoch,
            source,
        ) {
            consider(core, claim, true).await;
        }
    }
    core.belief.open();
}

/// The claim in the words of the group's record; a server that the group does not have is reported
/// once.
fn claim(
    core: &Core,
    group: u32,
    addr: &str,
    run_id: &str,
    epoch: Epoch,
    source: &str,
) -> Option<Claim> {
    let run_ids = core.polls.run_ids();
    let cluster = core.state.cluster();
    let known = (group, addr.to_owned());
    match adopt::claim_for(&cluster, group, addr, run_id, epoch, source, &run_ids) {
        Ok(claim) => {
            lock(&core.belief.unknown).remove(&known);
            Some(claim)
        }
        Err(refusal) => {
            if lock(&core.belief.unknown).insert(known) {
                tracing::warn!(group, epoch = epoch.0, "{refusal} with runid = '{run_id}'");
            }
            None
        }
    }
}

/// Judges a claim and adopts it. A conflict counts only when a majority is behind it: one sentinel
/// may be late.
async fn consider(core: &Arc<Core>, claim: Claim, majority: bool) {
    let group = claim.group;
    let cluster = core.state.cluster();
    match adopt::judge(&cluster, &claim) {
        Verdict::Adopt => adopt_claim(core, claim).await,
        Verdict::Refresh => {
            lock(&core.belief.masters).insert(group, claim.master);
            lock(&core.belief.conflicts).remove(&group);
        }
        Verdict::Stale => {
            if majority {
                lock(&core.belief.masters).insert(group, claim.master);
                lock(&core.belief.conflicts).remove(&group);
            }
        }
        Verdict::Conflict if majority => conflict(core, claim).await,
        Verdict::Conflict => {}
    }
}

async fn adopt_claim(core: &Arc<Core>, claim: Claim) {
    let (group, epoch, master) = (claim.group, claim.epoch.0, claim.master.clone());
    let source = claim.source.clone();
    let audit = Audit {
        who: format!("sentinel {source}"),
        what: format!("adopt {group} {master}"),
    };
    let at = host::now_rfc3339();
    let started = Instant::now();
    let edited = core
        .state
        .edit(audit, move |cluster| adopt::adopt(cluster, &claim, &at))
        .await;
    match edited {
        Ok(_) => {
            core.counters.adoptions.inc();
            lock(&core.belief.masters).insert(group, master.clone());
            lock(&core.belief.conflicts).remove(&group);
            let took_ms = started.elapsed().as_millis() as u64;
            tracing::info!(group, epoch, master, source, took_ms, "topology adopted");
        }
        Err(error) => tracing::error!(group, epoch, master, %error, "topology not adopted"),
    }
}

async fn conflict(core: &Arc<Core>, claim: Claim) {
    let group = claim.group;
    lock(&core.belief.masters).insert(group, claim.master.clone());
    if !lock(&core.belief.conflicts).insert(group) {
        return;
    }
    let held = core.state.cluster().epoch(group).0;
    tracing::warn!(
        group,
        held,
        claimed = claim.epoch.0,
        master = claim.master,
        "a majority of the sentinels names another master at an epoch that is not higher; it \
         is not followed: resync the sentinels, or promote the server by hand"
    );
    let audit = Audit::own(format!("group/conflict {group}"));
    let marked = core
        .state
        .edit(audit, move |cluster| edit::mark_out_of_sync(cluster, group))
        .await;
    if let Err(error) = marked {
        tracing::error!(group, %error, "group not marked as out of sync");
    }
}
