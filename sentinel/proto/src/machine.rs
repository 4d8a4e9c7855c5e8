//! The machine: its entry points and its state.

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_core::topology::Topology;

use crate::effect::Effect;
use crate::ids::PersistId;
use crate::input::Input;
use crate::persist::Snapshot;
use crate::settings::{MasterSettings, Settings};
use crate::view::{MasterView, ReplicaView, SentinelView};

/// One sentinel.
#[derive(Debug)]
pub struct Machine {}

/// Why an operator's order is refused. The texts are those of the original.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The name is not monitored.
    #[error("ERR No such master with that name")]
    NoSuchMaster,
    /// The name is monitored already.
    #[error("ERR Duplicate master name.")]
    DuplicateMaster,
    /// A failover is under way.
    #[error("INPROG Failover already in progress")]
    FailoverInProgress,
    /// Nobody can be promoted.
    #[error("NOGOODSLAVE No suitable replica to promote")]
    NoGoodReplica,
    /// The replica named is not one that may be promoted, and why.
    #[error("NOGOODSLAVE {addr} cannot be promoted: {reason}")]
    BadCandidate {
        /// The replica.
        addr: Addr,
        /// The rule that ruled it out.
        reason: String,
    },
}

#[expect(
    unused_variables,
    missing_docs,
    reason = "the signatures come before the bodies"
)]
impl Machine {
    /// A sentinel that starts with `snapshot` from its last run (or a fresh one).
    pub fn new(now: Time, settings: Settings, snapshot: Snapshot) -> Self {
        Self {}
    }
    pub fn handle_input(&mut self, now: Time, input: Input) {}
    pub fn handle_timeout(&mut self, now: Time) {}
    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }
    /// The id of the last snapshot asked for: an order is durable once it is persisted.
    pub fn last_persist(&self) -> PersistId {
        PersistId(0)
    }
    // --- orders of an operator ---
    pub fn monitor(
        &mut self,
        now: Time,
        name: &str,
        addr: Addr,
        quorum: u32,
    ) -> Result<(), OrderError> {
        Ok(())
    }
    pub fn remove(&mut self, now: Time, name: &str) -> Result<(), OrderError> {
        Ok(())
    }
    /// Replaces the settings and the quorum of a master; `changes` are the texts of the `+set`
    /// events, one each.
    pub fn set(
        &mut self,
        now: Time,
        name: &str,
        settings: MasterSettings,
        quorum: u32,
        changes: &[String],
    ) -> Result<(), OrderError> {
        Ok(())
    }
    /// Raises the epoch floor of a name, monitored or not.
    pub fn raise_epoch_floor(&mut self, now: Time, name: &str, epoch: Epoch) {}
    /// Resets the named masters: forgets replicas and sentinels.
    pub fn reset(&mut self, now: Time, names: &[String]) {}
    /// Starts a failover without O_DOWN, to `to` when given.
    pub fn failover(&mut self, now: Time, name: &str, to: Option<Addr>) -> Result<(), OrderError> {
        Ok(())
    }
    /// Asks for the whole state to be written (FLUSHCONFIG).
    pub fn flush(&mut self, now: Time) {}
    // --- questions ---
    pub fn master_names(&self) -> Vec<String> {
        Vec::new()
    }
    pub fn master(&self, now: Time, name: &str) -> Option<MasterView> {
        None
    }
    pub fn replicas(&self, now: Time, name: &str) -> Option<Vec<ReplicaView>> {
        None
    }
    pub fn sentinels(&self, now: Time, name: &str) -> Option<Vec<SentinelView>> {
        None
    }
    pub fn settings_of(&self, name: &str) -> Option<(&MasterSettings, u32)> {
        None
    }
    pub fn topology(&self, now: Time, name: &str) -> Option<Topology> {
        None
    }
    /// Peers not S_DOWN plus us, voters, quorum: what CKQUORUM judges.
    pub fn usable_sentinels(&self, name: &str) -> Option<(usize, usize, u32)> {
        None
    }
    pub fn current_epoch(&self) -> Epoch {
        Epoch::ZERO
    }
    pub fn is_tilt(&self) -> bool {
        false
    }
}
