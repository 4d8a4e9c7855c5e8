//! The candidates of a master as they are judged now: what `SENTINEL CANDIDATES` tells.

use std::time::Duration;

use codis_core::time::Time;

use crate::candidate::Rank;
use crate::core::Core;
use crate::instance::Replica;
use crate::machine::Machine;
use crate::master::Master;
use crate::view::{CandidateView, PastRefusal};

impl Machine {
    /// The replicas of a master, the one that would be promoted first and the refused ones last.
    pub fn candidates(&mut self, now: Time, name: &str) -> Option<Vec<CandidateView>> {
        self.enter(now);
        self.settle();
        let master = self.masters.get(self.names.get(name)?)?;
        Some(master.candidates(&self.core))
    }
}

impl Master {
    /// Every replica as a candidate, in the order of their ranks; the refused ones last.
    pub(crate) fn candidates(&self, core: &Core) -> Vec<CandidateView> {
        let offsets = self.replicas.values().filter_map(Replica::info);
        let best = offsets.map(|info| info.offset).max().unwrap_or(0);
        let view = |replica: &Replica| (self.rank(replica), self.candidate(core, replica, best));
        let mut views: Vec<(Rank, CandidateView)> = self.replicas.values().map(view).collect();
        views.sort_by(|(a, one), (b, other)| {
            let refused = |view: &CandidateView| !view.refused.is_empty();
            (refused(one), a).cmp(&(refused(other), b))
        });
        let mut place = 0;
        let ranked = |(_, mut view): (Rank, CandidateView)| {
            if view.refused.is_empty() {
                place += 1;
                view.rank = Some(place);
            }
            view
        };
        views.into_iter().map(ranked).collect()
    }

    fn candidate(&self, core: &Core, replica: &Replica, best: u64) -> CandidateView {
        let (server, node) = (&replica.server, &replica.server.node);
        let info = replica.info();
        let offset = info.map_or(0, |info| info.offset);
        let link_down = info.map_or(0, |info| info.master_link_down_ms.max(0));
        let refusal = self.refused.iter().find(|it| it.addr == node.addr);
        let past = refusal
            .zip(self.refused_at)
            .map(|(it, (at, epoch))| PastRefusal {
                reason: it.reason.clone(),
                age: core.age(at),
                epoch,
            });
        CandidateView {
            addr: node.addr.clone(),
            rank: None,
            priority: info.map(|info| info.priority),
            offset,
            behind: best - offset,
            run_id: server.run_id.clone(),
            link_up: info.is_some_and(|info| info.master_link_up),
            link_down: Duration::from_millis(link_down.unsigned_abs()),
            info_age: server.info_age(core),
            ok_ping: core.awake().since(node.silent_since(core)),
            refused: self.refusals(core, replica),
            last_refused: past,
        }
    }
}
