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
    /// `script-stdin-json`: scripts can read a record from their standard input.
    pub script_stdin_json: bool,
    /// `auth-user`.
    pub auth_user: Option<String>,
    /// `auth-pass`.
    pub auth_pass: Option<String>,
    /// `rename-command`, old name in upper case to new name. Applied by the shell.
    pub renamed_commands: BTreeMap<String, String>,
    /// `master-reboot-down-after-period`; zero is off.
    pub reboot_down_after: Duration,
    /// `forget-after`: replicas and sentinels that were unreachable for longer are forgotten; zero
    /// is off.
    pub forget_after: Duration,
    /// `refused-after-milliseconds`: connections refused for this long make the master S_DOWN
    /// before down-after; zero is off.
    pub refused_after: Duration,
    /// `master-lost-data-failover`: a master that restarted with less data than its replicas is
    /// failed over, and not only reported.
    pub lost_data_failover: bool,
    /// `master-write-check`.
    pub write_check: WriteCheck,
}

/// A forget-after below this many down-afters forgets what is only slow to return.
const FORGET_AFTER_DOWN_AFTERS: u32 = 10;

impl MasterSettings {
    /// What an operator may not have meant, in words.
    pub fn doubt(&self) -> Option<String> {
        let least = self.down_after.saturating_mul(FORGET_AFTER_DOWN_AFTERS);
        let short = !self.forget_after.is_zero() && self.forget_after < least;
        short.then(|| {
            let (given, least) = (self.forget_after.as_millis(), least.as_millis());
            format!(
                "forget-after {given} is short: {FORGET_AFTER_DOWN_AFTERS} x down-after is {least}"
            )
        })
    }
}

/// What is done about a master that answers but takes no writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WriteCheck {
    /// Refusals that PING and INFO show are reported.
    #[default]
    No,
    /// Writes are probed too, and refusals reported.
    Report,
    /// ... and a refusal that lasts down-after makes S_DOWN.
    Yes,
}

impl WriteCheck {
    /// The value from its word in the file, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::No, Self::Report, Self::Yes];
        all.into_iter()
            .find(|it| it.as_str().eq_ignore_ascii_case(word))
    }

    /// Its word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Report => "report",
            Self::Yes => "yes",
        }
    }
}

impl Default for MasterSettings {
    fn default() -> Self {
        Self {
            down_after: Duration::from_secs(30),
            failover_timeout: Duration::from_secs(180),
            parallel_syncs: 1,
            notification_script: None,
            client_reconfig_script: None,
            script_stdin_json: false,
            auth_user: None,
            auth_pass: None,
            renamed_commands: BTreeMap::new(),
            reboot_down_after: Duration::ZERO,
            forget_after: Duration::ZERO,
            refused_after: Duration::ZERO,
            lost_data_failover: true,
            write_check: WriteCheck::No,
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
