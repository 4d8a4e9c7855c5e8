//! Reports to other systems: JSON over HTTP, InfluxDB, statsd.
//!
//! Each sink has a task of its own on the control side. A sink that hangs, refuses or is gone
//! costs that task a limited time and nobody else anything; it is tried again, after longer and
//! longer pauses.

mod influx;
mod statsd;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use codis_core::json;
use codis_runtime::http::Client;

use super::Control;
use super::figures::FLAG_RUNTIME;

/// The shortest period between two reports.
const PERIOD_MIN: Duration = Duration::from_secs(1);
/// The first pause after a failed report, and the longest one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long one report may take.
const REPORT_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Where reports go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Json,
    Influx,
    Statsd,
}

impl Sink {
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Influx => "influxdb",
            Self::Statsd => "statsd",
        }
    }
}

/// Starts a task for each sink that the settings name. They end with the process.
pub fn start(control: &Arc<Control>) {
    let settings = control.settings();
    let sinks = [
        (
            Sink::Json,
            &settings.metrics_report_server,
            settings.metrics_report_period,
        ),
        (
            Sink::Influx,
            &settings.metrics_report_influxdb_server,
            settings.metrics_report_influxdb_period,
        ),
        (
            Sink::Statsd,
            &settings.metrics_report_statsd_server,
            settings.metrics_report_statsd_period,
        ),
    ];
    for (sink, server, period) in sinks {
        if !server.is_empty() {
            let reporting = report(control.clone(), sink, period.duration());
            tokio::spawn(reporting);
        }
    }
}

async fn report(control: Arc<Control>, sink: Sink, period: Duration) {
    let client = Client::new(CONNECT_MAX, REPORT_MAX);
    let mut pace = Pace::new(period);
    let ending = control.shutdown.clone();
    let reporting = async {
        loop {
            let sent = tokio::time::timeout(REPORT_MAX, send(&control, sink, &client)).await;
            let sent = sent.unwrap_or_else(|_| Err(format!("not done within {REPORT_MAX:?}")));
            tell(sink, &sent, pace.failures);
            tokio::time::sleep(pace.after(sent.is_ok())).await;
        }
    };
    tokio::select! {
        () = ending.requested() => {}
        () = reporting => {}
    }
}

/// The first failure and the end of failures are news, what is between them is not.
fn tell(sink: Sink, sent: &Result<(), String>, failures: u32) {
    let sink = sink.name();
    match sent {
        Ok(()) if failures > 0 => tracing::info!(sink, failures, "metrics reports arrive again"),
        Ok(()) => {}
        Err(reason) if failures == 0 => tracing::warn!(sink, reason, "metrics report failed"),
        Err(reason) => tracing::debug!(sink, reason, failures, "metrics report failed again"),
    }
}

async fn send(control: &Control, sink: Sink, client: &Client) -> Result<(), String> {
    match sink {
        Sink::Json => send_json(control, client).await,
        Sink::Influx => influx::send(control, client).await,
        Sink::Statsd => statsd::send(control).await,
    }
}

/// The overview without commands and slots.
async fn send_json(control: &Control, client: &Client) -> Result<(), String> {
    let mut overview = control.overview();
    overview.stats = control.stats(FLAG_RUNTIME);
    overview.slots.clear();
    let server = &control.settings().metrics_report_server;
    let body = json::encode(&overview).into();
    let answer = client.post(server, "application/json", None, body).await;
    match answer {
        Ok((200, _)) => Ok(()),
        Ok((status, text)) => Err(format!("status {status}: {}", text.trim())),
        Err(error) => Err(error.to_string()),
    }
}

/// When the next report is due.
#[derive(Debug)]
struct Pace {
    period: Duration,
    pause: Duration,
    /// Failed reports in a row.
    failures: u32,
}

impl Pace {
    fn new(period: Duration) -> Self {
        Self {
            period: period.max(PERIOD_MIN),
            pause: PAUSE_MIN,
            failures: 0,
        }
    }

    /// How long to wait after a report that arrived, or did not.
    fn after(&mut self, arrived: bool) -> Duration {
        if arrived {
            self.pause = PAUSE_MIN;
            self.failures = 0;
            return self.period;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_pause_for_longer_and_longer() {
        let mut pace = Pace::new(Duration::from_millis(10));
        let mut wait = |arrived| pace.after(arrived).as_secs();
        assert_eq!(wait(true), 1, "no period is shorter");
        let waits: Vec<u64> = (0..6).map(|_| wait(false)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
        assert_eq!((wait(true), wait(false)), (1, 1));
        assert_eq!(Pace::new(Duration::from_secs(7)).after(true).as_secs(), 7);
    }
}
