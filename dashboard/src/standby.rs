//! A dashboard that does not lead: it knows who does, asks that one, and keeps a copy of the
//! records for the time when nobody answers.

mod proof;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};
use codis_core::api::{
    GroupSection, Overview, ProxySection, SentinelSection, SlotActionSection, Stats,
};
use codis_core::ha::Term;
use codis_core::model::Topom;
use codis_runtime::build;
use codis_runtime::http::forward::{ForwardError, Forwarder, Hop};
use codis_runtime::http::{self, ApiError, json};
use codis_topom::{Cluster, form};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::config::Settings;
use crate::metrics::{Forwarded, Forwards};
use crate::store::Store;
use proof::Proof;

/// Where any dashboard of ours says who leads.
pub const LEADER_PATH: &str = "/topom/leader";
/// Says that a dashboard passed the call on, so that the next one does not.
pub const FORWARDED: HeaderName = HeaderName::from_static("x-codis-forwarded");
/// How old an answer is that a standby gives from its own records, in seconds.
pub const STALE: HeaderName = HeaderName::from_static(http::STALE);

/// How long a connection to the leader may take to open.
const DIAL_MAX: Duration = Duration::from_millis(500);
/// How long the leader may take to answer a call that the standby can answer itself.
const READ_MAX: Duration = Duration::from_millis(500);
/// How long it may take for the rest of that answer.
const READ_BODY_MAX: Duration = Duration::from_secs(2);
/// How long it may take to carry out any other call: more than any call of ours takes.
const CALL_MAX: Duration = Duration::from_secs(120);
/// How often the records are read.
const READ_EVERY: Duration = Duration::from_secs(5);
/// The largest answer that is kept in memory on its way.
const BODY_BYTES_MAX: usize = codis_runtime::http::RESPONSE_BYTES_MAX;

/// What a dashboard knows about who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Who {
    /// Whether this one does.
    pub leading: bool,
    /// The address of the one that does, as far as is known.
    pub leader: Option<String>,
    /// The term, of the one that leads.
    pub term: Option<Term>,
    /// How long the lease lasts unless it is renewed, of the one that leads.
    pub lease_left_ms: Option<u64>,
    /// How old the records are from which a standby answers when nobody else does.
    pub records_age_ms: Option<u64>,
}

/// Who leads, and since when that is so.
#[derive(Clone, Debug)]
struct Known {
    leader: Option<String>,
    since: Instant,
}

#[derive(Clone, Debug)]
struct Records {
    cluster: Arc<Cluster>,
    read: Instant,
}

/// What a dashboard needs while it does not lead.
#[derive(Debug)]
pub struct Standby {
    settings: Settings,
    model: Topom,
    store: Store,
    forwarder: Forwarder,
    forwards: Forwards,
    known: watch::Sender<Known>,
    proof: Proof,
    records: Mutex<Option<Records>>,
    due: Notify,
}

impl Standby {
    /// A standby that knows nothing yet.
    pub fn new(settings: Settings, model: Topom, store: Store, forwards: Forwards) -> Self {
        let known = Known {
            leader: None,
            since: Instant::now(),
        };
        Self {
            settings,
            model,
            store,
            forwarder: Forwarder::new(DIAL_MAX),
            forwards,
            known: watch::Sender::new(known),
            proof: Proof::new(),
            records: Mutex::new(None),
            due: Notify::new(),
        }
    }

    /// Says who leads, or that nobody does. A record with this one's own address was left behind
    /// by an earlier process.
    pub fn hear(&self, leader: Option<String>) {
        let leader = leader.filter(|addr| *addr != self.model.admin_addr);
        self.known.send_if_modified(|known| {
            let changed = known.leader != leader;
            if changed {
                let since = Instant::now();
                *known = Known { leader, since };
            }
            changed
        });
    }

    /// Reads the records again and again, for as long as `leads` says that somebody else leads.
    pub async fn keep_reading(&self, mut leads: watch::Receiver<bool>) {
        loop {
            if leads.wait_for(|leads| !leads).await.is_err() {
                return;
            }
            match tokio::time::timeout(READ_EVERY, self.store.load()).await {
                Ok(Ok(records)) => {
                    let records = Records {
                        cluster: Arc::new(Cluster::load(records)),
                        read: Instant::now(),
                    };
                    *self.lock() = Some(records);
                }
                Ok(Err(error)) => tracing::debug!(cause = error.cause, "{error}"),
                Err(_) => tracing::debug!("records not read in time"),
            }
            tokio::select! {
                () = tokio::time::sleep(READ_EVERY) => {}
                () = self.due.notified() => {}
            }
        }
    }

