//! Asking the dashboard to bring this proxy online.
//!
//! The dashboard is given by address or found through the coordinator, where it keeps its record
//! for as long as it lives. Of several addresses any will do: a dashboard that stands by passes the
//! call on to the one that leads.

use std::time::Duration;

use anyhow::{Context, bail};
use codis_core::model::Topom;
use codis_core::{json, paths, xauth};
use codis_runtime::coordinator::{self, OpenError};
use codis_runtime::http::Client;

use crate::settings::Settings;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(3);
const TRIES_BY_ADDRESS: u32 = 10;
const TRIES_BY_COORDINATOR: u32 = 30;
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// One that hangs keeps nobody from asking the next.
const MEET_MAX: Duration = Duration::from_secs(5);
const CALL_MAX: Duration = Duration::from_secs(60);

/// Where the dashboard is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dashboard {
    /// At one of these addresses, with commas between.
    Address(String),
    /// In a coordinator.
    Coordinator {
        /// `filesystem`, `etcd` or `zookeeper`.
        name: String,
        /// Its address, or the root directory.
        addr: String,
        /// `user:password`, or empty.
        auth: String,
    },
}

/// Asks until the dashboard has brought the proxy at `admin_addr` online.
///
/// # Errors
/// Every try failed, or the dashboard serves another product.
pub async fn bring_online(
    dashboard: &Dashboard,
    settings: &Settings,
    admin_addr: &str,
) -> anyhow::Result<()> {
    let client = Client::new(CONNECT_MAX, CALL_MAX);
    let tries = match dashboard {
        Dashboard::Address(_) => TRIES_BY_ADDRESS,
        Dashboard::Coordinator { .. } => TRIES_BY_COORDINATOR,
    };
    for attempt in 1.. {
        let error = match attempt_once(&client, dashboard, settings, admin_addr).await {
            Ok(Asked::Online) => return Ok(()),
            Ok(Asked::OtherProduct(other)) => bail!(
                "the dashboard serves product {other} and this proxy is configured for {}",
                settings.product_name
            ),
            Err(error) => error,
        };
        if is_final(&error) {
            return Err(error);
        }
        if attempt >= tries {
            return Err(error.context(format!("not brought online in {tries} tries")));
        }
        tracing::warn!(
            attempt,
            tries,
            "dashboard did not bring this proxy online: {error:#}"
        );
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether trying again cannot help: the command line is at fault.
fn is_final(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(OpenError::Auth(_) | OpenError::Name(_) | OpenError::Address { .. })
    )
}

enum Asked {
    Online,
    OtherProduct(String),
}

async fn attempt_once(
    client: &Client,
    dashboard: &Dashboard,
    settings: &Settings,
    admin_addr: &str,
) -> anyhow::Result<Asked> {
    let product = &settings.product_name;
    let list = match dashboard {
        Dashboard::Address(list) => list.clone(),
        Dashboard::Coordinator { name, addr, auth } => find(name, addr, auth, product).await?,
    };
    let mut failures = Vec::new();
    for addr in list.split(',').map(str::trim) {
        match ask(client, addr, product, admin_addr).await {
            Ok(asked) => return Ok(asked),
            Err(error) => failures.push(format!("{addr}: {error:#}")),
        }
    }
    bail!("{}", failures.join("; "))
}

async fn ask(
    client: &Client,
    addr: &str,
    product: &str,
    admin_addr: &str,
) -> anyhow::Result<Asked> {
    let client = &client.with_total_timeout(MEET_MAX);
    let topom: Topom = client.get(addr, "/api/topom/model").await?;
    if topom.product_name != *product {
        return Ok(Asked::OtherProduct(topom.product_name));
    }
    let path = format!(
        "/api/topom/proxy/online/{}/{admin_addr}",
        xauth::dashboard(product)
    );
    let client = client.with_total_timeout(CALL_MAX);
    let _: serde_json::Value = client.put(addr, &path).await?;
    tracing::info!(dashboard = addr, "brought online by the dashboard");
    Ok(Asked::Online)
}

async fn find(name: &str, addr: &str, auth: &str, product: &str) -> anyhow::Result<String> {
    let store = coordinator::open(name, addr, auth).await?;
    let path = paths::topom(product);
    let record = store.read(&path).await?;
    let record = record.with_context(|| format!("no dashboard of {product} at {path}"))?;
    let topom: Topom = json::decode(&record).with_context(|| format!("read {path}"))?;
    Ok(topom.admin_addr)
}
