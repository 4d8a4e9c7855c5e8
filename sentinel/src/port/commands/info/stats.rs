//! What was counted since the start.

use super::super::super::Stats;
use super::super::Context;
use super::Fields;

/// Counters of data servers, between those that a sentinel has.
const BEFORE_PUBSUB: &str = "
    sync_full sync_partial_ok sync_partial_err expired_keys expired_stale_perc
    expired_time_cap_reached_count expire_cycle_cpu_milliseconds evicted_keys evicted_clients
    total_eviction_exceeded_time current_eviction_exceeded_time keyspace_hits keyspace_misses";
const AFTER_PUBSUB: &str = "
    pubsubshard_channels latest_fork_usec total_forks migrate_cached_sockets
    slave_expires_tracked_keys active_defrag_hits active_defrag_misses active_defrag_key_hits
    active_defrag_key_misses total_active_defrag_time current_active_defrag_time
    tracking_total_keys tracking_total_items tracking_total_prefixes unexpected_error_replies";

pub(super) fn stats(context: &Context<'_>) -> String {
    let stats = &context.shared.stats;
    let (channels, patterns) = context.hub.totals();
    let count = Stats::get;
    let rates = stats.rates();
    let mut fields = Fields::new("Stats");
    fields.add("total_connections_received", count(&stats.connections));
    fields.add("total_commands_processed", count(&stats.commands));
    fields.add("instantaneous_ops_per_sec", rates.commands.round());
    fields.add("total_net_input_bytes", count(&stats.input_bytes));
    fields.add("total_net_output_bytes", count(&stats.output_bytes));
    fields.zeros("total_net_repl_input_bytes total_net_repl_output_bytes");
    let kilobytes = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    fields.add("instantaneous_input_kbps", kilobytes(rates.input_bytes));
    fields.add("instantaneous_output_kbps", kilobytes(rates.output_bytes));
    fields.add("instantaneous_input_repl_kbps", "0.00");
    fields.add("instantaneous_output_repl_kbps", "0.00");
    fields.add("rejected_connections", count(&stats.rejected));
    fields.zeros(BEFORE_PUBSUB);
    fields.add("pubsub_channels", channels);
    fields.add("pubsub_patterns", patterns);
    fields.zeros(AFTER_PUBSUB);
    fields.add("total_error_replies", count(&stats.errors));
    fields.zeros("dump_payload_sanitizations");
    fields.add("total_reads_processed", count(&stats.reads));
    fields.add("total_writes_processed", count(&stats.writes));
    fields.zeros("io_threaded_reads_processed io_threaded_writes_processed");
    let limited = count(&stats.query_limited);
    fields.add("client_query_buffer_limit_disconnections", limited);
    let limited = count(&stats.output_limited);
    fields.add("client_output_buffer_limit_disconnections", limited);
    fields.zeros("reply_buffer_shrinks reply_buffer_expands");
    fields.0
}