    /// Asks the leader whether it leads, again and again, for as long as `leads` says that it is
    /// somebody else.
    pub async fn keep_asking(&self, mut leads: watch::Receiver<bool>) {
        let mut known = self.known.subscribe();
        loop {
            if leads.wait_for(|leads| !leads).await.is_err() {
                return;
            }
            let leader = known.borrow_and_update().leader.clone();
            if let Some(leader) = leader {
                self.proof.ask(&leader).await;
            }
            // Another leader is asked at once.
            let _ = tokio::time::timeout(proof::ASK_EVERY, known.changed()).await;
        }
    }

    /// Makes [`Standby::keep_reading`] read at once.
    pub fn read_now(&self) {
        self.due.notify_one();
    }

    /// Whether a call would reach somebody who leads.
    ///
    /// # Errors
    /// Why not.
    pub fn readiness(&self) -> Result<(), String> {
        match &self.known.borrow().leader {
            Some(leader) => self.proof.check(leader),
            None => Err(self.nobody()),
        }
    }

    /// Who leads.
    pub fn who(&self) -> Who {
        let age = self.lock().as_ref().map(|records| millis(records.read));
        Who {
            leading: false,
            leader: self.known.borrow().leader.clone(),
            records_age_ms: age,
            ..Who::default()
        }
    }

    /// Answers a call: by the leader, or from the own records.
    pub async fn answer(&self, request: Request) -> Response {
        let leader = self.known.borrow().leader.clone();
        let Some(leader) = leader else {
            let own = self.own(request.method(), request.uri().path());
            return own.unwrap_or_else(|| ApiError::new(self.nobody()).into_response());
        };
        if request.headers().contains_key(FORWARDED) {
            let text = format!(
                "topom is not online: another dashboard took this one for the leader, which is \
                 {leader} as far as is known here; call again"
            );
            return ApiError::new(text).into_response();
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let begun = Instant::now();
        let (response, outcome) = if view(&method, &path).is_some() {
            match tokio::time::timeout(READ_BODY_MAX, self.read(&leader, request)).await {
                Ok(Some(response)) => (response, Forwarded::Answered),
                Ok(None) | Err(_) => match self.own(&method, &path) {
                    Some(own) => (own, Forwarded::OwnRecords),
                    None => (silent(&leader).into_response(), Forwarded::Unknown),
                },
            }
        } else {
            self.pass_on(&leader, request).await
        };
        self.forwards.count(outcome, begun.elapsed());
        response
    }

    /// Asks the leader for what this one could answer too; nothing when it does not answer soon.
    async fn read(&self, leader: &str, request: Request) -> Option<Response> {
        let hop = hop();
        let asked = self.forwarder.forward(leader, request, &hop);
        let answered = tokio::time::timeout(READ_MAX, asked).await.ok()?.ok()?;
        // The other side does not lead either: its answer is no better than the own one.
        if answered.status().as_u16() == codis_core::api::STATUS_ERROR {
            return None;
        }
        let (head, body) = answered.into_parts();
        let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.ok()?;
        Some(Response::from_parts(head, Body::from(body)))
    }

    /// Has the leader carry a call out. It ends early when another one leads meanwhile.
    async fn pass_on(&self, leader: &str, request: Request) -> (Response, Forwarded) {
        let mut known = self.known.subscribe();
        let moved = known.wait_for(|known| known.leader.as_deref() != Some(leader));
        let hop = hop();
        let answered = tokio::select! {
            answered = self.forwarder.forward(leader, request, &hop) => answered,
            _ = moved => {
                let text = format!(
                    "the dashboard at {leader} stopped leading before it answered: the call may or \
                     may not have been carried out, look before you call again"
                );
                return (ApiError::new(text).into_response(), Forwarded::Unknown);
            }
            () = tokio::time::sleep(CALL_MAX) => {
                let text = format!(
                    "no answer of the leader at {leader} within {} s: the call may or may not have \
                     been carried out",
                    CALL_MAX.as_secs()
                );
                return (ApiError::new(text).into_response(), Forwarded::Unknown);
            }
        };
        match answered {
            Ok(response) => (response, Forwarded::Answered),
            Err(error) => {
                let outcome = if error.is_unsent() {
                    Forwarded::NotSent
                } else {
                    Forwarded::Unknown
                };
                (unreached(&error, leader).into_response(), outcome)
            }
        }
    }

    /// An answer from the own records, if it is one of those that they can give.
    fn own(&self, method: &Method, path: &str) -> Option<Response> {
        let (view, xauth) = view(method, path)?;
        let known = codis_core::xauth::dashboard(&self.model.product_name);
        if xauth.is_some_and(|xauth| xauth != known) {
            return Some(ApiError::from(crate::api::wrong_xauth()).into_response());
        }
        let records = self.lock().clone()?;
        let cluster = &records.cluster;
        let mut response = match view {
            View::Overview => json(&self.overview(cluster)),
            View::Stats => json(&stats(cluster)),
            View::Slots => {
                let method = self.settings.migration_method.forward_method();
                json(&form::all(cluster, method, None))
            }
        };
        let age = records.read.elapsed().as_secs();
        response.headers_mut().insert(STALE, HeaderValue::from(age));
        let text = format!("no dashboard that leads answers: this was read {age} s ago");
        if let Ok(text) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(http::WARNING, text);
        }
        Some(response)
    }

