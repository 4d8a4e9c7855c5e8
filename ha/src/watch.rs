//! The loop: read, log, judge, act.

use std::time::Duration;

use anyhow::Context as _;
use codis_core::api::Stats;
use codis_core::model::Topom;
use codis_core::time::Time;
use codis_core::xauth;
use codis_runtime::http::{self, Client, ClientError, Standard};
use codis_runtime::metrics::Metrics;
use codis_runtime::shutdown::Shutdown;
use codis_runtime::{build, telemetry};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, MissedTickBehavior};

use crate::act;
use crate::cli::Options;
use crate::judge::{Act, Judge, Judgement};
use crate::witness;

/// How long a connection to the dashboard may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long reading the figures may take.
const READ_MAX: Duration = Duration::from_secs(5);
/// How long an order may take: a promotion waits for its candidate.
const ACT_MAX: Duration = Duration::from_secs(60);

/// What is counted.
#[derive(Clone, Debug, Default)]
struct Counters {
    looks: Counter,
    looks_failed: Counter,
    acts: Counter,
    acts_failed: Counter,
}

impl Counters {
    fn register(metrics: &Metrics) -> Self {
        let counters = Self::default();
        metrics.counters([
            ("looks", "Readings of the figures", &counters.looks),
            (
                "looks_failed",
                "Readings that failed",
                &counters.looks_failed,
            ),
            ("acts", "Orders that the dashboard took", &counters.acts),
            (
                "acts_failed",
                "Orders that it did not",
                &counters.acts_failed,
            ),
        ]);
        counters
    }
}

/// Watches until it is told to stop. A dashboard that does not answer is waited for.
///
/// # Errors
/// The address to serve figures on cannot be used.
pub async fn run(options: Options, log: telemetry::Handle) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    let metrics = Metrics::new("ha");
    let counters = Counters::register(&metrics);
    if let Some(listen) = &options.listen {
        let listener = http::bind(listen).await?;
        let routes = Standard::new(metrics).log(log).routes();
        tokio::spawn(http::serve(listener, routes, shutdown.clone()));
    }
    let interval = options.interval();
    let dashboards = options.dashboard.join(",");
    let maintains = !options.no_maintains;
    tracing::info!(
        version = build::version(),
        dashboards,
        ?interval,
        maintains,
        "starting"
    );
    let mut watch = Watch {
        client: Client::new(CONNECT_MAX, READ_MAX).as_program("codis-ha"),
        judge: Judge::new(interval),
        began: Instant::now(),
        seat: None,
        next: 0,
        trouble: None,
        told: Vec::new(),
        counters,
        options,
    };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = watch.look() => {}
        }
    }
}

/// The dashboard that answered last, and the secret of its product.
#[derive(Clone, Debug)]
struct Seat {
    addr: String,
    xauth: String,
}

#[derive(Debug)]
struct Watch {
    options: Options,
    client: Client,
    judge: Judge,
    began: Instant,
    seat: Option<Seat>,
    /// Which address is tried next.
    next: usize,
    /// Why the last reading failed.
    trouble: Option<String>,
    /// The reasons against acting that were logged last.
    told: Vec<String>,
    counters: Counters,
}

impl Watch {
    fn now(&self) -> Time {
        Time::from_origin(self.began.elapsed())
    }

    /// One look, and what follows from it.
    async fn look(&mut self) {
        let (seat, stats) = match self.read().await {
            Ok(read) => read,
            Err(error) => return self.handle_silence(&error),
        };
        self.counters.looks.inc();
        if self.trouble.take().is_some() {
            tracing::info!(dashboard = seat.addr, "dashboard answers again");
        }
        let now = self.now();
        for line in self.judge.handle_stats(now, &stats) {
            tracing::info!("{line}");
        }
        let witnessed = witness::ask(self.judge.suspects(&stats)).await;
        let Judgement { act, why_not } = self.judge.decide(self.now(), &stats, &witnessed);
        self.tell(why_not);
        match act {
            None => {}
            Some(act) if self.options.no_maintains => {
                tracing::warn!(?act, "left undone: --no-maintains");
            }
            Some(act) => self.carry_out(&seat, &act).await,
        }
    }

    /// The figures, from the dashboard that answered last or from the next one of the list.
    async fn read(&mut self) -> Result<(Seat, Stats), ClientError> {
        let seat = match self.seat.take() {
            Some(seat) => seat,
            None => self.find().await?,
        };
        let path = format!("/api/topom/stats/{}", seat.xauth);
        let stats: Stats = self.client.get(&seat.addr, &path).await?;
        self.seat = Some(seat.clone());
        Ok((seat, stats))
    }

    async fn find(&mut self) -> Result<Seat, ClientError> {
        let dashboards = &self.options.dashboard;
        let addr = dashboards[self.next % dashboards.len()].clone();
        self.next += 1;
        let model: Topom = self.client.get(&addr, "/api/topom/model").await?;
        let xauth = xauth::dashboard(&model.product_name);
        Ok(Seat { addr, xauth })
    }

    fn handle_silence(&mut self, error: &ClientError) {
        self.counters.looks_failed.inc();
        self.judge.handle_silence();
        let trouble = error.to_string();
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!("dashboard not read, nothing is judged until it is: {trouble}");
        }
        self.trouble = Some(trouble);
    }

    /// Logs reasons against acting when they are new.
    fn tell(&mut self, why_not: Vec<String>) {
        for reason in why_not.iter().filter(|reason| !self.told.contains(reason)) {
            tracing::warn!("not acting: {reason}");
        }
        self.told = why_not;
    }

    async fn carry_out(&mut self, seat: &Seat, act: &Act) {
        let client = self.client.with_total_timeout(ACT_MAX);
        let done = act::carry_out(&client, &seat.addr, &seat.xauth, act).await;
        self.judge.handle_acted(self.now(), act);
        match done {
            Ok(()) => {
                self.counters.acts.inc();
                tracing::warn!(?act, "done");
            }
            Err(error) => {
                self.counters.acts_failed.inc();
                tracing::error!(?act, "refused or unanswered: {error}");
            }
        }
    }
}
