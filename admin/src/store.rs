//! Actions on the coordinator's records, with no dashboard in between.

use anyhow::{Context, bail};
use codis_core::model::{Group, Proxy, SlotMapping, Topom};
use codis_core::{json, paths, slot};
use codis_runtime::coordinator::{self, Shared};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::actions::STORES;
use crate::cli::{Invocation, Options};
use crate::output::print_json;

/// `--config-dump`.
#[derive(Serialize)]
struct Dump {
    slots: Vec<SlotMapping>,
    group: Vec<Group>,
    proxy: Vec<Proxy>,
}

/// A row of `--dashboard-list`.
#[derive(Serialize)]
struct ListRow {
    name: String,
    dashboard: String,
}

/// Carries out one action on the store.
///
/// # Errors
/// The store cannot be read or written.
pub async fn run(invocation: &Invocation) -> anyhow::Result<()> {
    let options = &invocation.options;
    let store = open(options).await?;
    match invocation.action.verb {
        "remove-lock" => {
            let product = options.needed("product")?;
            paths::check_product_name(product)?;
            Ok(store.delete(&paths::topom(product)).await?)
        }
        "config-dump" => dump(&store, options.needed("product")?).await,
        _ => list(&store).await,
    }
}

/// Opens the coordinator that one of [`STORES`] names.
async fn open(options: &Options) -> anyhow::Result<Shared> {
    let named = STORES
        .iter()
        .find_map(|name| Some((*name, options.text(name)?)));
    let (name, addr) = named.context("no coordinator is named")?;
    let auth = match name {
        "zookeeper" => options.text("zookeeper-auth"),
        "etcd" => options.text("etcd-auth"),
        _ => None,
    };
    coordinator::open(name, addr, auth.unwrap_or_default())
        .await
        .with_context(|| format!("open the coordinator --{name}={addr}"))
}

async fn list(store: &Shared) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for path in store.list(paths::ROOT).await? {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let record: Option<Topom> = read(store, &paths::topom(&name)).await?;
        rows.push(ListRow {
            name,
            dashboard: record.unwrap_or_default().admin_addr,
        });
    }
    print_json(&rows)
}

async fn dump(store: &Shared, product: &str) -> anyhow::Result<()> {
    paths::check_product_name(product)?;
    let group: Vec<Group> = read_all(store, &paths::groups(product)).await?;
    let proxy: Vec<Proxy> = read_all(store, &paths::proxies(product)).await?;
    if group.is_empty() && proxy.is_empty() {
        bail!("cann't find product = {product} [v3]; --dashboard-list shows those that there are");
    }
    let mut slots = Vec::with_capacity(slot::SLOTS);
    for id in slot::SlotId::all() {
        let record: Option<SlotMapping> = read(store, &paths::slot(product, id.get())).await?;
        let absent = SlotMapping {
            id: id.get(),
            ..SlotMapping::default()
        };
        slots.push(record.unwrap_or(absent));
    }
    print_json(&Dump {
        slots,
        group,
        proxy,
    })
}

async fn read_all<T: DeserializeOwned>(store: &Shared, dir: &str) -> anyhow::Result<Vec<T>> {
    let mut records = Vec::new();
    for path in store.list(dir).await? {
        records.extend(read(store, &path).await?);
    }
    Ok(records)
}

async fn read<T: DeserializeOwned>(store: &Shared, path: &str) -> anyhow::Result<Option<T>> {
    let text = store.read(path).await?;
    text.map(|text| json::decode(&text))
        .transpose()
        .with_context(|| format!("decode {path}"))
}
