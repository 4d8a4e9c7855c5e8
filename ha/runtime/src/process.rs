//! What this process uses of the machine, from `/proc/self`.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use codis_core::api::RusageRaw;

/// One reading of the counters of this process.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was taken.
    pub at: Instant,
    /// CPU times in nanoseconds, memory in bytes.
    pub raw: RusageRaw,
}

impl Sample {
    /// Reads the counters now.
    ///
    /// # Errors
    /// `/proc` is not mounted or has an unknown form.
    pub fn take() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let raw =
            parse(&stat).ok_or_else(|| io::Error::other("unknown form of /proc/self/stat"))?;
        let at = Instant::now();
        Ok(Self { at, raw })
    }

    /// Cores in use on average since `earlier`.
    pub fn cores_since(&self, earlier: &Self) -> f64 {
        let wall = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        let busy = self.busy().saturating_sub(earlier.busy()).as_secs_f64();
        if wall > 0.0 { busy / wall } else { 0.0 }
    }

    /// CPU time used since the start, in user and system mode.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.raw.utime + self.raw.stime)
    }
}

/// What the process has of memory that no file stands behind, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In RAM.
    pub resident: u64,
    /// Reserved: heap, stacks and the like.
    pub reserved: u64,
}

impl Memory {
    /// Reads the figures now; nothing when `/proc` is not mounted.
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        Self::parse(&text).unwrap_or_default()
    }

    fn parse(statm: &str) -> Option<Self> {
        let fields: Vec<&str> = statm.split_ascii_whitespace().collect();
        let pages = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let page = rustix::param::page_size() as u64;
        Some(Self {
            resident: pages(1)?.saturating_sub(pages(2)?) * page,
            reserved: pages(5)? * page,
        })
    }
}

/// The number of open file descriptors, or `None` when it cannot be read.
pub fn open_files() -> Option<u64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// Fields are counted after the command name, which may hold anything, even `)`.
fn parse(stat: &str) -> Option<RusageRaw> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) counts from 1 and the first field here is number 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let nanos_per_tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    Some(RusageRaw {
        utime: field(14)? * nanos_per_tick,
        stime: field(15)? * nanos_per_tick,
        cutime: field(16)? * nanos_per_tick,
        cstime: field(17)? * nanos_per_tick,
        num_threads: field(20)?,
        vm_size: field(23)?,
        vm_rss: field(24)? * rustix::param::page_size() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_files_is_not_counted() {
        let page = rustix::param::page_size() as u64;
        let memory = Memory::parse("900 100 30 5 0 400 0").unwrap();
        assert_eq!((memory.resident, memory.reserved), (70 * page, 400 * page));
        assert!(Memory::now().resident > 0);
    }

    #[test]
    fn a_command_name_cannot_shift_the_fields() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 5 0 99 4096 2 18";
        let raw = parse(stat).unwrap();
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        assert_eq!((raw.utime, raw.stime), (11 * tick, 22 * tick));
        assert_eq!((raw.cutime, raw.cstime), (33 * tick, 44 * tick));
        assert_eq!((raw.num_threads, raw.vm_size), (5, 4096));
        assert_eq!(raw.vm_rss, 2 * rustix::param::page_size() as u64);
    }
}
