//! `INFO proxy`: what a client may ask of the proxy itself, in the form of Redis's INFO.

use std::fmt::Write as _;

use codis_runtime::{build, process};

use super::Control;
use super::exposed::slot_states;
use crate::data::counters::ERROR_CODES;
use crate::data::latency::{self, CLASSES};
use crate::data::slow;

/// Lines under a heading.
struct Section(String);

impl Section {
    fn new(title: &str) -> Self {
        Self(format!("# {title}\r\n"))
    }

    fn line(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        // Writing into memory does not fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
        self
    }

    fn lines(self, lines: impl Iterator<Item = (String, String)>) -> Self {
        lines.fold(self, |section, (name, value)| section.line(&name, value))
    }
}

impl Control {
    /// All sections.
    pub fn info(&self) -> String {
        let sections = [
            self.about(),
            self.clients(),
            self.requests(),
            self.errors(),
            self.times(),
            self.slots(),
            self.backends(),
            self.resources(),
            self.epochs(),
        ];
        sections.map(|section| section.0).join("\r\n")
    }

    fn about(&self) -> Section {
        let yes_no = u8::from;
        Section::new("Proxy")
            .line("codis_version", build::version())
            .line("codis_compile", build::compile())
            .line("process_id", self.model.pid)
            .line("product_name", &self.model.product_name)
            .line("proxy_addr", &self.model.proxy_addr)
            .line("admin_addr", &self.model.admin_addr)
            .line("uptime_in_seconds", self.since.elapsed().as_secs())
            .line("workers", self.shared.started().count())
            .line("online", yes_no(self.is_online()))
            .line("ready", yes_no(self.readiness().is_ok()))
    }

    fn clients(&self) -> Section {
        Section::new("Clients")
            .line("connected_clients", self.figures.alive())
            .line("maxclients", self.settings().proxy_max_clients)
            .line(
                "total_connections_received",
                self.figures.sum(|c| &c.sessions),
            )
    }

    fn requests(&self) -> Section {
        let figures = &self.figures;
        Section::new("Stats")
            .line("total_commands_processed", figures.sum(|c| &c.total))
            .line("instantaneous_ops_per_sec", figures.qps())
            .line("total_error_replies", figures.sum(|c| &c.errors))
            .line("total_proxy_fails", figures.sum(|c| &c.fails))
            .line("total_retries", figures.sum(|c| &c.retries))
            .line("total_writes_unknown", figures.sum(|c| &c.unknown))
            .line("requests_held", figures.sum(|c| &c.waiting))
            .line("total_net_input_bytes", figures.sum(|c| &c.bytes_in))
            .line("total_net_output_bytes", figures.sum(|c| &c.bytes_out))
            .line("slowlog_len", slow::len(self.shared.slow()))
            .line("total_slow_requests", figures.slow_total())
    }

    fn errors(&self) -> Section {
        let codes = ERROR_CODES.iter().copied().chain(["other"]);
        let counted = codes.enumerate().map(|(index, code)| {
            let count = self.figures.sum(|c| &c.codes[index]);
            (code, count)
        });
        let seen = counted.filter(|(_, count)| *count > 0);
        Section::new("Errorstats").lines(
            seen.map(|(code, count)| (format!("errorstat_{code}"), format!("count={count}"))),
        )
    }

    /// Upper bounds, in microseconds.
    fn times(&self) -> Section {
        let used = CLASSES.into_iter().filter_map(|(class, name)| {
            let sums = self.figures.latency(class);
            let at = |part: f64| latency::quantile(&sums, part).map(|seconds| seconds * 1e6);
            let (p50, p99, p999) = (at(0.5)?, at(0.99)?, at(0.999)?);
            let value = format!("p50={p50:.0},p99={p99:.0},p99.9={p999:.0}");
            Some((format!("latency_percentiles_usec_{name}"), value))
        });
        Section::new("Latencystats").lines(used)
    }

    fn slots(&self) -> Section {
        let table = self.shared.table.load();
        let states = slot_states(&table).into_iter();
        Section::new("Slots")
            .lines(states.map(|(state, count)| (format!("slots_{state}"), count.to_string())))
            .line("route_version", table.version)
    }

    fn backends(&self) -> Section {
        let backends = self.figures.backends();
        let count = backends.len();
        let all = backends
            .into_iter()
            .enumerate()
            .map(|(n, (address, sums))| {
                let [connections, up, queued, in_flight, replies, losses] = sums;
                let value = format!(
                    "address={address},connections={connections},up={up},queued={queued},\
                 in_flight={in_flight},replies={replies},losses={losses}"
                );
                (format!("backend{n}"), value)
            });
        Section::new("Backends").line("backends", count).lines(all)
    }

    fn resources(&self) -> Section {
        let memory = process::Memory::now();
        let raw = process::Sample::take().map(|sample| sample.raw);
        let raw = raw.unwrap_or_default();
        let seconds = |nanos: u64| format!("{:.3}", nanos as f64 / 1e9);
        Section::new("Resources")
            .line("used_memory", memory.resident)
            .line("used_memory_rss", raw.vm_rss)
            .line("used_cpu_sys", seconds(raw.stime))
            .line("used_cpu_user", seconds(raw.utime))
            .line("cpu_cores", format!("{:.3}", self.figures.cores()))
    }

    fn epochs(&self) -> Section {
        let pairs = self.book().groups().clone().into_iter();
        Section::new("Groups").lines(pairs.map(|(group, pair)| {
            let value = format!("master={},epoch={}", pair.master, pair.epoch.0);
            (format!("group{group}"), value)
        }))
    }
}
