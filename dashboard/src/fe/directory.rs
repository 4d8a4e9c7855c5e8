//! Which products there are, and where their dashboards listen.
//!
//! The table is read again when it is older than [`FRESH`], when somebody asks for a name that is
//! not in it, and when a dashboard did not take a connection where the table says it is. One read
//! runs at a time, in a task of its own: whoever waits for it gives up after `WAIT_MAX` and takes
//! the table that there is, so a coordinator that hangs delays nobody for long.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use codis_core::model::Topom;
use codis_core::{json, paths};
use codis_runtime::coordinator::Shared;
use serde::Deserialize;
use tokio::sync::watch;

use super::serve::Counters;

/// How old a table may be used as it is.
pub const FRESH: Duration = Duration::from_secs(5);
/// The pause between two reads for names that are not there: they cost the coordinator no more.
const MISS_PAUSE: Duration = Duration::from_millis(200);
/// How long a caller waits for a read.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Where the products are listed.
#[derive(Clone)]
pub enum Source {
    /// A file in the form that `codis-admin --dashboard-list` prints.
    File(PathBuf),
    /// A coordinator.
    Store {
        /// The coordinator.
        store: Shared,
        /// Its kind and addresses, for the log.
        shown: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Store { shown, .. } => f.write_str(shown),
        }
    }
}

/// An entry of the file.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    #[serde(default)]
    dashboard: String,
}

/// Products by name, with the addresses of their dashboards: empty while there is none.
type Dashboards = BTreeMap<String, String>;

#[derive(Default)]
struct Table {
    dashboards: Arc<Dashboards>,
    /// When the read that gave the table began.
    read_at: Option<Instant>,
    /// When the last read began, whatever became of it.
    tried_at: Option<Instant>,
    /// Why the last read failed.
    trouble: Option<String>,
    /// The read under way: when it began, and what tells of its end.
    reading: Option<(Instant, watch::Receiver<()>)>,
}

/// The table of products.
pub struct Directory {
    source: Source,
    counters: Counters,
    table: Mutex<Table>,
}

impl Directory {
    /// A table that nothing was read into yet.
    pub fn new(source: Source, counters: Counters) -> Self {
        Self {
            source,
            counters,
            table: Mutex::default(),
        }
    }

    /// All products, sorted.
    pub async fn names(self: &Arc<Self>) -> Vec<String> {
        if self.age().is_none_or(|age| age >= FRESH) {
            self.refresh().await;
        }
        self.table().dashboards.keys().cloned().collect()
    }

    /// The address of a product's dashboard, empty when it has none; `None` for no such product.
    pub async fn find(self: &Arc<Self>, name: &str) -> Option<String> {
        let known = |directory: &Self| directory.table().dashboards.get(name).cloned();
        let found = known(self).filter(|addr| !addr.is_empty());
        match self.age() {
            Some(age) if age < FRESH && found.is_some() => return found,
            _ => self.refresh_soon().await,
        }
        known(self)
    }

    /// The address that the source names now, after a dashboard was not where the table says.
    pub async fn find_again(self: &Arc<Self>, name: &str) -> Option<String> {
        self.refresh_soon().await;
        self.table().dashboards.get(name).cloned()
    }

    /// Whether the table was ever read, or why not.
    ///
    /// # Errors
    /// It was not.
    pub fn readiness(&self) -> Result<(), String> {
        let table = self.table();
        if table.read_at.is_some() {
            return Ok(());
        }
        let why = table.trouble.as_deref().unwrap_or("not read yet");
        Err(format!("the list of products: {why}"))
    }

    /// Reads the table, after a pause when that was done a moment ago.
    async fn refresh_soon(self: &Arc<Self>) {
        let tried = self.table().tried_at;
        let left = tried.map_or(Duration::ZERO, |at| MISS_PAUSE.saturating_sub(at.elapsed()));
        tokio::time::sleep(left).await;
        self.refresh().await;
    }

