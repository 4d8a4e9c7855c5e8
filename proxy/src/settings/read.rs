//! Reading the settings: the rule of each key, and every problem told at once.

use codis_core::paths::check_product_name;
use codis_core::units::{ByteSize, TimeSpan};
use codis_runtime::config::{Document, Problems};
use codis_runtime::coordinator;

use super::{CrossSlots, Settings};

/// A span that is not below zero.
const ZERO: TimeSpan = TimeSpan::from_nanos(0);
/// A size that is not below zero.
const NOTHING: ByteSize = ByteSize::from_bytes(0);
/// The longest wait for a slot.
const SLOT_WAIT_MAX: TimeSpan = TimeSpan::from_secs(600);
/// The longest stage of a drain: nothing waits for ever.
const DRAIN_MAX: TimeSpan = TimeSpan::from_secs(3600);
/// The longest hold: beyond it clients have given up.
const HOLD_MAX: TimeSpan = TimeSpan::from_secs(60);

const NO_JODIS_IN_DIRECTORY: &str = "a directory keeps the records of dead proxies: use zookeeper \
                                     or etcd, or leave jodis_name and jodis_addr empty";

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
        d.text("proxy_unix_mode", &mut s.proxy_unix_mode, octal);
        s.read_texts(d);
        s.read_sizes(d);
        s.read_spans(d);
        s.read_numbers(d);
        match (s.jodis_name.as_str(), s.jodis_addr.is_empty()) {
            ("", true) => {}
            (_, true) => d.problem("jodis_addr", "it must be set when jodis_name is"),
            (name, false) => match coordinator::backend(name) {
                Some(kind) if kind.has_sessions => {}
                Some(_) => d.problem("jodis_name", NO_JODIS_IN_DIRECTORY),
                None => d.problem("jodis_name", "expected zookeeper or etcd"),
            },
        }
        s.check_reports(d);
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
            ("proxy_handover", &mut self.proxy_handover),
            ("ha_cache", &mut self.ha_cache),
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
            ("session_max_buffered", &mut self.session_max_buffered),
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
        d.span("drain_delay", &mut self.drain_delay, ZERO..=DRAIN_MAX);
        d.span("drain_timeout", &mut self.drain_timeout, ZERO..=DRAIN_MAX);
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

    fn check_reports(&self, d: &mut Document) {
        let urls = [
            ("metrics_report_server", &self.metrics_report_server),
            (
                "metrics_report_influxdb_server",
                &self.metrics_report_influxdb_server,
            ),
        ];
        for (key, url) in urls {
            if !url.is_empty()
                && let Err(why) = codis_runtime::http::check_url(url)
            {
                d.problem(key, why);
            }
        }
        let statsd = &self.metrics_report_statsd_server;
        if !statsd.is_empty()
            && let Err(why) = statsd.parse::<codis_core::addr::Addr>()
        {
            d.problem("metrics_report_statsd_server", why);
        }
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
        let cross_slots = [("refuse", CrossSlots::Refuse), ("first", CrossSlots::First)];
        d.choice("proxy_cross_slot", &mut self.proxy_cross_slot, &cross_slots);
        d.integer("slowlog_max_len", &mut self.slowlog_max_len, 0..=65_536);
        d.boolean("ha_cache_alone", &mut self.ha_cache_alone);
        d.boolean("jodis_compatible", &mut self.jodis_compatible);
        d.boolean("backend_primary_only", &mut self.backend_primary_only);
        d.boolean(
            "session_break_on_failure",
            &mut self.session_break_on_failure,
        );
        d.boolean("session_resp3", &mut self.session_resp3);
    }
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("expected host:port, or a path for a Unix socket".to_owned())
    } else {
        Ok(())
    }
}

fn transport(text: &str) -> Result<(), String> {
    match text {
        "tcp" | "tcp4" | "tcp6" | "unix" | "unixpacket" => Ok(()),
        _ => Err(format!(
            "\"{text}\" is no transport: expected tcp, tcp4, tcp6, unix or unixpacket"
        )),
    }
}

fn octal(text: &str) -> Result<(), String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(()),
        Err(_) if text.is_empty() => Ok(()),
        Ok(_) | Err(_) => Err(format!(
            "\"{text}\" are no permissions: expected octal digits such as \"0770\", or nothing"
        )),
    }
}
