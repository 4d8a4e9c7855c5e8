//! Proxies: their admin API, and bringing one online.

mod leave;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codis_core::api::{ProxyStats, Slot};
use codis_core::ha::{TERM_HEADER, Term};
use codis_core::model::{Proxy, Sentinel};
use codis_core::xauth;
use codis_runtime::http::{Client, ClientError, Line};
use codis_topom::edit;

use crate::audit::AuditLog;
use crate::core::{Core, Failure};
use crate::lease::Lease;
use crate::metrics::RefusedBy;
use crate::state::Audit;
use codis_runtime::peer::CONNECT_MAX;

pub use leave::{Leaving, let_go, remove};

/// How long a call to a proxy may take.
const CALL_MAX: Duration = Duration::from_secs(3);
/// How long reading its statistics may take.
const STATS_MAX: Duration = Duration::from_secs(1);

/// The start of what a proxy says that was told of a higher term, which stands at the end.
const STALE_PREFIX: &str = "stale dashboard, term ";

/// The admin API of proxies. Each call says the term; a change is sent only within the lease.
#[derive(Clone, Debug)]
pub struct ProxyApi {
    client: Client,
    lease: Lease,
    audit: AuditLog,
    product_name: String,
    product_auth: String,
    run: u64,
    fills: Arc<AtomicU64>,
}

/// Asks one proxy for its figures.
#[derive(Debug)]
pub struct StatsLine {
    line: Line,
    path: String,
}

impl StatsLine {
    /// Whether it leads to this address.
    pub fn leads_to(&self, addr: &str) -> bool {
        self.line.addr() == addr
    }

    /// Its figures, without the expensive ones.
    pub async fn ask(&mut self) -> Result<ProxyStats, ClientError> {
        self.line.get(&self.path).await
    }
}

impl ProxyApi {
    /// The API with the secrets of a product, for a leader.
    pub fn new(product_name: &str, product_auth: &str, lease: Lease, audit: AuditLog) -> Self {
        let term = lease.term().to_string();
        Self {
            client: Client::new(CONNECT_MAX, CALL_MAX).with_header(TERM_HEADER, &term),
            lease,
            audit,
            product_name: product_name.to_owned(),
            product_auth: product_auth.to_owned(),
            run: run(),
            fills: Arc::default(),
        }
    }

    /// Who the proxy at `addr` is.
    pub async fn model(&self, addr: &str) -> Result<Proxy, ClientError> {
        self.client.get(addr, "/api/proxy/model").await
    }

    /// Whether the proxy takes our secret.
    pub async fn xping(&self, addr: &str, token: &str) -> Result<(), ClientError> {
        let xauth = self.xauth(token);
        self.client
            .get::<String>(addr, &format!("/api/proxy/xping/{xauth}"))
            .await
            .map(drop)
    }

    /// A connection over which a proxy is asked for its figures.
    pub fn stats_line(&self, proxy: &Proxy) -> StatsLine {
        StatsLine {
            line: self
                .client
                .with_total_timeout(STATS_MAX)
                .line(&proxy.admin_addr),
            path: format!("/api/proxy/stats/{}/0", self.xauth(&proxy.token)),
        }
    }

    /// The slots that it holds.
    pub async fn slots(&self, proxy: &Proxy) -> Result<Vec<Slot>, ClientError> {
        let path = format!("/api/proxy/slots/{}", self.xauth(&proxy.token));
        self.client.get(&proxy.admin_addr, &path).await
    }

    /// One word for all of them, from a proxy that knows how to say it.
    pub async fn slots_digest(&self, proxy: &Proxy) -> Result<String, ClientError> {
        let path = format!("/api/proxy/slots/digest/{}", self.xauth(&proxy.token));
        self.client.get(&proxy.admin_addr, &path).await
    }

    /// Gives it slots. The number says which of two fills is the newer one, should this one be late
    /// on its way; originals do not look at it.
    pub async fn fill(&self, proxy: &Proxy, slots: &[&Slot]) -> Result<(), ClientError> {
        let fill = self.fills.fetch_add(1, Ordering::Relaxed) + 1;
        let (xauth, run) = (self.xauth(&proxy.token), self.run);
        let path = format!("/api/proxy/fillslots/{xauth}?run={run}&fill={fill}");
        self.change(
            self.client
                .put_json::<_, String>(&proxy.admin_addr, &path, slots),
        )
        .await
    }

    /// Says that it holds the routes of now, although it stood still so often.
    pub async fn lift_fence(&self, proxy: &Proxy, stalls: u64) -> Result<(), ClientError> {
        let path = format!("/api/proxy/fence/{}/{stalls}", self.xauth(&proxy.token));
        let client = self.client.with_total_timeout(STATS_MAX);
        self.change(client.put::<String>(&proxy.admin_addr, &path))
            .await
    }

    /// Lets it take clients.
    pub async fn start(&self, audit: &Audit, proxy: &Proxy) -> Result<(), ClientError> {
        self.put(audit, proxy, "start").await
    }

