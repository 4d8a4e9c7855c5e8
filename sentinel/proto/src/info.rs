//! The lines of INFO that a sentinel reads.

use codis_core::addr::Addr;

/// What one INFO said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Info {
    /// `run_id`, empty when absent.
    pub run_id: String,
    /// `role`.
    pub role: Role,
    /// The `slaveN:` lines.
    pub replicas: Vec<Addr>,
    /// `master_host` and `master_port`.
    pub master: Option<Addr>,
    /// `master_link_status:up`.
    pub master_link_up: bool,
    /// `master_link_down_since_seconds` in milliseconds, 0 when absent, -1000 when never up.
    pub master_link_down_ms: i64,
    /// `slave_priority`, 100 when absent.
    pub priority: u32,
    /// `slave_repl_offset` of a replica, `master_repl_offset` of a master.
    pub offset: u64,
    /// `replica_announced`, true when absent.
    pub announced: bool,
    /// The whole text, for INFO-CACHE.
    pub text: String,
}

/// The role that a server reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// `role:master`.
    #[default]
    Master,
    /// `role:slave`.
    Replica,
}