    fn overview(&self, cluster: &Cluster) -> Overview {
        Overview {
            version: build::version(),
            compile: build::compile(),
            config: self.settings.shown(),
            model: self.model.clone(),
            stats: stats(cluster),
        }
    }

    fn nobody(&self) -> String {
        let since = self.known.borrow().since.elapsed().as_secs();
        format!("topom is not online, no leader since {since} s")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Records>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What can be answered from records alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Overview,
    Stats,
    Slots,
}

/// The view that a call asks for, and the secret in it where there is one.
fn view<'a>(method: &Method, path: &'a str) -> Option<(View, Option<&'a str>)> {
    if *method != Method::GET {
        return None;
    }
    match path {
        "/topom" => return Some((View::Overview, None)),
        "/topom/stats" => return Some((View::Stats, None)),
        "/topom/slots" => return Some((View::Slots, None)),
        _ => {}
    }
    let (call, xauth) = path.strip_prefix("/api/topom/")?.split_once('/')?;
    match call {
        "stats" => Some((View::Stats, Some(xauth))),
        "slots" if !xauth.contains('/') => Some((View::Slots, Some(xauth))),
        _ => None,
    }
}

/// Statistics without a single figure: a standby watches nobody.
fn stats(cluster: &Cluster) -> Stats {
    let mut proxies: Vec<_> = cluster.proxies().cloned().collect();
    proxies.sort_by_key(|proxy| proxy.id);
    Stats {
        closed: false,
        slots: cluster.slots().to_vec(),
        group: GroupSection {
            models: cluster.groups().cloned().collect(),
            ..GroupSection::default()
        },
        proxy: ProxySection {
            models: proxies,
            ..ProxySection::default()
        },
        slot_action: SlotActionSection::default(),
        sentinels: SentinelSection {
            model: cluster.sentinel().clone(),
            ..SentinelSection::default()
        },
    }
}

fn hop() -> Hop {
    let mut headers = HeaderMap::new();
    headers.insert(FORWARDED, HeaderValue::from_static("1"));
    Hop {
        headers,
        ..Hop::default()
    }
}

fn silent(leader: &str) -> ApiError {
    ApiError::new(format!(
        "topom is not online: the leader at {leader} does not answer, and the records could not be \
         read here; a standby takes over when its lease ends"
    ))
}

fn unreached(error: &ForwardError, leader: &str) -> ApiError {
    if error.is_unsent() {
        return ApiError::new(format!(
            "topom is not online: the leader at {leader} is not reached ({error}), nothing was \
             done; a standby takes over when its lease ends, call again then"
        ));
    }
    ApiError::new(format!(
        "the leader at {leader} went away before it answered ({error}): the call may or may not \
         have been carried out, look before you call again"
    ))
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reads_of_records_are_answered_without_a_leader() {
        let asked = |path| view(&Method::GET, path);
        assert_eq!(asked("/topom"), Some((View::Overview, None)));
        assert_eq!(asked("/api/topom/slots/x"), Some((View::Slots, Some("x"))));
        assert_eq!(asked("/api/topom/stats/x"), Some((View::Stats, Some("x"))));
        for other in [
            "/api/topom/slots/assign/x",
            "/api/topom/group/info/a",
            "/api/topom/slots",
            "/topom/model",
        ] {
            assert_eq!(asked(other), None, "{other}");
        }
        assert_eq!(view(&Method::PUT, "/topom"), None);
    }
}
