//! Settings: of one monitored master, and of the whole sentinel.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::SentinelId;

/// The settings of one monitored master: the directives of `sentinel.conf` that carry its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MasterSettings {
    /// `down-after-milliseconds`: silence that makes S_DOWN. More than 0.
    pub down_after: Duration,
    /// `failover-timeout`. More than 0.
    pub failover_timeout: Duration,
    /// `parallel-syncs`: replicas reconfigured at the same time, at least 1.
    pub parallel_syncs: u32,
    /// `notification-script`.
    pub notification_script: Option<String>,
    /// `client-reconfig-script`.
    pub client_reconfig_script: Option<String>,
    /// `auth-user`.
    pub auth_user: Option<String>,
    /// `auth-pass`.
    pub auth_pass: Option<String>,
    /// `rename-command`, old name in upper case to new name. Applied by the shell.
    pub renamed_commands: BTreeMap<String, String>,
    /// `master-reboot-down-after-period`; zero is off.
    pub reboot_down_after: Duration,
}

impl Default for MasterSettings {
    fn default() -> Self {
        Self {
            down_after: Duration::from_secs(30),
            failover_timeout: Duration::from_secs(180),
            parallel_syncs: 1,
            notification_script: None,
            client_reconfig_script: None,
            auth_user: None,
            auth_pass: None,
            renamed_commands: BTreeMap::new(),
            reboot_down_after: Duration::ZERO,
        }
    }
}

/// The settings of the whole sentinel.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our id: 40 lower-case hex characters.
    pub myid: SentinelId,
    /// The port that hellos announce.
    pub announce_port: u16,
    /// The address that hellos announce; the local address of each link when absent.
    pub announce_ip: Option<String>,
    /// Seeds every random delay.
    pub seed: u64,
}
