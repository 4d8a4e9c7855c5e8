//! The settings of a proxy: the keys of Codis 3.2, and `ha_hold`.
//!
//! Keys that tune what this proxy does not have (garbage collection, off-heap buffers) are read
//! and have no effect.

mod read;

use codis_core::units::{ByteSize, TimeSpan};
use serde::Serialize;

/// All settings, valid once loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// The namespace; part of every secret and every monitored name.
    pub product_name: String,
    /// The password of backends, and part of the secret of the admin API.
    #[serde(skip)]
    pub product_auth: String,
    /// The password of clients; empty lets everybody in.
    #[serde(skip)]
    pub session_auth: String,
    /// Where the admin API listens.
    pub admin_addr: String,
    /// `tcp`, `tcp4`, `tcp6`, `unix` or `unixpacket`.
    pub proto_type: String,
    /// Where clients connect: `host:port`, or a path with `unix` and `unixpacket`.
    pub proxy_addr: String,
    /// The permissions of that path, in octal; empty leaves them to the umask of the process.
    pub proxy_unix_mode: String,
    /// The path over which a successor, started with `--takeover`, takes the listening sockets;
    /// empty is off.
    pub proxy_handover: String,
    /// Between the order to stop, which turns `/ready` off, and the end of accepting clients.
    pub drain_delay: TimeSpan,
    /// How long clients in the middle of something are served after that.
    pub drain_timeout: TimeSpan,
    /// Registration for clients: the kind of coordinator.
    pub jodis_name: String,
    /// Registration for clients: its address.
    pub jodis_addr: String,
    #[serde(skip)]
    /// Registration for clients: its password.
    pub jodis_auth: String,
    /// Registration for clients: how long it outlives the proxy.
    pub jodis_timeout: TimeSpan,
    /// Registration for clients: the older path.
    pub jodis_compatible: bool,
    /// The data centre of this proxy, for the dashboard to order replicas by.
    pub proxy_datacenter: String,
    /// Sessions at a time.
    pub proxy_max_clients: usize,
    /// No effect: there is no garbage collector to hide buffers from.
    pub proxy_max_offheap_size: ByteSize,
    /// No effect: there is no garbage collector to tune.
    pub proxy_heap_placeholder: ByteSize,
    /// How long a link may be idle before it is probed; 0 is never.
    pub backend_ping_period: TimeSpan,
    /// How far the read buffer of a link may grow.
    pub backend_recv_bufsize: ByteSize,
    /// How long a reply may take, 0 is for ever.
    pub backend_recv_timeout: TimeSpan,
    /// How much is gathered for one write to a link; at least 4 kb.
    pub backend_send_bufsize: ByteSize,
    /// How long a server may take nothing of what is to be sent; 0 is for ever.
    pub backend_send_timeout: TimeSpan,
    /// Requests in flight on one link.
    pub backend_max_pipeline: usize,
    /// Never read from replicas.
    pub backend_primary_only: bool,
    /// Links for each worker, master and database; opened when they are used. 0 is 1.
    pub backend_primary_parallel: u16,
    /// As `backend_primary_parallel`, for servers that are master of no slot.
    pub backend_replica_parallel: u16,
    /// TCP keepalive of links; 0 is off.
    pub backend_keepalive_period: TimeSpan,
    /// Databases that clients may select.
    pub backend_number_databases: u16,
    /// How far the read buffer of a session may grow.
    pub session_recv_bufsize: ByteSize,
    /// How long a session may be idle; 0 is for ever.
    pub session_recv_timeout: TimeSpan,
    /// No effect: replies are written as soon as they are there.
    pub session_send_bufsize: ByteSize,
    /// How long a client may leave replies unread; 0 is for ever.
    pub session_send_timeout: TimeSpan,
    /// Requests of one session without a reply before it reads no further.
    pub session_max_pipeline: usize,
    /// Bytes of unfinished requests and unread replies of all sessions together, not counting
    /// sessions with less than 64 kb; 0 is without limit. At the limit a session with a large
    /// unfinished request is refused, one with many requests under way waits, and one that keeps
    /// more unread replies than its part (the limit by the number of sessions) is ended: after 1 s,
    /// from 9/8 of the limit on after 20 ms, from 10/8 on at once.
    pub session_max_buffered: ByteSize,
    /// TCP keepalive of sessions; 0 is off.
    pub session_keepalive_period: TimeSpan,
    /// Close a session after an error that the proxy made.
    pub session_break_on_failure: bool,
    /// Serve RESP3 to clients that say `HELLO 3`; if not, they are told that it is not known.
    pub session_resp3: bool,
    /// What happens to a request whose keys are in several slots, and that is not split.
    pub proxy_cross_slot: CrossSlots,
    /// How long requests wait for a new master.
    pub ha_hold: TimeSpan,
    /// Requests that take as long or longer are kept in the slow log; 0 keeps all, less than 0
    /// none.
    pub slowlog_log_slower_than: TimeSpan,
    /// Entries of the slow log, 0..=65536.
    pub slowlog_max_len: usize,
    /// How long a request may wait for a locked slot, or for its key to be moved.
    pub slot_wait_timeout: TimeSpan,
    /// What the requests that wait for locked and migrating slots may take in memory, all together.
    pub slot_wait_max_bytes: ByteSize,
    /// The file that keeps the routes and their epochs, so that the proxy can start while no
    /// dashboard can be asked; empty is none.
    pub ha_cache: String,
    /// Serve by that file although no sentinels confirm its masters.
    pub ha_cache_alone: bool,
    /// Reports: where the overview is posted to.
    #[serde(serialize_with = "without_login")]
    pub metrics_report_server: String,
    /// Reports: how often.
    pub metrics_report_period: TimeSpan,
    /// Reports to InfluxDB: its address.
    #[serde(serialize_with = "without_login")]
    pub metrics_report_influxdb_server: String,
    /// Reports to InfluxDB: how often.
    pub metrics_report_influxdb_period: TimeSpan,
    /// Reports to InfluxDB: the user.
    pub metrics_report_influxdb_username: String,
    /// Reports to InfluxDB: the password.
    #[serde(skip)]
    pub metrics_report_influxdb_password: String,
    /// Reports to InfluxDB: the database.
    pub metrics_report_influxdb_database: String,
    /// Reports to statsd: its address.
    pub metrics_report_statsd_server: String,
    /// Reports to statsd: how often.
    pub metrics_report_statsd_period: TimeSpan,
    /// Reports to statsd: the prefix of names.
    pub metrics_report_statsd_prefix: String,
}

