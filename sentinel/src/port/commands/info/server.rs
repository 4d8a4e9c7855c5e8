//! The process and the time that it took.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::Context;
use super::Fields;
use crate::process::VERSION_COMPATIBLE;

/// The clock by which Redis orders keys: seconds, of which 24 bits are kept.
const LRU_CLOCK_MAX: u64 = 0x00ff_ffff;

/// The frequency that Redis is configured with; nothing here ticks.
const HZ: u32 = 10;

pub(super) fn server(context: &Context<'_>) -> String {
    let process = context.process;
    let uptime = context.shared.stats.started.elapsed().as_secs();
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let system = rustix::system::uname();
    let os = [system.sysname(), system.release(), system.machine()].map(|s| s.to_string_lossy());
    let config_file = process.config_file.as_deref().unwrap_or(Path::new(""));
    let supervised = if context.shared.supervised {
        "systemd"
    } else {
        "no"
    };
    let mut fields = Fields::new("Server");
    fields.add("redis_version", VERSION_COMPATIBLE);
    fields.add("redis_git_sha1", "00000000");
    fields.add("redis_git_dirty", 0);
    fields.add("redis_build_id", build_id());
    fields.add("redis_mode", "sentinel");
    fields.add("os", os.join(" "));
    fields.add("arch_bits", usize::BITS);
    fields.add("monotonic_clock", "POSIX clock_gettime");
    fields.add("multiplexing_api", "epoll");
    fields.add("atomicvar_api", "rust-std");
    fields.add("gcc_version", "0.0.0");
    fields.add("process_id", std::process::id());
    fields.add("process_supervised", supervised);
    fields.add("run_id", &process.run_id);
    fields.add("tcp_port", process.port);
    fields.add("server_time_usec", wall.as_micros());
    fields.add("uptime_in_seconds", uptime);
    fields.add("uptime_in_days", uptime / 86_400);
    fields.add("hz", HZ);
    fields.add("configured_hz", HZ);
    fields.add("lru_clock", wall.as_secs() & LRU_CLOCK_MAX);
    fields.add("executable", process.executable.display());
    fields.add("config_file", config_file.display());
    fields.add("io_threads_active", 0);
    fields.add("codis_version", codis_runtime::build::version());
    fields.0
}

/// 16 hexadecimal digits that differ between builds: an FNV-1a hash of what the build tells.
fn build_id() -> String {
    let text = codis_runtime::build::text();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

pub(super) fn cpu(_: &Context<'_>) -> String {
    let [user, system, children_user, children_system] =
        seconds("/proc/self/stat").unwrap_or_default();
    let main = format!("/proc/self/task/{}/stat", std::process::id());
    let [main_user, main_system, ..] = seconds(&main).unwrap_or_default();
    let mut fields = Fields::new("CPU");
    for (key, seconds) in [
        ("used_cpu_sys", system),
        ("used_cpu_user", user),
        ("used_cpu_sys_children", children_system),
        ("used_cpu_user_children", children_user),
        ("used_cpu_sys_main_thread", main_system),
        ("used_cpu_user_main_thread", main_user),
    ] {
        fields.add(key, format_args!("{seconds:.6}"));
    }
    fields.0
}

/// Seconds of user and system time, own and of children that ended: the fields 14 to 17.
fn seconds(path: &str) -> Option<[f64; 4]> {
    let stat = fs::read_to_string(path).ok()?;
    // The second field is the name in brackets, and may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let mut next = || Some(fields.next()?.parse::<f64>().ok()? / per_second);
    Some([next()?, next()?, next()?, next()?])
}
