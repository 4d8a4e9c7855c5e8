//! Where and when a run was, for whoever reads its figures later.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde::Serialize;

use crate::bench::contender::Programs;

/// The machine, the day, and the versions of the programs.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The day, as `2026-01-31`.
    pub date: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// What the processors call themselves.
    pub model: String,
    /// The kernel's release.
    pub kernel: String,
    /// Versions of the other programs, as they tell them.
    pub versions: Vec<String>,
}

impl Machine {
    /// This one, today.
    ///
    /// # Errors
    /// A program does not tell its version.
    pub fn here(programs: &Programs) -> anyhow::Result<Self> {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == "model name").then(|| value.trim().to_owned())
        });
        let kernel = rustix::system::uname();
        Ok(Self {
            date: jiff::Zoned::now().date().to_string(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            model: model.unwrap_or_else(|| "unknown processor".to_owned()),
            kernel: kernel.release().to_string_lossy().into_owned(),
            versions: vec![
                version(&programs.redis, "--version")?,
                version(&programs.nutcracker, "-V")?,
                version(&programs.haproxy, "-v")?,
            ],
        })
    }
}

/// The first line that says something.
fn version(program: &Path, flag: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg(flag).output();
    let output = output.with_context(|| format!("run {}", program.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.with_context(|| format!("{} {flag} says nothing", program.display()))?;
    let line = line.trim().trim_start_matches("This is ");
    // What follows names builds and links.
    let end = [" sha=", " - http"]
        .iter()
        .filter_map(|mark| line.find(mark))
        .min();
    Ok(line[..end.unwrap_or(line.len())].to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            date,
            processors,
            model,
            kernel,
            versions,
        } = self;
        let versions = versions.join(", ");
        write!(
            f,
            "{date}, {processors} x {model}, Linux {kernel}; {versions}"
        )
    }
}
