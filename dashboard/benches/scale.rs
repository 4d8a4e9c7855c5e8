//! What a dashboard costs with a fleet: by default 400 servers in 200 groups, 100 proxies and all
//! 1024 slots, all of them simulated by this process but for the dashboard.
//!
//! Run it with `cargo bench -p codis-dashboard --bench scale`; behind `--` may stand `--servers=N
//! --groups=N --proxies=N --seconds=N --dashboard=PROGRAM --output=json`. It prints the figures
//! beside what they should be, and fails only when one is off by a factor that no noise explains.
//!
//! The dashboard is a process of its own, as an operator runs it, and only its processor time is
//! counted. The peers share the processors with it, so on a small machine their work is in the
//! times of the answers and of the pushes.

#[path = "scale/board.rs"]
mod board;
#[path = "scale/figures.rs"]
mod figures;
#[path = "scale/proxies.rs"]
mod proxies;
#[path = "scale/servers.rs"]
mod servers;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use board::Board;
use figures::Figures;
use proxies::Proxies;
use servers::Servers;

/// After so long without a reader the dashboard is idle.
const UNREAD: Duration = Duration::from_secs(20);
/// How long it is read once a second, as a page in a browser does.
const READING: Duration = Duration::from_secs(15);
/// How often all slots are sent to all proxies; the slowest time counts.
const PUSHES: usize = 5;

/// How large the fleet is, and how long the dashboard is watched idle.
#[derive(Clone, Debug)]
struct Scale {
    /// The program under test.
    dashboard: String,
    servers: usize,
    groups: usize,
    proxies: usize,
    seconds: u64,
    as_json: bool,
}

impl Scale {
    fn from_args() -> anyhow::Result<Self> {
        let mut scale = Self {
            dashboard: env!("CARGO_BIN_EXE_codis-dashboard").to_owned(),
            servers: 400,
            groups: 200,
            proxies: 100,
            seconds: 30,
            as_json: false,
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
                "--output" => {
                    ensure!(matches!(value, "json" | "text"), "--output is json or text");
                    scale.as_json = value == "json";
                }
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let scale = Scale::from_args()?;
    let mut figures = Figures::of(&scale);
    let servers = Servers::start(scale.servers).await?;
    let proxies = Proxies::start(scale.proxies).await?;
    let board = Board::start(&scale, &servers, &proxies).await?;
    let online = Instant::now();
    proxies.until_filled(1).await?;
    let took = online.elapsed().as_secs_f64();
    figures.take("all slots to proxies without any", took, "s", Some(2.0));

    servers.until_asked().await?;
    eprintln!("reading the overview and the statistics");
    for (names, path) in [
        (["overview, p50", "overview, p99"], "/topom"),
        (["statistics, p50", "statistics, p99"], "/topom/stats"),
    ] {
        let (times, bytes) = answers(&board, path).await?;
        eprintln!("{path}: {bytes} bytes");
        figures.take_times(names, times, 100.0);
    }
    let before = board.cpu()?;
    let begun = Instant::now();
    while begun.elapsed() < READING {
        board.get("/topom/stats").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let used = (board.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    figures.take(
        "processor, read every second",
        used * 100.0,
        "% of a core",
        None,
    );

    eprintln!("watching it idle for {} s, after {UNREAD:?}", scale.seconds);
    tokio::time::sleep(UNREAD).await;
    let (before, begun) = (board.cpu()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(scale.seconds)).await;
    let used = (board.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    figures.take("processor, idle", used * 100.0, "% of a core", Some(2.0));

    let mut slowest = Duration::ZERO;
    for _ in 0..PUSHES {
        slowest = slowest.max(push(&board, &proxies).await?);
    }
    let took = slowest.as_secs_f64();
    figures.take("all slots to all proxies again", took, "s", Some(2.0));
    let resident = board.resident()? as f64 / f64::from(1 << 20);
    figures.take("resident memory", resident, "MiB", None);
    figures.print(scale.as_json);
    let absurd = figures.absurd();
    ensure!(absurd == 0, "{absurd} figures are far off");
    Ok(())
}

/// The times of a hundred answers, and how large one is.
async fn answers(board: &Board, path: &str) -> anyhow::Result<(Vec<Duration>, usize)> {
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..100 {
        let begun = Instant::now();
        bytes = board.get(path).await?;
        times.push(begun.elapsed());
    }
    Ok((times, bytes))
}

/// Sends all slots to all proxies, and waits for the last one to have them.
async fn push(board: &Board, proxies: &Proxies) -> anyhow::Result<Duration> {
    let rounds = proxies.rounds();
    let begun = Instant::now();
    let told = board.put("group/resync-all").await;
    if let Err(error) = told {
        // It may give up waiting before the last one has its slots; they are what is measured.
        eprintln!("resync: {error}");
    }
    proxies.until_filled(rounds + 1).await?;
    Ok(begun.elapsed())
}
