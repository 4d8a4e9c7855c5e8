//! What the operating system says that a process costs.

use anyhow::Context as _;

/// User and system time of a process, in seconds.
///
/// # Errors
/// There is no such process.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = cpu_ticks(&text).with_context(|| format!("read the CPU time of {pid}"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A field of `/proc/PID/status` in MiB: `VmRSS` is the present size, `VmHWM` the greatest.
///
/// # Errors
/// There is no such process or field.
pub fn memory_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = kib(&text, field).with_context(|| format!("read {field} of {pid}"))?;
    Ok(kib as f64 / 1024.0)
}

/// Fields 14 and 15 of `/proc/PID/stat`; field 2 may hold anything between its parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some(user + system)
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let rest = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_program_names_do_not_shift_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4 1 0 0 0 120 30 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(150));
    }

    #[test]
    fn memory_is_read_by_its_whole_name() {
        let status = "Name:\tx\nVmRSSx:\t1 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(kib(status, "VmRSS"), Some(2048));
        assert_eq!(kib(status, "VmHWM"), None);
    }
}
