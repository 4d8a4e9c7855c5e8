//! What a dashboard costs with a fleet: by default 400 servers in 200 groups, 100 proxies and all
//! 1024 slots, all of them simulated by this process but for the dashboard.
//!
//! Run it with `cargo bench -p codis-dashboard --bench scale`; behind `--` may stand `--servers=N
//! --groups=N --proxies=N --seconds=N --dashboard=PROGRAM`. It prints the figures beside what they
//! should be, and fails only when one is off by a factor that no noise explains.

#[path = "scale/board.rs"]
mod board;
#[path = "scale/proxies.rs"]
mod proxies;
#[path = "scale/servers.rs"]
mod servers;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use board::Board;
use proxies::Proxies;
use servers::Servers;

/// After so long without a reader the dashboard is idle.
const UNREAD: Duration = Duration::from_secs(20);
/// How far off its aim a figure may be.
const TOLERANCE: f64 = 20.0;

/// How large the fleet is, and how long the dashboard is watched idle.
#[derive(Clone, Debug)]
struct Scale {
    /// The program under test.
    dashboard: String,
    servers: usize,
    groups: usize,
    proxies: usize,
    seconds: u64,
}

impl Scale {
    fn from_args() -> anyhow::Result<Self> {
        let mut scale = Self {
            dashboard: env!("CARGO_BIN_EXE_codis-dashboard").to_owned(),
            servers: 400,
            groups: 200,
            proxies: 100,
            seconds: 30,
        };
        for arg in std::env::args().skip(1) {
            let Some((name, value)) = arg.split_once('=') else {
                // Cargo says `--bench`.
                continue;
            };
            let number = || value.parse().with_context(|| format!("read {arg}"));
            match name {
                "--dashboard" => value.clone_into(&mut scale.dashboard),
                "--servers" => scale.servers = number()?,
                "--groups" => scale.groups = number()?,
                "--proxies" => scale.proxies = number()?,
                "--seconds" => scale.seconds = number()? as u64,
                _ => anyhow::bail!("unknown option {name}"),
            }
        }
        let Self {
            servers, groups, ..
        } = &scale;
        ensure!(
            (1..=9999).contains(groups) && servers >= groups,
            "at least one server for each of 1 to 9999 groups"
        );
        Ok(scale)
    }
}

/// A figure, and what it should be.
struct Figure {
    name: &'static str,
    value: f64,
    aim: f64,
    unit: &'static str,
}

/// Prints figures as they come.
#[derive(Debug, Default)]
struct Figures {
    absurd: usize,
}

impl Figures {
    fn take(&mut self, figure: Figure) {
        let Figure {
            name,
            value,
            aim,
            unit,
        } = figure;
        println!("{name:<26} {value:>9.2} {unit} (aim: {aim})");
        self.absurd += usize::from(value > aim * TOLERANCE);
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let scale = Scale::from_args()?;
    let servers = Servers::start(scale.servers).await?;
    let proxies = Proxies::start(scale.proxies).await?;
    let board = Board::start(&scale, &servers, &proxies).await?;
    let mut figures = Figures::default();

    let filled = proxies.until_filled(1).await?;
    println!(
        "all proxies filled {:.1} s after the start",
        filled.as_secs_f64()
    );
    servers.until_asked().await?;
    for (name, path) in [("overview, p99", "/topom"), ("stats, p99", "/topom/stats")] {
        let (p99, bytes) = answers(&board, path).await?;
        println!("{path}: {bytes} bytes");
        figures.take(Figure {
            name,
            value: p99.as_secs_f64() * 1e3,
            aim: 100.0,
            unit: "ms",
        });
    }
    println!("watching it idle for {} s, after {UNREAD:?}", scale.seconds);
    tokio::time::sleep(UNREAD).await;
    let before = board.cpu()?;
    tokio::time::sleep(Duration::from_secs(scale.seconds)).await;
    figures.take(Figure {
        name: "idle processor time",
        value: (board.cpu()? - before).as_secs_f64() / scale.seconds as f64 * 100.0,
        aim: 2.0,
        unit: "% of a core",
    });
    let rounds = proxies.rounds();
    let begun = Instant::now();
    // It gives up waiting before the last one has its slots; they are what is measured.
    let _ = board.put("group/resync-all").await;
    proxies.until_filled(rounds + 1).await?;
    figures.take(Figure {
        name: "all slots to all proxies",
        value: begun.elapsed().as_secs_f64(),
        aim: 2.0,
        unit: "s",
    });
    println!("resident: {} MiB", board.resident()? >> 20);
    let absurd = figures.absurd;
    ensure!(absurd == 0, "{absurd} figures are far off");
    Ok(())
}

/// The slowest but one of a hundred answers, and how large one is.
async fn answers(board: &Board, path: &str) -> anyhow::Result<(Duration, usize)> {
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..100 {
        let begun = Instant::now();
        bytes = board.get(path).await?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok((times[98], bytes))
}
