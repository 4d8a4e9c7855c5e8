//! The figures that InfluxDB and statsd get, by the names of the original.

use codis_core::api::ProxyStats;

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// A whole number.
    Whole(u64),
    /// A fraction.
    Fraction(f64),
    /// A whole number that InfluxDB gets as text, as from the original: one field cannot change
    /// its type.
    Text(u64),
}

/// All figures of statistics with the runtime part, in the original's order.
pub fn figures(stats: &ProxyStats) -> [(&'static str, Figure); 14] {
    use Figure::{Fraction, Text, Whole};
    let runtime = stats.runtime.clone().unwrap_or_default();
    [
        ("ops_total", Whole(stats.ops.total)),
        ("ops_fails", Whole(stats.ops.fails)),
        ("ops_redis_errors", Whole(stats.ops.redis.errors)),
        ("ops_qps", Whole(stats.ops.qps)),
        ("sessions_total", Whole(stats.sessions.total)),
        ("sessions_alive", Whole(stats.sessions.alive)),
        ("rusage_mem", Whole(stats.rusage.mem)),
        ("rusage_cpu", Fraction(stats.rusage.cpu)),
        ("runtime_gc_num", Whole(runtime.gc.num)),
        ("runtime_gc_total_pausems", Text(runtime.gc.total_pausems)),
        ("runtime_num_procs", Whole(runtime.num_procs)),
        ("runtime_num_goroutines", Whole(runtime.num_goroutines)),
        ("runtime_num_cgo_call", Whole(runtime.num_cgo_call)),
        ("runtime_num_mem_offheap", Whole(runtime.mem_offheap)),
    ]
}
