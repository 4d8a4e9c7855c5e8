//! Coming back without the memory of one's votes.
//!
//! A sentinel whose state was lost or damaged may have voted in an epoch that it no longer knows.
//! If it voted in that epoch again, two leaders could have a majority each. So it gives no vote
//! before it must know of every epoch in which its former vote can count.
//!
//! Let `voters` be all sentinels of a master and `needed` the votes that elect. Whoever was elected
//! with the forgotten vote had at least `needed - 1` votes of others, so `voters - needed + 1`
//! others cannot all have stayed out of it. An attempt takes no longer than `election_timeout`,
//! so once that has passed since our start each of those votes was given, and the hello of each
//! voter from then on carries that epoch or a higher one. We vote again after such late hellos of
//! so many others, and only above the epoch that they told.
//!
//! The price: for some 10 s after such a start a sentinel does not vote, and when too many others
//! are gone it does not until an operator makes it forget them (`SENTINEL RESET`). A sentinel that
//! knows nobody and needs nobody (quorum 1) can only clash with itself: the time is enough for it.

use codis_core::time::Time;

use crate::core::Core;
use crate::instance::Peer;
use crate::machine::Machine;
use crate::master::Master;
use crate::schedule::Who;

impl Master {
    /// Ends the abstinence when enough others were heard; when to look again.
    pub(crate) fn remember(&mut self, core: &mut Core) -> Option<Time> {
        if !self.forgot_votes {
            return None;
        }
        let settled = core.started + core.timing.election_timeout;
        if core.now < settled {
            return Some(settled);
        }
        let is_late = |peer: &&Peer| peer.heard.as_ref().is_some_and(|it| it.at >= settled);
        let late = self.peers.values().filter(is_late).count();
        let alone = self.peers.is_empty() && self.quorum == 1;
        if late < self.voters().saturating_sub(self.votes_needed()) + 1 && !alone {
            return None;
        }
        self.forgot_votes = false;
        self.vote.epoch = self.vote.epoch.max(core.current_epoch);
        core.disk.want();
        self.tell_of(core, "+rejoined", &Who::Master);
        None
    }
}

impl Machine {
    /// Whether votes are withheld because earlier ones may have been forgotten.
    pub fn is_rejoining(&self) -> bool {
        let forgot = |master: &Master| master.forgot_votes;
        self.core.rejoining && (self.masters.is_empty() || self.masters.values().any(forgot))
    }

    /// Once all masters are clear, those to come are, too.
    pub(crate) fn rejoin(&mut self) {
        if self.core.rejoining && !self.is_rejoining() {
            self.core.rejoining = false;
            self.core.disk.want();
        }
    }
}
