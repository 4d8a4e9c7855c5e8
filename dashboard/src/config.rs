//! The settings: `dashboard.toml`, with the flags of the command line on top.

use codis_core::paths::check_product_name;
use codis_core::units::{ByteSize, TimeSpan};
use codis_runtime::config::{Document, Problems};
use codis_runtime::coordinator::{self, BACKENDS};
use serde::Serialize;

/// A shorter lease ends with every slow answer of the store.
const LEASE_MIN: TimeSpan = TimeSpan::from_secs(1);
/// A longer one leaves the cluster without a dashboard for longer than a person needs to act.
const LEASE_MAX: TimeSpan = TimeSpan::from_secs(300);
/// A proxy fences itself after 2.5 s without running. Before that it may still serve what it holds.
const SILENT_MIN: TimeSpan = TimeSpan::from_secs(3);
const SILENT_MAX: TimeSpan = TimeSpan::from_secs(60);
/// There are so many slots, and no cluster has more groups that are worth a migration.
const PARALLEL_MAX: u32 = 1024;
const AUDIT_BYTES_MIN: ByteSize = ByteSize::from_kib(64);
const AUDIT_BYTES_MAX: ByteSize = ByteSize::from_mib(1024);

/// How slots move between groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationMethod {
    /// The key's slot waits while it moves.
    Sync,
    /// Reads and small writes go on while a key moves.
    SemiAsync,
}

impl MigrationMethod {
    /// The number that proxies know it by.
    pub const fn forward_method(self) -> u8 {
        match self {
            Self::Sync => 0,
            Self::SemiAsync => 1,
        }
    }
}

/// All settings. They are shown to operators under the names of the file, so passwords are left out
/// of the serialized form or masked in it.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Which store keeps the records: `filesystem` or `fs`, `etcd`, `zookeeper` or `zk`.
    pub coordinator_name: String,
    /// Where the store is: the root directory, or a list of servers.
    pub coordinator_addr: String,
    /// `user:password` for the store.
    #[serde(serialize_with = "masked")]
    pub coordinator_auth: String,
    /// Where to listen.
    pub admin_addr: String,
    /// The name of the cluster.
    pub product_name: String,
    /// The password of the Redis servers; an input of the proxies' secrets.
    #[serde(skip)]
    pub product_auth: String,
    /// How slots move.
    pub migration_method: MigrationMethod,
    /// Slots that move at the same time.
    pub migration_parallel_slots: u32,
    /// Messages in flight in a migration step.
    pub migration_async_maxbulks: u32,
    /// Bytes in flight in a migration step.
    pub migration_async_maxbytes: ByteSize,
    /// Keys of a migration step.
    pub migration_async_numkeys: u32,
    /// The time of a migration step.
    pub migration_timeout: TimeSpan,
    /// The time of one round of orders to all sentinels.
    pub sentinel_client_timeout: TimeSpan,
    /// Sentinels that must agree that a master is down.
    pub sentinel_quorum: u32,
    /// Replicas pointed at a new master at the same time.
    pub sentinel_parallel_syncs: u32,
    /// Silence that makes a server count as down.
    pub sentinel_down_after: TimeSpan,
    /// How long a failover may take.
    pub sentinel_failover_timeout: TimeSpan,
    /// Run by the sentinels on events.
    pub sentinel_notification_script: String,
    /// Run by the sentinels on a change of a master.
    pub sentinel_client_reconfig_script: String,
    /// The user that the dashboard and the proxies are at the sentinels; empty for `default`.
    pub sentinel_auth_user: String,
    /// The password of the sentinels themselves; empty for none.
    #[serde(serialize_with = "masked")]
    pub sentinel_auth_pass: String,
    /// How long a dashboard leads without a word from the store.
    pub leader_lease: TimeSpan,
    /// The silence after which a proxy that announced its stall fence is not waited for.
    pub proxy_silent_max: TimeSpan,
    /// Servers that are given a new master at the same time.
    pub sync_parallel: u32,
    /// Slots that move at the same time from one group to one other.
    pub migration_parallel_group: u32,
    /// The file of the audit log; empty for none.
    pub audit_log: String,
    /// The size at which the file of the audit log is rotated.
    pub audit_log_max_bytes: ByteSize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            coordinator_name: "filesystem".to_owned(),
            coordinator_addr: "/tmp/codis".to_owned(),
            coordinator_auth: String::new(),
            admin_addr: "0.0.0.0:18080".to_owned(),
            product_name: "codis-demo".to_owned(),
            product_auth: String::new(),
            migration_method: MigrationMethod::SemiAsync,
            migration_parallel_slots: 100,
            migration_async_maxbulks: 200,
            migration_async_maxbytes: ByteSize::from_mib(32),
            migration_async_numkeys: 500,
            migration_timeout: TimeSpan::from_secs(30),
            sentinel_client_timeout: TimeSpan::from_secs(10),
            sentinel_quorum: 2,
            sentinel_parallel_syncs: 1,
            sentinel_down_after: TimeSpan::from_secs(30),
            sentinel_failover_timeout: TimeSpan::from_secs(300),
            sentinel_notification_script: String::new(),
            sentinel_client_reconfig_script: String::new(),
            sentinel_auth_user: String::new(),
            sentinel_auth_pass: String::new(),
            leader_lease: TimeSpan::from_secs(10),
            proxy_silent_max: TimeSpan::from_secs(3),
            sync_parallel: 4,
            migration_parallel_group: 2,
            audit_log: String::new(),
            audit_log_max_bytes: ByteSize::from_mib(16),
        }
    }
}

