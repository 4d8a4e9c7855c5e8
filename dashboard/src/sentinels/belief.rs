//! What becomes of what the sentinels say: [`codis_core::belief`] tells what to believe of it,
//! [`codis_topom::adopt`] whether that is news, and what is news is adopted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use codis_core::belief::{Answers, Word};
use codis_core::topology::Topology;
use codis_runtime::host;
use codis_topom::adopt::{self, Claim, Verdict};
use codis_topom::edit;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::audit::Origin;
use crate::core::Core;
use crate::state::Audit;

/// The latest word of each sentinel, and what it comes to.
#[derive(Debug)]
pub struct Belief {
    answers: Mutex<Answers>,
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
        lock(&self.answers).retain(sentinels);
        if sentinels.is_empty() {
            lock(&self.masters).clear();
            lock(&self.conflicts).clear();
        }
    }
}

fn lock<T>(part: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record from one of our sentinels.
pub async fn handle_record(core: &Arc<Core>, record: &Topology) {
    if let Some(word) = Word::of_record(&core.settings.product_name, record)
        && let Some(claim) = claim(core, &word, &record.sentinel)
    {
        consider(core, claim, false).await;
    }
}

/// A sentinel's whole list.
pub async fn handle_answer(core: &Arc<Core>, sentinel: &str, words: Vec<Word>) {
    let total = core.state.cluster().sentinel().servers.len();
    let (believed, is_majority) = {
        let mut answers = lock(&core.belief.answers);
        answers.set(sentinel, words);
        (answers.by_majority(total), answers.is_majority(total))
    };
    for word in believed.values() {
        if let Some(claim) = claim(core, word, "majority") {
            consider(core, claim, true).await;
        }
    }
    if is_majority {
        core.belief.open();
    }
}

/// A sentinel that cannot be reached: its last list counts no more.
pub fn handle_lost(core: &Core, sentinel: &str) {
    lock(&core.belief.answers).remove(sentinel);
}

/// The claim in the words of the group's record; a server that the group does not have is reported
/// once.
fn claim(core: &Core, word: &Word, source: &str) -> Option<Claim> {
    let run_id_of = |addr: &str| core.polls.run_id(addr);
    let known = (word.group, word.master.clone());
    match adopt::claim_for(&core.state.cluster(), word, source, run_id_of) {
        Ok(claim) => {
            lock(&core.belief.unknown).remove(&known);
            Some(claim)
        }
        Err(refusal) => {
            if lock(&core.belief.unknown).insert(known) {
                let (group, epoch) = (word.group, word.epoch.0);
                tracing::warn!(group, epoch, "{refusal} with runid = '{}'", word.run_id);
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
        who: Origin::sentinels(&source),
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
