//! `codis-drill bench`: what a request costs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use codis_chaos::bench::{self, Contender, Plan, Programs, SHAPES, Shape, Size};
use codis_chaos::preflight;
use codis_chaos::talk::Talk;

/// What to measure.
#[derive(Args)]
pub struct Bench {
    /// One shape of load; may be given more than once [default: all].
    #[arg(long = "shape", value_name = "NAME", value_parser = Shape::named)]
    shapes: Vec<Shape>,
    /// One that takes part; may be given more than once [default: all].
    #[arg(long = "contender", value_name = "NAME", value_parser = Contender::named)]
    contenders: Vec<Contender>,
    /// Measurements of each contender in each shape [default: as each shape needs].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,
    /// Requests of one measurement [default: as each shape needs].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    requests: Option<u64>,
    /// Fewer rounds and requests: two minutes, and less exact.
    #[arg(long, conflicts_with_all = ["rounds", "requests"])]
    quick: bool,
    /// The proxy that is measured [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    proxy: Option<PathBuf>,
    /// Another build of it, measured in the same rounds.
    #[arg(long, value_name = "PATH")]
    baseline: Option<PathBuf>,
    /// Where configs and logs are kept; emptied at the start.
    #[arg(long, default_value = "run/bench")]
    state: PathBuf,
    #[arg(long, value_enum, default_value_t)]
    output: Form,
}

/// The form of results.
#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For a README.
    Markdown,
}

impl Bench {
    fn plan(self) -> anyhow::Result<Plan> {
        let proxy = match self.proxy {
            Some(file) => std::path::absolute(file)?,
            None => preflight::Programs::beside_this()?.file("codis-proxy"),
        };
        let baseline = self.baseline.map(std::path::absolute).transpose()?;
        let with_baseline = baseline.is_some();
        let default = |one: &Contender| match one {
            Contender::Baseline(workers) => with_baseline && *workers == 1,
            _ => true,
        };
        let contenders = match self.contenders.is_empty() {
            true => Contender::ALL.into_iter().filter(default).collect(),
            false => self.contenders,
        };
        let shapes = match self.shapes.is_empty() {
            true => SHAPES.to_vec(),
            false => self.shapes,
        };
        Ok(Plan {
            programs: Programs::find(proxy, baseline)?,
            state: self.state,
            shapes,
            contenders,
            size: match self.quick {
                true => Size::Quick,
                false => Size::Fixed {
                    rounds: self.rounds.map(usize::from),
                    requests: self.requests,
                },
            },
        })
    }
}

/// Carries the command out.
pub async fn run(command: Bench, talk: &Talk) -> anyhow::Result<ExitCode> {
    let output = command.output;
    let results = bench::run(&command.plan()?, talk).await?;
    match output {
        Form::Table => println!("{results}"),
        Form::Json => println!("{}", serde_json::to_string_pretty(&results)?),
        Form::Markdown => print!("{}", results.markdown()),
    }
    Ok(ExitCode::SUCCESS)
}