/// What happens to a request whose keys are in several slots, and that is not split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CrossSlots {
    /// It gets an error, since any one server would give a wrong answer.
    Refuse,
    /// It goes to the server of its first key, as with the original proxy.
    First,
}

impl Default for Settings {
    fn default() -> Self {
        let (seconds, kib) = (TimeSpan::from_secs, ByteSize::from_kib);
        Self {
            product_name: "codis-demo".to_owned(),
            product_auth: String::new(),
            session_auth: String::new(),
            admin_addr: "0.0.0.0:11080".to_owned(),
            proto_type: "tcp4".to_owned(),
            proxy_addr: "0.0.0.0:19000".to_owned(),
            proxy_unix_mode: String::new(),
            proxy_handover: String::new(),
            drain_delay: seconds(0),
            drain_timeout: seconds(5),
            jodis_name: String::new(),
            jodis_addr: String::new(),
            jodis_auth: String::new(),
            jodis_timeout: seconds(20),
            jodis_compatible: false,
            proxy_datacenter: String::new(),
            proxy_max_clients: 1000,
            proxy_max_offheap_size: ByteSize::from_mib(1024),
            proxy_heap_placeholder: ByteSize::from_mib(256),
            backend_ping_period: seconds(5),
            backend_recv_bufsize: kib(128),
            backend_recv_timeout: seconds(30),
            backend_send_bufsize: kib(128),
            backend_send_timeout: seconds(30),
            backend_max_pipeline: 20480,
            backend_primary_only: false,
            backend_primary_parallel: 1,
            backend_replica_parallel: 1,
            backend_keepalive_period: seconds(75),
            backend_number_databases: 16,
            session_recv_bufsize: kib(128),
            session_recv_timeout: seconds(30 * 60),
            session_send_bufsize: kib(64),
            session_send_timeout: seconds(30),
            session_max_pipeline: 10000,
            session_max_buffered: ByteSize::from_mib(1024),
            session_keepalive_period: seconds(75),
            session_break_on_failure: false,
            session_resp3: true,
            proxy_cross_slot: CrossSlots::Refuse,
            ha_hold: seconds(3),
            slowlog_log_slower_than: TimeSpan::from_millis(10),
            slowlog_max_len: 128,
            slot_wait_timeout: seconds(10),
            slot_wait_max_bytes: ByteSize::from_mib(64),
            ha_cache: String::new(),
            ha_cache_alone: false,
            metrics_report_server: String::new(),
            metrics_report_period: seconds(1),
            metrics_report_influxdb_server: String::new(),
            metrics_report_influxdb_period: seconds(1),
            metrics_report_influxdb_username: String::new(),
            metrics_report_influxdb_password: String::new(),
            metrics_report_influxdb_database: String::new(),
            metrics_report_statsd_server: String::new(),
            metrics_report_statsd_period: seconds(1),
            metrics_report_statsd_prefix: String::new(),
        }
    }
}

