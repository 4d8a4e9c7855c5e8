//! The proxy beside a direct server, as ratios: the same `redis-benchmark` against both.
//!
//! The proxy spreads its keys over all groups while the direct run has one server to itself, as a
//! client would see either. Absolute figures belong to one machine; the ratio says more.

use std::fmt;
use std::process::Stdio;

use anyhow::Context as _;
use serde::Serialize;
use tokio::process::Command;

use codis_core::addr::Addr;

use crate::cluster::Cluster;
use crate::figures::cpu_seconds;
use crate::scenario::table;
use crate::talk::Talk;

/// Pipeline depths, each with the requests that make its run a few seconds long.
const DEPTHS: [(u32, u32); 2] = [(1, 200_000), (32, 1_000_000)];
const TESTS: [&str; 2] = ["set", "get"];
const CLIENTS: u32 = 50;
const KEYS: u32 = 100_000;

/// One test at one depth.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The command.
    pub test: String,
    /// Requests sent without waiting for answers.
    pub pipeline: u32,
    /// Requests a second, direct.
    pub direct: f64,
    /// Requests a second through the proxy.
    pub proxy: f64,
    /// `proxy / direct`.
    pub ratio: f64,
    /// CPU seconds that the proxy spent on a million requests.
    pub proxy_cpu_seconds: f64,
}

/// All lines.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// One for each test and depth.
    pub lines: Vec<Line>,
}

/// Runs all tests on a cluster that is up.
///
/// # Errors
/// `redis-benchmark` is missing, fails, or shows an error of the server.
pub async fn run(cluster: &mut Cluster, talk: &Talk) -> anyhow::Result<Results> {
    let direct = cluster.layout().groups[0].servers[0].clone();
    let proxy = cluster.layout().proxies().next().context("no proxy")?;
    let proxy = proxy.addr.clone();
    let pid = cluster.process(&proxy)?.id();
    let mut lines = Vec::new();
    for (pipeline, requests) in DEPTHS {
        for test in TESTS {
            talk.step(format!("{test} at -P {pipeline}, direct"));
            let direct = benchmark(&direct, test, pipeline, requests).await?;
            talk.step(format!("{test} at -P {pipeline}, through the proxy"));
            let before = cpu_seconds(pid)?;
            let through = benchmark(&proxy, test, pipeline, requests).await?;
            let spent = cpu_seconds(pid)? - before;
            lines.push(Line {
                test: test.to_owned(),
                pipeline,
                direct,
                proxy: through,
                ratio: through / direct,
                proxy_cpu_seconds: spent * 1e6 / f64::from(requests),
            });
        }
    }
    talk.rest();
    Ok(Results { lines })
}

/// Requests a second of one run.
async fn benchmark(server: &Addr, test: &str, pipeline: u32, requests: u32) -> anyhow::Result<f64> {
    let words = [
        ("-h", server.host().to_owned()),
        ("-p", server.port().to_string()),
        ("-t", test.to_owned()),
        ("-P", pipeline.to_string()),
        ("-n", requests.to_string()),
        ("-c", CLIENTS.to_string()),
        ("-r", KEYS.to_string()),
    ];
    let output = Command::new("redis-benchmark")
        .args(words.iter().flat_map(|(flag, value)| [*flag, value]))
        .arg("--csv")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("run redis-benchmark (`make setup` installs it)")?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let errors = out
        .lines()
        .chain(err.lines())
        .find(|line| line.starts_with("Error"));
    if let Some(line) = errors {
        anyhow::bail!("{test} at -P {pipeline} on {server}: {line}");
    }
    if !output.status.success() {
        anyhow::bail!("redis-benchmark on {server}: {}\n{err}", output.status);
    }
    rate(&out, test).with_context(|| format!("no figure for {test} in:\n{out}"))
}

/// The second field of the line of `test`.
fn rate(csv: &str, test: &str) -> Option<f64> {
    let start = format!("\"{}\"", test.to_uppercase());
    let line = csv.lines().find(|line| line.starts_with(&start))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = [
            "test",
            "-P",
            "direct req/s",
            "proxy req/s",
            "ratio",
            "proxy CPU s per million",
        ];
        let mut table = table(&header);
        for line in &self.lines {
            table.add_row([
                line.test.clone(),
                line.pipeline.to_string(),
                format!("{:.0}", line.direct),
                format!("{:.0}", line.proxy),
                format!("{:.2}", line.ratio),
                format!("{:.2}", line.proxy_cpu_seconds),
            ]);
        }
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_found_in_the_output() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"81234.50\",\"0.3\"\n";
        assert_eq!(rate(csv, "set"), Some(81234.5));
        assert_eq!(rate(csv, "get"), None);
    }
}