impl Settings {
    /// Reads all settings; what the document does not set keeps its default.
    ///
    /// # Errors
    /// Everything that is wrong, together.
    pub fn read(mut document: Document) -> Result<Self, Problems> {
        let mut s = Self::default();
        let positive = TimeSpan::from_nanos(1);
        let d = &mut document;
        d.text(
            "coordinator_name",
            &mut s.coordinator_name,
            coordinator_name,
        );
        d.text("coordinator_addr", &mut s.coordinator_addr, not_empty);
        d.text("coordinator_auth", &mut s.coordinator_auth, credentials);
        d.text("admin_addr", &mut s.admin_addr, listen_addr);
        d.text("product_name", &mut s.product_name, product_name);
        d.text("product_auth", &mut s.product_auth, anything);
        let methods = [
            ("sync", MigrationMethod::Sync),
            ("semi-async", MigrationMethod::SemiAsync),
        ];
        d.choice("migration_method", &mut s.migration_method, &methods);
        d.integer(
            "migration_parallel_slots",
            &mut s.migration_parallel_slots,
            1..,
        );
        d.integer(
            "migration_async_maxbulks",
            &mut s.migration_async_maxbulks,
            1..,
        );
        let bytes = ByteSize::from_bytes(1)..;
        d.bytes(
            "migration_async_maxbytes",
            &mut s.migration_async_maxbytes,
            bytes,
        );
        d.integer(
            "migration_async_numkeys",
            &mut s.migration_async_numkeys,
            1..,
        );
        d.span("migration_timeout", &mut s.migration_timeout, positive..);
        s.read_sentinels(d);
        s.read_additions(d);
        document.finish()?;
        Ok(s)
    }

    /// The settings that the sentinels are given.
    fn read_sentinels(&mut self, d: &mut Document) {
        d.span(
            "sentinel_client_timeout",
            &mut self.sentinel_client_timeout,
            TimeSpan::from_nanos(1)..,
        );
        d.integer("sentinel_quorum", &mut self.sentinel_quorum, 1..);
        d.integer(
            "sentinel_parallel_syncs",
            &mut self.sentinel_parallel_syncs,
            1..,
        );
        let millisecond = TimeSpan::from_millis(1);
        d.span(
            "sentinel_down_after",
            &mut self.sentinel_down_after,
            millisecond..,
        );
        d.span(
            "sentinel_failover_timeout",
            &mut self.sentinel_failover_timeout,
            millisecond..,
        );
        d.text(
            "sentinel_notification_script",
            &mut self.sentinel_notification_script,
            anything,
        );
        let reconfig = &mut self.sentinel_client_reconfig_script;
        d.text("sentinel_client_reconfig_script", reconfig, anything);
        d.text("sentinel_auth_user", &mut self.sentinel_auth_user, one_word);
        d.text("sentinel_auth_pass", &mut self.sentinel_auth_pass, anything);
        if !self.sentinel_auth_user.is_empty() && self.sentinel_auth_pass.is_empty() {
            let text = "a user needs a password: set sentinel_auth_pass too";
            d.problem("sentinel_auth_user", text);
        }
    }

    /// The settings that the original does not have, but for the sentinels' ones.
    fn read_additions(&mut self, d: &mut Document) {
        let (lease, silent) = (&mut self.leader_lease, &mut self.proxy_silent_max);
        d.span("leader_lease", lease, LEASE_MIN..=LEASE_MAX);
        d.span("proxy_silent_max", silent, SILENT_MIN..=SILENT_MAX);
        d.integer("sync_parallel", &mut self.sync_parallel, 1..=PARALLEL_MAX);
        d.integer(
            "migration_parallel_group",
            &mut self.migration_parallel_group,
            1..=PARALLEL_MAX,
        );
        d.text("audit_log", &mut self.audit_log, anything);
        d.bytes(
            "audit_log_max_bytes",
            &mut self.audit_log_max_bytes,
            AUDIT_BYTES_MIN..=AUDIT_BYTES_MAX,
        );
    }

    /// The settings by their name in the file, without passwords.
    pub fn shown(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn masked<S: serde::Serializer>(secret: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.is_empty() { "" } else { "***" })
}

fn anything(_: &str) -> Result<(), String> {
    Ok(())
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("it must not be empty".to_owned())
    } else {
        Ok(())
    }
}

/// Redis splits a command line at blanks, and a user of its ACL has none.
fn one_word(text: &str) -> Result<(), String> {
    if text.contains(char::is_whitespace) {
        Err("it must not have blanks".to_owned())
    } else {
        Ok(())
    }
}

fn coordinator_name(text: &str) -> Result<(), String> {
    match coordinator::backend(text) {
        Some(_) => Ok(()),
        None => {
            let known: Vec<&str> = BACKENDS.iter().map(|kind| kind.names[0]).collect();
            Err(format!(
                "invalid coordinator name = {text}, expected {}",
                known.join(", ")
            ))
        }
    }
}

fn credentials(text: &str) -> Result<(), String> {
    let valid = text.is_empty()
        || text
            .split_once(':')
            .is_some_and(|(user, _)| !user.is_empty());
    if valid {
        Ok(())
    } else {
        Err("invalid auth, expected user:password".to_owned())
    }
}

fn listen_addr(text: &str) -> Result<(), String> {
    text.parse::<codis_core::addr::Addr>()
        .map(drop)
        .map_err(|error| error.to_string())
}

fn product_name(text: &str) -> Result<(), String> {
    check_product_name(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