impl Settings {
    /// The permissions of the path that clients connect to, if they are set.
    pub fn unix_mode(&self) -> Option<u32> {
        u32::from_str_radix(&self.proxy_unix_mode, 8).ok()
    }

    /// Links for each worker, backend and database at most.
    pub fn lanes(&self) -> u16 {
        self.backend_primary_parallel
            .max(self.backend_replica_parallel)
            .max(1)
    }

    /// Microseconds from which a request is a slow one; the largest number when none is.
    pub fn slow_after(&self) -> u64 {
        u64::try_from(self.slowlog_log_slower_than.nanos()).map_or(u64::MAX, |nanos| nanos / 1000)
    }

    /// The settings as a file that can be loaded again, with passwords left empty.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(self) {
            for (key, value) in members {
                out.push_str(&format!("{key} = {value}\n"));
            }
        }
        out
    }
}

/// A URL without the user and password that it may hold.
fn without_login<S: serde::Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&codis_runtime::http::without_login(url))
}

#[cfg(test)]
mod tests {
    use codis_runtime::config::Document;

    use super::*;

    #[test]
    fn the_defaults_load_again() {
        let text = Settings::default().to_toml();
        let doc = Document::parse("default", &text).unwrap();
        assert_eq!(Settings::read(doc).unwrap(), Settings::default(), "{text}");
    }

    #[test]
    fn the_shipped_file_holds_the_defaults() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/proxy.toml");
        let settings = Settings::read(Document::load(file).unwrap()).unwrap();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn report_servers_that_cannot_be_dialled_are_told_without_their_login() {
        let text = "metrics_report_server = \"https://u:secret@h/\"\n\
                    metrics_report_influxdb_server = \"h:8086\"\n\
                    metrics_report_statsd_server = \"h\"";
        let told = Settings::read(Document::parse("p", text).unwrap())
            .unwrap_err()
            .to_string();
        for part in ["https://h/", "`h:8086`", "_statsd_server"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("secret"), "{told}");
    }

    /// Whatever a key may be, this is not: the file, the key and what is expected are named.
    #[test]
    fn a_wrong_value_of_any_key_is_told() {
        let known = serde_json::to_value(Settings::default()).unwrap();
        let mut keys: Vec<String> = known.as_object().unwrap().keys().cloned().collect();
        let secret = ["product_auth", "session_auth", "jodis_auth"];
        keys.extend(secret.map(str::to_owned));
        for key in keys {
            let text = format!("{key} = 1979-05-27");
            let told = Settings::read(Document::parse("p.toml", &text).unwrap());
            let told = told.unwrap_err().to_string();
            for part in ["p.toml", &key, "line 1", "expected"] {
                assert!(told.contains(part), "{part} in {told}");
            }
        }
        for text in [
            "proxy_max_clients = -1",
            "backend_primary_parallel = 257",
            "backend_number_databases = 0",
            "session_send_timeout = \"-1s\"",
            "session_recv_timeout = \"1h30m\"",
            "session_max_buffered = \"-1mb\"",
            "backend_recv_bufsize = \"1zb\"",
            "proxy_addr = \"\"",
            "proxy_unix_mode = \"1777\"",
            "drain_timeout = \"2h\"",
        ] {
            let told = Settings::read(Document::parse("p.toml", text).unwrap());
            let told = told.unwrap_err().to_string();
            assert!(told.contains("expected"), "{told}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let text = "product_name = \"-x\"\nha_hold = \"2h\"\nproto_type = \"udp\"\n\
                    proxy_unix_mode = \"9\"\nproxy_adr = \"\"";
        let told = Settings::read(Document::parse("p", text).unwrap())
            .unwrap_err()
            .to_string();
        for part in [
            "bad product name",
            "ha_hold",
            "no transport",
            "octal",
            "proxy_addr",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