    /// Ends it.
    pub async fn shutdown(&self, audit: &Audit, proxy: &Proxy) -> Result<(), ClientError> {
        self.put(audit, proxy, "shutdown").await
    }

    /// Tells it which sentinels to watch.
    pub async fn sentinels(
        &self,
        audit: &Audit,
        proxy: &Proxy,
        sentinel: &Sentinel,
    ) -> Result<(), ClientError> {
        let (addr, words) = (&proxy.admin_addr, sentinel.servers.join(","));
        let path = format!("/api/proxy/sentinels/{}", self.xauth(&proxy.token));
        let call = self.client.put_json::<_, String>(addr, &path, sentinel);
        let order = format!("sentinels {words}");
        let ordered = self.audit.ordered(audit, addr, order, self.change(call));
        ordered.await
    }

    async fn put(&self, audit: &Audit, proxy: &Proxy, order: &str) -> Result<(), ClientError> {
        let addr = &proxy.admin_addr;
        let path = format!("/api/proxy/{order}/{}", self.xauth(&proxy.token));
        let call = self.change(self.client.put::<String>(addr, &path));
        self.audit.ordered(audit, addr, order, call).await
    }

    /// Makes a change within the lease; a proxy that was told of a higher term ends the lease.
    async fn change(
        &self,
        call: impl Future<Output = Result<String, ClientError>>,
    ) -> Result<(), ClientError> {
        let ordered = self.lease.order();
        ordered.map_err(|failure| ClientError::Withheld(failure.to_string()))?;
        let outcome = call.await;
        if let Err(ClientError::Remote(cause)) = &outcome
            && let Some(terms) = cause.strip_prefix(STALE_PREFIX)
        {
            let seen = terms.rsplit(' ').next().and_then(|term| term.parse().ok());
            let why = format!("a proxy says: {cause}");
            self.lease.refuse(RefusedBy::Proxy, why, seen.map(Term));
        }
        outcome.map(drop)
    }

    fn xauth(&self, token: &str) -> String {
        xauth::proxy(&self.product_name, &self.product_auth, token)
    }
}

/// A number that no earlier run of a dashboard had.
fn run() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64)
}

/// Registers a proxy that is not known yet, and starts it.
pub async fn create(core: &Core, audit: Audit, addr: &str) -> Result<(), Failure> {
    let proxy = fetch(core, addr, true).await?;
    let token = proxy.token.clone();
    core.state
        .edit(audit.clone(), move |cluster| {
            edit::create_proxy(cluster, proxy)
        })
        .await?;
    reinit(core, &audit, &token).await
}

/// Registers a proxy or refreshes its record, and starts it.
pub async fn online(core: &Core, audit: Audit, addr: &str) -> Result<(), Failure> {
    let proxy = fetch(core, addr, false).await?;
    let token = proxy.token.clone();
    core.state
        .edit(audit.clone(), move |cluster| {
            edit::online_proxy(cluster, proxy)
        })
        .await?;
    reinit(core, &audit, &token).await
}

/// Sends a proxy all slots, starts it, and tells it the sentinels.
pub async fn reinit(core: &Core, audit: &Audit, token: &str) -> Result<(), Failure> {
    let view = core.state.view();
    let proxy = view.cluster.proxy(token)?.clone();
    core.fleet.update(&view.cluster);
    core.fleet.refill(Some(token), None);
    if !core
        .fleet
        .settled(view.revision, Some(token))
        .await
        .behind
        .is_empty()
    {
        return Err(Failure::new(format!("proxy-[{token}] fillslots failed")));
    }
    let failed = |step: &str, cause: ClientError| {
        tracing::warn!(proxy = token, step, %cause, "proxy not initialized");
        Failure::new(format!("proxy-[{token}] {step} failed"))
    };
    core.proxies
        .start(audit, &proxy)
        .await
        .map_err(|cause| failed("start", cause))?;
    let sentinel = core.state.cluster().sentinel().clone();
    let told = core.proxies.sentinels(audit, &proxy, &sentinel).await;
    told.map_err(|cause| failed("set sentinels", cause))
}

/// Asks a proxy who it is, and whether it takes our secret.
async fn fetch(core: &Core, addr: &str, explain: bool) -> Result<Proxy, Failure> {
    let failed = |what: &str, cause: ClientError| {
        tracing::warn!(addr, what, %cause, "proxy not reached");
        let tail = if explain {
            format!(", {cause}")
        } else {
            String::new()
        };
        Failure::new(format!("proxy@{addr} {what} failed{tail}"))
    };
    let proxy = core
        .proxies
        .model(addr)
        .await
        .map_err(|cause| failed("fetch model", cause))?;
    let ping = core.proxies.xping(addr, &proxy.token).await;
    ping.map_err(|cause| failed("check xauth", cause))?;
    Ok(proxy)
}
