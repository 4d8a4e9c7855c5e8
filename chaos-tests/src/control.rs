//! The dashboard and proxy APIs as a harness uses them.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::api::{Overview, ProxyStats, Slot, Stats};
use codis_core::model::{self, SlotMapping};
use codis_core::xauth;
use codis_runtime::http::{Client, ClientError};
use serde::de::DeserializeOwned;

use crate::layout::PRODUCT;

const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A sync action or a resync of all sentinels answers within this.
const CALL_MAX: Duration = Duration::from_secs(20);

/// Calls one dashboard, and proxies where only they know.
#[derive(Clone, Debug)]
pub struct Control {
    http: Client,
    dashboard: String,
    xauth: String,
}

type Answer<T> = Result<T, ClientError>;

impl Control {
    /// For the dashboard at `dashboard`.
    pub fn new(dashboard: &Addr) -> Self {
        Self {
            http: Client::new(CONNECT_MAX, CALL_MAX),
            dashboard: dashboard.to_string(),
            xauth: xauth::dashboard(PRODUCT),
        }
    }

    /// Everything that the dashboard knows.
    pub async fn overview(&self) -> Answer<Overview> {
        self.get("/topom").await
    }

    /// Its figures.
    pub async fn stats(&self) -> Answer<Stats> {
        self.get("/topom/stats").await
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
        let done: Answer<serde_json::Value> =
            self.http.put_json(&self.dashboard, &path, slots).await;
        done.map(drop)
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
        self.http.get(&self.dashboard, path).await
    }

    async fn put(&self, path: &str) -> Answer<()> {
        let done: Answer<serde_json::Value> = self.http.put(&self.dashboard, path).await;
        done.map(drop)
    }
}
