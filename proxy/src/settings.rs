//! The settings of a proxy: the keys of Codis 3.2, and `ha_hold`.
//!
//! Keys that tune what this proxy does not have (garbage collection, off-heap buffers) are read
//! and have no effect. Keys of functions that this build lacks are told with [`Settings::idle`].

use codis_core::paths::check_product_name;
use codis_core::units::{ByteSize, TimeSpan};
use codis_runtime::config::{Document, Problems};
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
    /// `tcp`, `tcp4` or `tcp6`.
    pub proto_type: String,
    /// Where clients connect.
    pub proxy_addr: String,
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
    /// No effect: what is gathered for one write is limited by a constant.
    pub backend_send_bufsize: ByteSize,
    /// Covered by `backend_recv_timeout`, which starts when a request leaves.
    pub backend_send_timeout: TimeSpan,
    /// Requests in flight on one link.
    pub backend_max_pipeline: usize,
    /// Never read from replicas.
    pub backend_primary_only: bool,
    /// Links for each worker, backend and database.
    pub backend_primary_parallel: u16,
    /// As `backend_primary_parallel`; the larger of the two counts for both.
    pub backend_replica_parallel: u16,
    /// TCP keepalive of links; 0 is off.
    pub backend_keepalive_period: TimeSpan,
    /// Databases that clients may select.
    pub backend_number_databases: u16,
    /// How far the read buffer of a session may grow.
    pub session_recv_bufsize: ByteSize,
    /// How long a session may be idle; 0 is for ever.
    pub session_recv_timeout: TimeSpan,
    /// No effect: what is gathered for one write is limited by a constant.
    pub session_send_bufsize: ByteSize,
    /// How long a client may leave replies unread; 0 is for ever.
    pub session_send_timeout: TimeSpan,
    /// Requests of one session without a reply before it reads no further.
    pub session_max_pipeline: usize,
    /// TCP keepalive of sessions; 0 is off.
    pub session_keepalive_period: TimeSpan,
    /// Close a session after an error that the proxy made.
    pub session_break_on_failure: bool,
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
            session_keepalive_period: seconds(75),
            session_break_on_failure: false,
            ha_hold: seconds(3),
            slowlog_log_slower_than: TimeSpan::from_millis(10),
            slowlog_max_len: 128,
            slot_wait_timeout: seconds(10),
            slot_wait_max_bytes: ByteSize::from_mib(64),
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

/// A span that is not below zero.
const ZERO: TimeSpan = TimeSpan::from_nanos(0);
/// A size that is not below zero.
const NOTHING: ByteSize = ByteSize::from_bytes(0);
/// The longest hold: beyond it clients have given up.
const HOLD_MAX: TimeSpan = TimeSpan::from_secs(60);
/// The longest wait for a slot.
const SLOT_WAIT_MAX: TimeSpan = TimeSpan::from_secs(600);