    /// Reads the table, or waits for the read under way; in any case no longer than `WAIT_MAX`
    /// from when the read began, so that only its first callers wait for one that hangs.
    pub async fn refresh(self: &Arc<Self>) {
        let (began, mut reading) = self.reading();
        let left = WAIT_MAX.saturating_sub(began.elapsed());
        // The sender goes when the read ends, one way or the other.
        let ended = async { while reading.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(left, ended).await;
    }

    /// The read under way and when it began, started if there was none.
    fn reading(self: &Arc<Self>) -> (Instant, watch::Receiver<()>) {
        let mut table = self.table();
        if let Some(reading) = &table.reading {
            return reading.clone();
        }
        let (end, ended) = watch::channel(());
        let began = Instant::now();
        let reading = (began, ended);
        table.reading = Some(reading.clone());
        table.tried_at = Some(began);
        drop(table);
        let directory = self.clone();
        tokio::spawn(async move {
            let read = read(&directory.source, &directory.dashboards()).await;
            directory.handle_read(began, read);
            drop(end);
        });
        reading
    }

    fn handle_read(&self, began: Instant, read: anyhow::Result<Dashboards>) {
        let mut table = self.table();
        table.reading = None;
        match read {
            Ok(dashboards) => {
                if table.trouble.take().is_some() {
                    tracing::info!(products = %self.source, "list of products is read again");
                }
                table.dashboards = Arc::new(dashboards);
                table.read_at = Some(began);
                self.counters.list_reads.inc();
            }
            Err(error) => {
                let trouble = format!("{error:#}");
                // It is tried every few seconds: once is enough.
                if table.trouble.as_ref() != Some(&trouble) {
                    let kept = table.dashboards.len();
                    tracing::warn!(
                        kept,
                        "list of products not read, the last one stays: {trouble}"
                    );
                }
                table.trouble = Some(trouble);
                self.counters.list_reads_failed.inc();
            }
        }
    }

    fn dashboards(&self) -> Arc<Dashboards> {
        self.table().dashboards.clone()
    }

    fn age(&self) -> Option<Duration> {
        Some(self.table().read_at?.elapsed())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

async fn read(source: &Source, last: &Dashboards) -> anyhow::Result<Dashboards> {
    match source {
        Source::File(file) => {
            let text = tokio::fs::read(file).await;
            let text = text.with_context(|| format!("read {}", file.display()))?;
            parse(&text).with_context(|| format!("read {}", file.display()))
        }
        Source::Store { store, .. } => of_store(store, last).await,
    }
}

fn parse(text: &[u8]) -> anyhow::Result<Dashboards> {
    let rows: Vec<Row> = json::decode(text)
        .context("expected what `codis-admin --dashboard-list` prints: [{name, dashboard}]")?;
    let mut dashboards = Dashboards::new();
    for Row { name, dashboard } in rows {
        let twice = dashboards.insert(name.clone(), dashboard).is_some();
        anyhow::ensure!(
            !twice,
            "product {name} is there twice: remove one of the entries"
        );
    }
    Ok(dashboards)
}

/// A record that cannot be decoded keeps the address known so far: one broken product takes
/// nothing from the others.
async fn of_store(store: &Shared, last: &Dashboards) -> anyhow::Result<Dashboards> {
    let mut dashboards = Dashboards::new();
    for path in store.list(paths::ROOT).await? {
        let name = path.rsplit('/').next().unwrap_or_default();
        if paths::check_product_name(name).is_err() {
            continue;
        }
        let record = store.read(&paths::topom(name)).await?;
        let addr = match record.as_deref().map(json::decode::<Topom>) {
            None => String::new(),
            Some(Ok(topom)) => topom.admin_addr,
            Some(Err(error)) => {
                tracing::warn!(product = name, %error, "record of the dashboard is no record");
                last.get(name).cloned().unwrap_or_default()
            }
        };
        dashboards.insert(name.to_owned(), addr);
    }
    Ok(dashboards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_form_of_dashboard_list() {
        let text = br#"[{"name": "b", "dashboard": "h:1"}, {"Name": "a", "more": 1}]"#;
        let dashboards = parse(text).unwrap();
        let rows: Vec<_> = dashboards.iter().collect();
        assert_eq!(format!("{rows:?}"), r#"[("a", ""), ("b", "h:1")]"#);
        for bad in [
            &b""[..],
            b"{}",
            br#"[{"dashboard": "h:1"}]"#,
            br#"[{"name": "a"}, {"name": "a"}]"#,
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
