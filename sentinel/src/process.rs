//! Facts about this process that do not change.

use std::path::PathBuf;

/// The version of Redis whose commands and texts are spoken; clients switch features on by it.
pub const VERSION_COMPATIBLE: &str = "7.2.4";

/// What INFO tells.
#[derive(Clone, Debug)]
pub struct Process {
    /// Random for each run; not the id of the sentinel.
    pub run_id: String,
    /// The id of the sentinel.
    pub myid: String,
    /// The port in clear, or the encrypted one when there is no other.
    pub port: u16,
    /// The port at which other sentinels reach this one.
    pub port_of_links: u16,
    /// The config file.
    pub config_file: Option<PathBuf>,
    /// The program.
    pub executable: PathBuf,
}