impl Settings {
    /// Reads all keys of a document.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(mut doc: Document) -> Result<Self, Problems> {
        let mut s = Self::default();
        let d = &mut doc;
        d.text("product_name", &mut s.product_name, |name| {
            check_product_name(name).map_err(|error| error.to_string())
        });
        d.text("admin_addr", &mut s.admin_addr, not_empty);
        d.text("proto_type", &mut s.proto_type, transport);
        d.text("proxy_addr", &mut s.proxy_addr, not_empty);
        s.read_texts(d);
        s.read_sizes(d);
        s.read_spans(d);
        s.read_numbers(d);
        if !s.jodis_name.is_empty() && s.jodis_addr.is_empty() {
            d.problem("jodis_addr", "it must be set when jodis_name is");
        }
        doc.finish()?;
        Ok(s)
    }

    fn read_texts(&mut self, d: &mut Document) {
        let texts = [
            ("product_auth", &mut self.product_auth),
            ("session_auth", &mut self.session_auth),
            ("jodis_name", &mut self.jodis_name),
            ("jodis_addr", &mut self.jodis_addr),
            ("jodis_auth", &mut self.jodis_auth),
            ("proxy_datacenter", &mut self.proxy_datacenter),
            ("metrics_report_server", &mut self.metrics_report_server),
            (
                "metrics_report_influxdb_server",
                &mut self.metrics_report_influxdb_server,
            ),
            (
                "metrics_report_influxdb_username",
                &mut self.metrics_report_influxdb_username,
            ),
            (
                "metrics_report_influxdb_password",
                &mut self.metrics_report_influxdb_password,
            ),
            (
                "metrics_report_influxdb_database",
                &mut self.metrics_report_influxdb_database,
            ),
            (
                "metrics_report_statsd_server",
                &mut self.metrics_report_statsd_server,
            ),
            (
                "metrics_report_statsd_prefix",
                &mut self.metrics_report_statsd_prefix,
            ),
        ];
        for (key, into) in texts {
            d.text(key, into, |_| Ok(()));
        }
    }

    fn read_sizes(&mut self, d: &mut Document) {
        let sizes = [
            ("proxy_max_offheap_size", &mut self.proxy_max_offheap_size),
            ("proxy_heap_placeholder", &mut self.proxy_heap_placeholder),
            ("backend_recv_bufsize", &mut self.backend_recv_bufsize),
            ("backend_send_bufsize", &mut self.backend_send_bufsize),
            ("session_recv_bufsize", &mut self.session_recv_bufsize),
            ("session_send_bufsize", &mut self.session_send_bufsize),
            ("slot_wait_max_bytes", &mut self.slot_wait_max_bytes),
        ];
        for (key, into) in sizes {
            d.bytes(key, into, NOTHING..);
        }
    }

    fn read_spans(&mut self, d: &mut Document) {
        let spans = [
            ("jodis_timeout", &mut self.jodis_timeout),
            ("backend_ping_period", &mut self.backend_ping_period),
            ("backend_recv_timeout", &mut self.backend_recv_timeout),
            ("backend_send_timeout", &mut self.backend_send_timeout),
            (
                "backend_keepalive_period",
                &mut self.backend_keepalive_period,
            ),
            ("session_recv_timeout", &mut self.session_recv_timeout),
            ("session_send_timeout", &mut self.session_send_timeout),
            (
                "session_keepalive_period",
                &mut self.session_keepalive_period,
            ),
            ("metrics_report_period", &mut self.metrics_report_period),
            (
                "metrics_report_influxdb_period",
                &mut self.metrics_report_influxdb_period,
            ),
            (
                "metrics_report_statsd_period",
                &mut self.metrics_report_statsd_period,
            ),
        ];
        for (key, into) in spans {
            d.span(key, into, ZERO..);
        }
        d.span("ha_hold", &mut self.ha_hold, ZERO..=HOLD_MAX);
        d.span(
            "slowlog_log_slower_than",
            &mut self.slowlog_log_slower_than,
            ..,
        );
        d.span(
            "slot_wait_timeout",
            &mut self.slot_wait_timeout,
            ZERO..=SLOT_WAIT_MAX,
        );
    }

    fn read_numbers(&mut self, d: &mut Document) {
        d.integer("proxy_max_clients", &mut self.proxy_max_clients, 0..);
        d.integer("backend_max_pipeline", &mut self.backend_max_pipeline, 0..);
        d.integer(
            "backend_primary_parallel",
            &mut self.backend_primary_parallel,
            0..=256,
        );
        d.integer(
            "backend_replica_parallel",
            &mut self.backend_replica_parallel,
            0..=256,
        );
        d.integer(
            "backend_number_databases",
            &mut self.backend_number_databases,
            1..,
        );
        d.integer("session_max_pipeline", &mut self.session_max_pipeline, 0..);
        d.integer("slowlog_max_len", &mut self.slowlog_max_len, 0..=65_536);
        d.boolean("jodis_compatible", &mut self.jodis_compatible);
        d.boolean("backend_primary_only", &mut self.backend_primary_only);
        d.boolean(
            "session_break_on_failure",
            &mut self.session_break_on_failure,
        );
    }

    /// Links for each worker, backend and database.
    pub fn lanes(&self) -> u16 {
        self.backend_primary_parallel
            .max(self.backend_replica_parallel)
            .max(1)
    }

    /// Microseconds from which a request is a slow one; the largest number when none is.
    pub fn slow_after(&self) -> u64 {
        u64::try_from(self.slowlog_log_slower_than.nanos()).map_or(u64::MAX, |nanos| nanos / 1000)
    }

    /// Keys that are set and whose function this build does not have.
    pub fn idle(&self) -> Vec<&'static str> {
        [
            ("jodis_addr", &self.jodis_addr),
            ("metrics_report_server", &self.metrics_report_server),
            (
                "metrics_report_influxdb_server",
                &self.metrics_report_influxdb_server,
            ),
            (
                "metrics_report_statsd_server",
                &self.metrics_report_statsd_server,
            ),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, _)| key)
        .collect()
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

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("expected host:port".to_owned())
    } else {
        Ok(())
    }
}

fn transport(text: &str) -> Result<(), String> {
    match text {
        "tcp" | "tcp4" | "tcp6" => Ok(()),
        "unix" | "unixpacket" => {
            Err("this build listens on TCP only: expected tcp, tcp4 or tcp6".to_owned())
        }
        _ => Err("expected tcp, tcp4 or tcp6".to_owned()),
    }
}

#[cfg(test)]
mod tests {
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
    fn every_problem_is_told_at_once() {
        let text =
            "product_name = \"-x\"\nha_hold = \"2h\"\nproto_type = \"unix\"\nproxy_adr = \"\"";
        let told = Settings::read(Document::parse("p", text).unwrap())
            .unwrap_err()
            .to_string();
        for part in ["bad product name", "ha_hold", "TCP only", "proxy_addr"] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
