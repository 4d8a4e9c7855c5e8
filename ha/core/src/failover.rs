//! The record of a failover as one sentinel saw it: what `SENTINEL HISTORY` tells, and what is kept
//! in its file, one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::addr::Addr;
use crate::epoch::Epoch;

/// One failover, or several attempts in a row that ended alike while a master was down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The monitored name.
    pub name: String,
    /// The epoch of the (last) attempt.
    pub epoch: Epoch,
    /// The epoch of the first attempt.
    pub first_epoch: Epoch,
    /// How many attempts, at least 1.
    pub attempts: u32,
    /// The sentinel that tells.
    pub sentinel: String,
    /// What it did.
    pub role: Role,
    /// Who led, as far as it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Why, in a word: `o_down`, `operator`, ...; `unknown` when somebody else decided.
    pub cause: String,
    /// The moment from which stages count, in milliseconds since 1970: the last proof of life of
    /// the old master, or the beginning when it was not down. 0 until the shell sets it.
    pub start_unix_ms: u64,
    /// What happened, in order.
    pub stages: Vec<Stage>,
    /// The votes of `epoch` that it heard of.
    pub votes: Vec<Vote>,
    /// The replicas when one of them was to be chosen.
    pub candidates: Vec<Candidate>,
    /// The old master.
    pub from: Addr,
    /// The replica that was chosen, or is master now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Addr>,
    /// How it ended: `end`, `end-for-timeout`, `promoted`, `not-elected`, `no-good-slave`, ...;
    /// `in-progress` before that.
    pub outcome: String,
}

/// What a sentinel did in a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It was elected.
    Leader,
    /// It stood, and was not elected.
    Candidate,
    /// It voted for another.
    Voter,
    /// It heard of the result.
    Observer,
}

impl Role {
    /// Its name in replies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Candidate => "candidate",
            Self::Voter => "voter",
            Self::Observer => "observer",
        }
    }
}

/// Something that happened in a failover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// `s_down`, `o_down`, `voted`, `stood`, `elected`, `selected`, `ordered`, `promoted`, `told`,
    /// `heard`, `replica-done`, `end`.
    pub name: String,
    /// When, in milliseconds after the start.
    pub ms: u64,
    /// The replica concerned, when it is not the chosen one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<Addr>,
}

/// Who voted for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The id of the voter.
    pub voter: String,
    /// The id of the sentinel that it voted for.
    pub leader: String,
}

/// A replica at the choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The replica.
    pub addr: Addr,
    /// Its replication offset in bytes.
    pub offset: u64,
    /// `replica-priority`; absent before its first INFO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Why it could not be promoted; empty when it could.
    pub refused: Vec<String>,
}

impl Record {
    /// Whether `later` is this record with more attempts, which replaces it.
    pub fn is_continued_by(&self, later: &Self) -> bool {
        let key = |it: &Self| (it.name.clone(), it.first_epoch, it.outcome.clone());
        key(self) == key(later) && self.role == later.role
    }

    /// When the first stage of that name happened, in milliseconds after the start.
    pub fn stage_ms(&self, name: &str) -> Option<u64> {
        let found = self.stages.iter().find(|stage| stage.name == name);
        found.map(|stage| stage.ms)
    }
}
