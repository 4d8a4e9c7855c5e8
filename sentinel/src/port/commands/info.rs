//! `INFO`.

use std::fmt::Write;

use bytes::Bytes;
use codis_sentinel_proto::view::MasterView;

use super::super::Stats;
use super::{Context, text as text_of};
use crate::process::VERSION_COMPATIBLE;

type Section = fn(&Context<'_>) -> String;

const SECTIONS: [(&str, Section); 5] = [
    ("server", server),
    ("clients", clients),
    ("cpu", cpu),
    ("stats", stats),
    ("sentinel", sentinel),
];

/// The sections of those names, or all of them.
pub(super) fn text(context: &Context<'_>, names: &[Bytes]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|n| text_of(n).to_ascii_lowercase())
        .collect();
    let all = names.is_empty()
        || names
            .iter()
            .any(|n| matches!(n.as_str(), "all" | "default" | "everything"));
    let wanted = SECTIONS
        .iter()
        .filter(|(name, _)| all || names.iter().any(|n| n == name));
    let texts: Vec<String> = wanted.map(|(_, section)| section(context)).collect();
    texts.join("\r\n")
}

/// A section from its title and lines.
fn section(title: &str, fields: &[(&str, String)]) -> String {
    let mut out = format!("# {title}\r\n");
    for (key, value) in fields {
        // Writing to a string cannot fail.
        let _ = write!(out, "{key}:{value}\r\n");
    }
    out
}

fn server(context: &Context<'_>) -> String {
    let process = context.process;
    let uptime = context.shared.stats.started.elapsed().as_secs();
    let wall = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let system = rustix::system::uname();
    let config_file = process.config_file.as_deref().unwrap_or("".as_ref());
    let os = [system.sysname(), system.release(), system.machine()].map(|s| s.to_string_lossy());
    let fields = [
        ("redis_version", VERSION_COMPATIBLE.to_owned()),
        ("codis_version", codis_runtime::build::version()),
        ("redis_mode", "sentinel".to_owned()),
        ("os", os.join(" ")),
        ("arch_bits", usize::BITS.to_string()),
        ("process_id", std::process::id().to_string()),
        ("run_id", process.run_id.clone()),
        ("tcp_port", process.port.to_string()),
        ("server_time_usec", wall.as_micros().to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86_400).to_string()),
        ("executable", process.executable.display().to_string()),
        ("config_file", config_file.display().to_string()),
    ];
    section("Server", &fields)
}

fn clients(context: &Context<'_>) -> String {
    let clients = context.shared.clients();
    let fields = [
        ("connected_clients", clients.len().to_string()),
        ("maxclients", context.shared.clients_max.to_string()),
        ("blocked_clients", "0".to_owned()),
        ("pubsub_clients", clients.subscribers().to_string()),
    ];
    section("Clients", &fields)
}

fn cpu(_: &Context<'_>) -> String {
    let (user, system) = cpu_seconds().unwrap_or_default();
    let fields = [
        ("used_cpu_sys", format!("{system:.6}")),
        ("used_cpu_user", format!("{user:.6}")),
    ];
    section("CPU", &fields)
}

/// Seconds of user and system time, from the 14th and 15th field of `/proc/self/stat`.
fn cpu_seconds() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name in brackets, and may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / per_second);
    Some((seconds()?, seconds()?))
}

fn stats(context: &Context<'_>) -> String {
    let stats = &context.shared.stats;
    let (channels, patterns) = context.hub.totals();
    let count = |counter| Stats::get(counter).to_string();
    let fields = [
        ("total_connections_received", count(&stats.connections)),
        ("total_commands_processed", count(&stats.commands)),
        ("total_net_input_bytes", count(&stats.input_bytes)),
        ("total_net_output_bytes", count(&stats.output_bytes)),
        ("rejected_connections", count(&stats.rejected)),
        ("pubsub_channels", channels.to_string()),
        ("pubsub_patterns", patterns.to_string()),
    ];
    section("Stats", &fields)
}

fn sentinel(context: &Context<'_>) -> String {
    let names = context.machine.master_names();
    let tilt = context.machine.is_tilt();
    let running = context.scripts.running();
    let fields = [
        ("sentinel_masters", names.len().to_string()),
        ("sentinel_tilt", u8::from(tilt).to_string()),
        (
            "sentinel_tilt_since_seconds",
            context.tilt_seconds().to_string(),
        ),
        ("sentinel_running_scripts", running.to_string()),
        (
            "sentinel_scripts_queue_length",
            context.scripts.jobs().count().to_string(),
        ),
        (
            "sentinel_simulate_failure_flags",
            context.simulated.bits().to_string(),
        ),
    ];
    let mut out = section("Sentinel", &fields);
    let views = names
        .iter()
        .filter_map(|name| context.machine.master(context.now, name));
    for (index, view) in views.enumerate() {
        out.push_str(&master_line(index, &view));
    }
    out
}

fn master_line(index: usize, view: &MasterView) -> String {
    let instance = &view.instance;
    let status = match (instance.o_down, instance.s_down) {
        (Some(_), _) => "odown",
        (None, Some(_)) => "sdown",
        (None, None) => "ok",
    };
    let (name, addr) = (&instance.name, &instance.addr);
    let (replicas, sentinels) = (view.replicas, view.other_sentinels + 1);
    format!(
        "master{index}:name={name},status={status},address={addr},slaves={replicas},\
         sentinels={sentinels}\r\n"
    )
}
