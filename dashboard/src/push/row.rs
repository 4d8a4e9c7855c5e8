//! The task of one proxy: drives its row and makes the calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use codis_core::api::{Slot, slots_digest};
use codis_core::model::Proxy;
use codis_core::time::Time;
use codis_runtime::http::ClientError;
use codis_topom::forms::{Forms, Wanted};
use codis_topom::row::{Effect, Row, Status};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::names::Names;
use super::peerage::Pulse;
use crate::metrics::Counters;
use crate::proxies::ProxyApi;
use crate::state::View;

/// A row that others look at and push on. It is locked for a moment, never across a wait.
#[derive(Debug)]
pub(super) struct Shared {
    row: Mutex<Row>,
    origin: Instant,
    wake: Notify,
}

impl Shared {
    pub fn new(open: bool, seed: u64) -> Self {
        Self {
            row: Mutex::new(Row::new(Time::ZERO, open, seed)),
            origin: Instant::now(),
            wake: Notify::new(),
        }
    }

    /// Whether the proxy is known to hold these slots as `revision` wants them.
    pub fn holds(&self, slots: &[u16], revision: u64) -> bool {
        self.row().holds(slots, revision)
    }

    pub fn status(&self) -> Status {
        self.row().status().clone()
    }

    /// Sends these slots, or all, again.
    pub fn refill(&self, slots: Option<&[u16]>) {
        self.row().handle_refill(self.now(), slots);
        self.wake.notify_one();
    }

    /// The proxy is one of ours.
    pub fn is_ours(&self) {
        if self.row().handle_ours(self.now()) {
            self.wake.notify_one();
        }
    }

    /// Somebody waits: it tries again at once.
    pub fn nudge(&self) {
        self.row().handle_nudge(self.now());
        self.wake.notify_one();
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        Time::from_origin(self.origin.elapsed())
    }
}

/// What came of a call.
enum Answer {
    Seen(Vec<Slot>),
    /// The proxy holds what it should.
    Same,
    Filled,
    Failed(ClientError),
}

/// A call that has ended.
struct Ended {
    id: u64,
    answer: Answer,
    /// The proxy knows digests.
    digests: bool,
}

/// All that the task needs.
pub(super) struct Task {
    pub api: ProxyApi,
    pub proxy: Proxy,
    pub forms: Arc<Mutex<Forms>>,
    pub views: watch::Receiver<View>,
    pub open: watch::Receiver<bool>,
    pub counters: Counters,
    pub shared: Arc<Shared>,
    pub pulse: Arc<Pulse>,
    pub changed: Arc<watch::Sender<u64>>,
    pub digests: bool,
}

impl Task {
    pub async fn run(mut self) {
        let mut names = Names::default();
        let mut calls: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
        let shared = self.shared.clone();
        let mut told = Status::default();
        if *self.open.borrow_and_update() {
            shared.row().handle_open();
        }
        self.want(&mut names).await;
        loop {
            while let Some((effect, expected)) = self.next() {
                calls.push(self.call(effect, expected));
            }
            self.tell(&mut told);
            let timeout = shared.row().poll_timeout();
            let timeout = timeout.map(|at| shared.origin + at.since_origin());
            let open = shared.row().is_open();
            tokio::select! {
                changed = self.views.changed() => match changed {
                    Ok(()) => self.want(&mut names).await,
                    Err(_) => return,
                },
                () = shared.wake.notified() => {}
                Ok(()) = self.open.changed(), if !open => {
                    if *self.open.borrow_and_update() {
                        shared.row().handle_open();
                    }
                }
                Some(ended) = calls.next() => self.handle(ended),
                () = sleep_until(timeout) => {}
            }
        }
    }

    async fn want(&mut self, names: &mut Names) {
        let cluster = self.views.borrow_and_update().cluster.clone();
        let viewer = names.viewer(&self.proxy, &cluster).await;
        // The newest view: rows that go back and forth would compute the forms of both.
        let view = self.views.borrow().clone();
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = forms.of(view.revision, &view.cluster, &viewer);
        drop(forms);
        self.shared.row().handle_wanted(view.revision, wanted);
    }

    /// The next effect, and what a look should find.
    fn next(&self) -> Option<(Effect, Option<Wanted>)> {
        let mut row = self.shared.row();
        let effect = row.poll_effect(self.shared.now())?;
        let expected = row.expected().filter(|_| self.digests).cloned();
        Some((effect, expected))
    }

    fn call(&self, effect: Effect, expected: Option<Wanted>) -> BoxFuture<'static, Ended> {
        let (api, proxy, forms) = (self.api.clone(), self.proxy.clone(), self.forms.clone());
        Box::pin(async move {
            let mut digests = true;
            let (id, answer) = match effect {
                Effect::Fill { id, slots } => {
                    let slots: Vec<&Slot> = slots.iter().map(|slot| &**slot).collect();
                    (id, api.fill(&proxy, &slots).await.map(|()| Answer::Filled))
                }
                Effect::Look { id } => {
                    let seen = async {
                        if let Some(wanted) = expected {
                            match api.slots_digest(&proxy).await {
                                Ok(digest) if digest == digest_of(&forms, &wanted) => {
                                    return Ok(Answer::Same);
                                }
                                Ok(_) => {}
                                Err(error) if error.is_answer() => digests = false,
                                Err(error) => return Err(error),
                            }
                        }
                        api.slots(&proxy).await.map(Answer::Seen)
                    };
                    (id, seen.await)
                }
            };
            Ended {
                id,
                answer: answer.unwrap_or_else(Answer::Failed),
                digests,
            }
        })
    }

    fn handle(&mut self, ended: Ended) {
        let Ended { id, answer, .. } = ended;
        self.digests &= ended.digests;
        let now = self.shared.now();
        let token = &self.proxy.token;
        let mut row = self.shared.row();
        let failing = row.status().failing.is_some();
        match answer {
            Answer::Failed(error) => {
                self.pulse.handle_failure(&error);
                self.counters.fills_failed.inc();
                let reason = error.to_string();
                if !failing {
                    let addr = &self.proxy.admin_addr;
                    tracing::warn!(proxy = token, addr, reason, "proxy not filled");
                }
                return row.handle_failure(now, id, reason);
            }
            Answer::Seen(slots) => row.handle_seen(now, id, slots),
            Answer::Same => row.handle_unchanged(now, id),
            Answer::Filled => {
                self.counters.fills.inc();
                row.handle_filled(now, id);
            }
        }
        self.pulse.handle_answer();
        if failing {
            tracing::info!(proxy = token, "proxy answers again");
        }
    }

    fn tell(&self, told: &mut Status) {
        let row = self.shared.row();
        if row.status() != told {
            told.clone_from(row.status());
            drop(row);
            self.changed.send_modify(|version| *version += 1);
        }
    }
}

fn digest_of(forms: &Mutex<Forms>, wanted: &Wanted) -> String {
    let known = |forms: &Mutex<Forms>| {
        let forms = forms.lock().unwrap_or_else(PoisonError::into_inner);
        forms.digest_of(wanted)
    };
    known(forms).unwrap_or_else(|| {
        let digest = slots_digest(wanted.iter().map(|slot| &**slot));
        let mut forms = forms.lock().unwrap_or_else(PoisonError::into_inner);
        forms.keep_digest(wanted, &digest);
        digest
    })
}

pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
