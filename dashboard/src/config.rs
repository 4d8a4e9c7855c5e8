//! The settings: `dashboard.toml`, with the flags of the command line on top.

use codis_core::paths::check_product_name;
use codis_core::units::{ByteSize, TimeSpan};
use codis_runtime::config::{Document, Problems};
use serde::Serialize;

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

fn coordinator_name(text: &str) -> Result<(), String> {
    match text {
        "filesystem" | "fs" | "etcd" | "zookeeper" | "zk" => Ok(()),
        _ => Err(format!(
            "invalid coordinator name = {text}, expected filesystem, etcd or zookeeper"
        )),
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
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_read_and_shown_without_passwords() {
        let shipped = include_str!("../../conf/dashboard.toml");
        let read = Settings::read(Document::parse("dashboard.toml", shipped).unwrap()).unwrap();
        assert_eq!(read.product_name, "codis-demo");
        let secret = "product_auth = \"s3cret\"\ncoordinator_auth = \"u:s3cret\"";
        let read = Settings::read(Document::parse("t", secret).unwrap()).unwrap();
        let shown = read.shown().to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(read.shown()["migration_method"], "semi-async");
        assert_eq!(read.shown()["sentinel_failover_timeout"], "5m");
    }

    #[test]
    fn every_problem_is_reported() {
        let bad =
            "product_name = \"-\"\nsentinel_quorum = 0\nmigration_timeout = \"1h30m\"\nnope = 1";
        let problems = Settings::read(Document::parse("t", bad).unwrap()).unwrap_err();
        assert_eq!(problems.lines().len(), 4, "{problems}");
    }
}
