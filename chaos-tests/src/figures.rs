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

/// Nanoseconds that the threads of a process have been on a processor, by the scheduler's clock,
/// which is exact while they sleep. A kernel without that clock gives the ticks of
/// `/proc/PID/stat`.
///
/// # Errors
/// There is no such process.
pub fn cpu_nanos(pid: u32) -> anyhow::Result<u64> {
    let tasks = format!("/proc/{pid}/task");
    let tasks = std::fs::read_dir(&tasks).with_context(|| format!("read {tasks}"))?;
    let mut sum = 0;
    for task in tasks {
        // A thread that ends meanwhile is missed; those that are measured start none.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        sum += first_number(&text).unwrap_or(0);
    }
    match sum {
        0 => Ok((cpu_seconds(pid)? * 1e9) as u64),
        sum => Ok(sum),
    }
}

/// A field of `/proc/PID/status` in KiB: `VmRSS` is the present size, `VmHWM` the greatest.
///
/// # Errors
/// There is no such process or field.
pub fn memory_kib(pid: u32, field: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    kib(&text, field).with_context(|| format!("read {field} of {pid}"))
}

/// A field of `/proc/PID/status` in MiB: `VmRSS` is the present size, `VmHWM` the greatest.
///
/// # Errors
/// There is no such process or field.
pub fn memory_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    Ok(memory_kib(pid, field)? as f64 / 1024.0)
}

/// Fields 14 and 15 of `/proc/PID/stat`; field 2 may hold anything between its parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some(user + system)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let rest = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    first_number(rest)
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
    fn processor_time_is_finer_than_ticks() {
        let pid = std::process::id();
        let before = cpu_nanos(pid).unwrap();
        assert!(before > 0);
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while cpu_nanos(pid).unwrap() == before {
            assert!(std::time::Instant::now() < limit, "the clock stands still");
        }
    }

    #[test]
    fn memory_is_read_by_its_whole_name() {
        let status = "Name:\tx\nVmRSSx:\t1 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(kib(status, "VmRSS"), Some(2048));
        assert_eq!(kib(status, "VmHWM"), None);
    }
}
