//! The task of one proxy: drives its row and makes the calls.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::api::Slot;
use codis_core::model::Proxy;
use codis_core::time::Time;
use codis_topom::Cluster;
use codis_topom::form::Viewer;
use codis_topom::row::{Effect, Row, Status};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::metrics::Counters;
use crate::proxies::ProxyApi;
use crate::state::View;

/// How long a name may take to resolve.
const RESOLVE_MAX: Duration = Duration::from_millis(50);
/// How long a resolved name is believed.
const RESOLVED_FOR: Duration = Duration::from_secs(60);

/// What others ask of a row.
#[derive(Debug)]
pub enum Command {
    /// Send these slots again, or all.
    Refill {
        /// The slots; all without a list.
        slots: Option<Vec<u16>>,
        /// Told once the row's status says that the slots are lacking.
        taken: oneshot::Sender<()>,
    },
    /// Somebody waits: try again at once.
    Nudge,
}

/// What came of a call.
enum Answer {
    Seen(u64, Vec<Slot>),
    Filled(u64),
    Failed(u64, String),
}

type Call = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// All that the task needs.
pub(super) struct Task {
    pub api: ProxyApi,
    pub proxy: Proxy,
    pub forward_method: u8,
    pub views: watch::Receiver<View>,
    pub open: watch::Receiver<bool>,
    pub counters: Counters,
    pub publish: watch::Sender<Status>,
    pub changed: Arc<watch::Sender<u64>>,
}

impl Task {
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let origin = Instant::now();
        let now = || Time::from_origin(origin.elapsed());
        let seed = u64::from(self.proxy.pid) ^ u64::from(self.proxy.id) << 32;
        let mut names = Names::default();
        let mut row = Row::new(now(), *self.open.borrow_and_update(), seed);
        let mut call: Option<Call> = None;
        self.want(&mut row, &mut names).await;
        loop {
            while call.is_none()
                && let Some(effect) = row.poll_effect(now())
            {
                call = Some(self.call(effect));
            }
            self.tell(&row);
            let timeout = row.poll_timeout().map(|at| origin + at.since_origin());
            tokio::select! {
                changed = self.views.changed() => match changed {
                    Ok(()) => self.want(&mut row, &mut names).await,
                    Err(_) => return,
                },
                command = inbox.recv() => match command {
                    Some(Command::Refill { slots, taken }) => {
                        row.handle_refill(now(), slots.as_deref());
                        self.tell(&row);
                        let _ = taken.send(());
                    }
                    Some(Command::Nudge) => row.handle_nudge(),
                    None => return,
                },
                Ok(()) = self.open.changed(), if !row.is_open() => {
                    if *self.open.borrow_and_update() {
                        row.handle_open();
                    }
                }
                answer = finish(&mut call) => {
                    call = None;
                    self.handle(&mut row, now(), answer);
                }
                () = sleep_until(timeout) => {}
            }
        }
    }

    async fn want(&mut self, row: &mut Row, names: &mut Names) {
        let view = self.views.borrow_and_update().clone();
        let viewer = names.viewer(&self.proxy, &view.cluster).await;
        let slots = super::wanted(&view.cluster, self.forward_method, &viewer);
        row.handle_wanted(view.revision, slots);
    }

    fn call(&self, effect: Effect) -> Call {
        let (api, proxy) = (self.api.clone(), self.proxy.clone());
        Box::pin(async move {
            match effect {
                Effect::Look { id } => match api.slots(&proxy).await {
                    Ok(slots) => Answer::Seen(id, slots),
                    Err(error) => Answer::Failed(id, error.to_string()),
                },
                Effect::Fill { id, slots } => match api.fill(&proxy, &slots).await {
                    Ok(()) => Answer::Filled(id),
                    Err(error) => Answer::Failed(id, error.to_string()),
                },
            }
        })
    }

    fn handle(&self, row: &mut Row, now: Time, answer: Answer) {
        let token = &self.proxy.token;
        let failing = row.status().failing.is_some();
        match answer {
            Answer::Seen(id, slots) => row.handle_seen(now, id, slots),
            Answer::Filled(id) => {
                self.counters.fills.inc();
                row.handle_filled(now, id);
            }
            Answer::Failed(id, reason) => {
                self.counters.fills_failed.inc();
                if !failing {
                    tracing::warn!(
                        proxy = token,
                        addr = self.proxy.admin_addr,
                        reason,
                        "proxy not filled"
                    );
                }
                row.handle_failure(now, id, reason);
            }
        }
        if failing && row.status().failing.is_none() {
            tracing::info!(proxy = token, "proxy answers again");
        }
    }

    fn tell(&self, row: &Row) {
        let changed = self.publish.send_if_modified(|status| {
            let changed = status != row.status();
            if changed {
                status.clone_from(row.status());
            }
            changed
        });
        if changed {
            self.changed.send_modify(|version| *version += 1);
        }
    }
}

async fn finish(call: &mut Option<Call>) -> Answer {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Host names that were resolved.
#[derive(Default)]
struct Names {
    known: BTreeMap<String, (Option<IpAddr>, Option<Instant>)>,
}

impl Names {
    /// From where the proxy sees the servers. Names are looked up only when replicas are read.
    async fn viewer(&mut self, proxy: &Proxy, cluster: &Cluster) -> Viewer {
        let mut viewer = Viewer {
            datacenter: proxy.datacenter.clone(),
            ..Viewer::default()
        };
        let read: Vec<Addr> = cluster
            .groups()
            .flat_map(|group| &group.servers)
            .filter(|server| server.replica_group)
            .filter_map(|server| server.addr.parse().ok())
            .collect();
        if read.is_empty() {
            return viewer;
        }
        if let Ok(admin) = proxy.admin_addr.parse::<Addr>() {
            viewer.ip = self.resolve(&admin).await;
        }
        for addr in read
            .iter()
            .filter(|addr| addr.host().parse::<IpAddr>().is_err())
        {
            if let Some(ip) = self.resolve(addr).await {
                viewer.resolved.insert(addr.host().to_owned(), ip);
            }
        }
        viewer
    }

    async fn resolve(&mut self, addr: &Addr) -> Option<IpAddr> {
        if let Ok(ip) = addr.host().parse() {
            return Some(ip);
        }
        if let Some((ip, Some(until))) = self.known.get(addr.host())
            && *until > Instant::now()
        {
            return *ip;
        }
        let found = tokio::time::timeout(
            RESOLVE_MAX,
            tokio::net::lookup_host((addr.host(), addr.port())),
        );
        let ip = found
            .await
            .ok()
            .and_then(Result::ok)
            .and_then(|mut all| all.next())
            .map(|a| a.ip());
        let until = Instant::now() + RESOLVED_FOR;
        self.known.insert(addr.host().to_owned(), (ip, Some(until)));
        ip
    }
}
