//! `INFO`: the fields that Redis 7 shows in sentinel mode, in its order. Those that can only be
//! zero in a sentinel are there too, since monitoring may ask for them.

use std::fmt::{Display, Write};

use bytes::Bytes;
use codis_sentinel_proto::view::MasterView;

use super::{Context, text as text_of};

mod server;
mod stats;

type Section = fn(&Context<'_>) -> String;

const SECTIONS: [(&str, Section); 5] = [
    ("server", server::server),
    ("clients", clients),
    ("stats", stats::stats),
    ("cpu", server::cpu),
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

/// The text of a section.
struct Fields(String);

impl Fields {
    fn new(title: &str) -> Self {
        Self(format!("# {title}\r\n"))
    }

    fn add(&mut self, key: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{key}:{value}\r\n");
    }

    /// Fields that are always zero.
    fn zeros(&mut self, keys: &str) {
        for key in keys.split_ascii_whitespace() {
            self.add(key, 0);
        }
    }
}

fn clients(context: &Context<'_>) -> String {
    let clients = context.shared.clients();
    let mut input_max = 0;
    let mut output_max = 0;
    let (mut trackers, mut subscribers) = (0, 0);
    for (_, client) in clients.all() {
        input_max = input_max.max(client.buffers.query + client.buffers.query_free);
        output_max = output_max.max(client.outbox.depth().1);
        trackers += usize::from(client.tracking.is_some());
        subscribers += usize::from(client.subscriptions.all() > 0);
    }
    let mut fields = Fields::new("Clients");
    fields.add("connected_clients", clients.len());
    fields.add("cluster_connections", 0);
    fields.add("maxclients", context.shared.clients_max);
    fields.add("client_recent_max_input_buffer", input_max);
    fields.add("client_recent_max_output_buffer", output_max);
    fields.add("blocked_clients", 0);
    fields.add("tracking_clients", trackers);
    fields.add("pubsub_clients", subscribers);
    fields.zeros(
        "watching_clients clients_in_timeout_table total_watched_keys total_blocking_keys \
         total_blocking_keys_on_nokey",
    );
    fields.0
}

fn sentinel(context: &Context<'_>) -> String {
    let names = context.machine.master_names();
    let mut fields = Fields::new("Sentinel");
    fields.add("sentinel_masters", names.len());
    fields.add("sentinel_tilt", u8::from(context.machine.is_tilt()));
    fields.add("sentinel_tilt_since_seconds", context.tilt_seconds());
    fields.add("sentinel_total_tilt", context.tilts);
    fields.add("sentinel_running_scripts", context.scripts.running());
    let queue = context.scripts.jobs().count();
    fields.add("sentinel_scripts_queue_length", queue);
    let simulated = context.simulated.bits();
    fields.add("sentinel_simulate_failure_flags", simulated);
    // A stock sentinel has none of these: they are told only when there is something to tell.
    let troubles = [
        ("sentinel_disk_refuses", context.machine.is_disk_refusing()),
        ("sentinel_rejoining", context.machine.is_rejoining()),
    ];
    for (name, _) in troubles.iter().filter(|(_, holds)| *holds) {
        fields.add(name, 1);
    }
    let views = names
        .iter()
        .filter_map(|name| context.machine.master(context.now, name));
    for (index, view) in views.enumerate() {
        fields.add(&format!("master{index}"), master_line(&view));
    }
    fields.0
}

fn master_line(view: &MasterView) -> String {
    let instance = &view.instance;
    let status = match (instance.o_down, instance.s_down) {
        (Some(_), _) => "odown",
        (None, Some(_)) => "sdown",
        (None, None) => "ok",
    };
    let (name, addr) = (&instance.name, &instance.addr);
    let (replicas, sentinels) = (view.replicas, view.other_sentinels + 1);
    format!("name={name},status={status},address={addr},slaves={replicas},sentinels={sentinels}")
}
