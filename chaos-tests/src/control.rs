//! The dashboard and proxy APIs as a harness uses them.
//!
//! Any dashboard answers for the one that leads, so calls go to the first that is able to.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::api::{Overview, ProxyStats, Slot, Stats};
use codis_core::ha::Term;
use codis_core::model::{self, SlotMapping};
use codis_core::xauth;
use codis_runtime::http::{Client, ClientError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::layout::PRODUCT;

const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A sync action or a resync of all sentinels answers within this.
const CALL_MAX: Duration = Duration::from_secs(20);
/// A dashboard says at once whether it leads, unless it hangs.
const WHO_MAX: Duration = Duration::from_secs(1);

/// Calls dashboards of one product, and proxies where only they know.
#[derive(Clone, Debug)]
pub struct Control {
    http: Client,
    dashboards: Vec<String>,
    xauth: String,
}

type Answer<T> = Result<T, ClientError>;

/// What one dashboard says about who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Who {
    /// Whether it does.
    pub leading: bool,
    /// The one that does, as far as it knows.
    pub leader: Option<String>,
    /// Its term, if it leads.
    pub term: Option<Term>,
}

impl Control {
    /// For the dashboards at these addresses.
    pub fn new<'a>(dashboards: impl IntoIterator<Item = &'a Addr>) -> Self {
        Self {
            http: Client::new(CONNECT_MAX, CALL_MAX),
            dashboards: dashboards.into_iter().map(Addr::to_string).collect(),
            xauth: xauth::dashboard(PRODUCT),
        }
    }

    /// What the dashboard at `addr` says about who leads.
    pub async fn who(&self, addr: &Addr) -> Answer<Who> {
        let brief = self.http.with_total_timeout(WHO_MAX);
        brief.get(&addr.to_string(), "/topom/leader").await
    }

    /// Everything that the dashboard knows.
    pub async fn overview(&self) -> Answer<Overview> {
        self.get("/topom").await
    }

    /// Its figures.
    pub async fn stats(&self) -> Answer<Stats> {
        self.get("/topom/stats").await
    }

    /// The figures, through the dashboard at `addr` and no other.
    pub async fn stats_at(&self, addr: &Addr) -> Answer<Stats> {
        self.http.get(&addr.to_string(), "/topom/stats").await
    }

    /// `create-group`.
    pub async fn create_group(&self, id: u32) -> Answer<()> {
        self.order("group/create", &id.to_string()).await
    }

    /// `group-add`.
    pub async fn add_server(&self, group: u32, server: &Addr) -> Answer<()> {
        self.order("group/add", &format!("{group}/{server}")).await
    }

    /// `sync-action --create`: the server will follow its group's master.
    pub async fn sync_server(&self, server: &Addr) -> Answer<()> {
        self.order("group/action/create", &server.to_string()).await
    }

    /// `resync-group --all`.
    pub async fn resync_groups(&self) -> Answer<()> {
        let path = format!("/api/topom/group/resync-all/{}", self.xauth);
        self.put(&path).await
    }

    /// `slots-assign`.
    pub async fn assign_slots(&self, slots: &[SlotMapping]) -> Answer<()> {
        let path = format!("/api/topom/slots/assign/{}", self.xauth);
        let put = async |addr: &str| self.http.put_json(addr, &path, slots).await;
        let done: Answer<serde_json::Value> = self.first(put).await;
        done.map(drop)
    }

    /// `slot-action --create-range`.
    pub async fn move_slots(&self, slots: (u16, u16), group: u32) -> Answer<()> {
        let (first, last) = slots;
        let object = format!("{first}/{last}/{group}");
        self.order("slots/action/create-range", &object).await
    }

    /// `online-proxy`, by the proxy's admin address.
    pub async fn online_proxy(&self, admin: &Addr) -> Answer<()> {
        self.order("proxy/online", &admin.to_string()).await
    }

    /// `sentinel-add`.
    pub async fn add_sentinel(&self, sentinel: &Addr) -> Answer<()> {
        self.order("sentinels/add", &sentinel.to_string()).await
    }

    /// `sentinel-resync`.
    pub async fn resync_sentinels(&self) -> Answer<()> {
        let path = format!("/api/topom/sentinels/resync-all/{}", self.xauth);
        self.put(&path).await
    }

    /// Who a proxy is.
    pub async fn proxy_model(&self, admin: &Addr) -> Answer<model::Proxy> {
        self.http.get(&admin.to_string(), "/proxy/model").await
    }

    /// A proxy's figures.
    pub async fn proxy_stats(&self, admin: &Addr) -> Answer<ProxyStats> {
        self.http.get(&admin.to_string(), "/proxy/stats").await
    }

    /// How a proxy routes.
    pub async fn proxy_slots(&self, admin: &Addr) -> Answer<Vec<Slot>> {
        self.http.get(&admin.to_string(), "/proxy/slots").await
    }

    /// The products that a front end lists.
    pub async fn products(&self, front_end: &Addr) -> Answer<Vec<String>> {
        self.http.get(&front_end.to_string(), "/list").await
    }

    async fn order(&self, verb: &str, object: &str) -> Answer<()> {
        let path = format!("/api/topom/{verb}/{}/{object}", self.xauth);
        self.put(&path).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.first(async |addr: &str| self.http.get(addr, path).await)
            .await
    }

    async fn put(&self, path: &str) -> Answer<()> {
        let put = async |addr: &str| self.http.put(addr, path).await;
        let done: Answer<serde_json::Value> = self.first(put).await;
        done.map(drop)
    }

    /// Calls one dashboard after the other until one is able to answer, and gives what that one, or
    /// the last, said.
    async fn first<T>(&self, call: impl AsyncFn(&str) -> Answer<T>) -> Answer<T> {
        let mut answer = Err(ClientError::Url("no dashboard".to_owned()));
        for addr in &self.dashboards {
            answer = call(addr).await;
            if !answer.as_ref().is_err_and(is_unable) {
                break;
            }
        }
        answer
    }
}

/// Whether the call surely changed nothing, because nobody took it.
fn is_unable(error: &ClientError) -> bool {
    let idle = |text: &str| text.starts_with("topom is not online");
    error.is_unsent() || matches!(error, ClientError::Remote(text) if idle(text))
}
