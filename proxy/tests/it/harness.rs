//! A proxy in this process, before real servers.

use std::time::Duration;

use codis_core::api::{ProxyStats, Slot};
use codis_core::epoch::Epoch;
use codis_core::slot::{SLOTS, SlotId};
use codis_core::units::TimeSpan;
use codis_core::xauth;
use codis_proxy::run::{Options, Proxy};
use codis_proxy::settings::Settings;
use codis_runtime::http;
use codis_runtime::shutdown::Shutdown;

pub use super::plain::{Client, SOON, Server, Text, free_port, wait_for};

/// Settings for a test: own ports, few databases, quick deadlines.
pub fn settings() -> Settings {
    Settings {
        proxy_addr: "127.0.0.1:0".to_owned(),
        admin_addr: "127.0.0.1:0".to_owned(),
        ..Settings::default()
    }
}

/// The same for tests that do something while requests are held: however busy the machine is, the
/// hold does not end meanwhile, and no fill gives up.
pub fn patient() -> Settings {
    Settings {
        ha_hold: TimeSpan::from_secs(15),
        ..settings()
    }
}

/// A proxy with two workers, and the runtime that its control side lives in.
pub struct Fixture {
    pub runtime: tokio::runtime::Runtime,
    pub http: http::Client,
    proxy: Option<Proxy>,
    settings: Settings,
    shutdown: Shutdown,
}

impl Fixture {
    pub fn start(settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let shutdown = Shutdown::new();
        let options = Options {
            workers: 2,
            ..Options::default()
        };
        let started = Proxy::start(settings.clone(), options, shutdown.clone());
        let proxy = runtime.block_on(started).unwrap();
        let http = http::Client::new(Duration::from_secs(1), Duration::from_secs(20));
        Self {
            runtime,
            http,
            proxy: Some(proxy),
            settings,
            shutdown,
        }
    }

    /// A proxy that is online with all slots spread over `servers`, server n in group n + 1.
    pub fn online(settings: Settings, servers: &[&Server]) -> Self {
        let fixture = Self::start(settings);
        fixture.fill(&spread(servers, 0)).unwrap();
        fixture.put("start").unwrap();
        fixture
    }

    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.proxy().addr.to_string())
    }

    pub fn xauth(&self) -> String {
        let token = &self.proxy().control.model.token;
        xauth::proxy(
            &self.settings.product_name,
            &self.settings.product_auth,
            token,
        )
    }

    pub fn admin(&self) -> String {
        self.proxy().admin_addr.to_string()
    }

    pub fn put(&self, what: &str) -> Result<serde_json::Value, http::ClientError> {
        let path = format!("/api/proxy/{what}/{}", self.xauth());
        self.runtime.block_on(self.http.put(&self.admin(), &path))
    }

    pub fn put_body<B: serde::Serialize>(&self, what: &str, body: &B) -> Result<(), String> {
        let path = format!("/api/proxy/{what}/{}", self.xauth());
        let admin = self.admin();
        let asked = self
            .http
            .put_json::<B, serde_json::Value>(&admin, &path, body);
        let answer = self.runtime.block_on(asked);
        answer.map(|_| ()).map_err(|error| error.to_string())
    }

    pub fn fill(&self, slots: &[Slot]) -> Result<(), String> {
        self.put_body("fillslots", &slots)
    }

    pub fn stats(&self) -> ProxyStats {
        self.runtime
            .block_on(self.http.get(&self.admin(), "/proxy/stats"))
            .unwrap()
    }

    pub fn slot_table(&self) -> Vec<Slot> {
        self.runtime
            .block_on(self.http.get(&self.admin(), "/proxy/slots"))
            .unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.shutdown.request("end of test");
        if let Some(proxy) = self.proxy.take() {
            self.runtime.block_on(proxy.stop());
        }
    }
}

/// All slots over `servers`, slot s to server s mod n of group s mod n + 1, at an epoch.
pub fn spread(servers: &[&Server], epoch: u64) -> Vec<Slot> {
    (0..SLOTS as u16)
        .map(|id| {
            let n = usize::from(id) % servers.len();
            slot(id, n as u32 + 1, &servers[n].addr(), epoch)
        })
        .collect()
}

pub fn slot(id: u16, group: u32, addr: &str, epoch: u64) -> Slot {
    Slot {
        id,
        backend_addr: addr.to_owned(),
        backend_addr_group_id: group,
        backend_addr_epoch: Epoch(epoch),
        ..Slot::default()
    }
}

/// The n-th key of a family whose slot goes to server `index` of `of`.
pub fn key_on(index: usize, of: usize, n: usize) -> String {
    (0..)
        .map(|i| format!("k:{i}"))
        .filter(|key| usize::from(SlotId::of_key(key.as_bytes()).get()) % of == index)
        .nth(n)
        .unwrap()
}
