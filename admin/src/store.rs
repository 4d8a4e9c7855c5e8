//! Actions on the coordinator's records, with no dashboard in between.

mod check;
mod convert;
mod dump;
mod file;
mod legacy;
mod plan;
mod records;
mod restore;

pub use convert::run as convert;

use anyhow::Context;
use codis_core::model::Topom;
use codis_core::paths;
use codis_runtime::coordinator;
use serde::Serialize;

use crate::actions::STORES;
use crate::cli::{Invocation, Options};
use crate::output::Answer;
use crate::talk::Talk;

use records::Records;

/// A row of `--dashboard-list`.
#[derive(Serialize)]
struct ListRow {
    name: String,
    dashboard: String,
}

/// Carries out one action on the store. Only a restore talks to a dashboard, to learn that there is
/// none.
///
/// # Errors
/// The store cannot be read or written.
pub async fn run(talk: Talk, invocation: &Invocation) -> anyhow::Result<Answer> {
    let options = &invocation.options;
    let records = open(options).await?;
    match invocation.action.verb {
        "remove-lock" => {
            let product = options.needed("product")?;
            paths::check_product_name(product)?;
            records.delete(&paths::topom(product)).await?;
            Ok(Answer::Done)
        }
        "config-dump" if options.has("legacy") => {
            legacy::run(&records, options.needed("product")?).await
        }
        "config-dump" => dump::run(&records, options.needed("product")?).await,
        "config-restore" => restore::run(&talk, &records, options).await,
        _ => list(&records).await,
    }
}

/// Opens the coordinator that one of [`STORES`] names.
async fn open(options: &Options) -> anyhow::Result<Records> {
    let named = STORES
        .iter()
        .find_map(|name| Some((*name, options.text(name)?)));
    let (name, addr) = named.context("no coordinator is named")?;
    let auth = match name {
        "zookeeper" => options.text("zookeeper-auth"),
        "etcd" => options.text("etcd-auth"),
        _ => None,
    };
    let store = coordinator::open(name, addr, auth.unwrap_or_default())
        .await
        .with_context(|| format!("open the coordinator --{name}={addr}"))?;
    Ok(Records::new(store, options.has("verbose")))
}

async fn list(records: &Records) -> anyhow::Result<Answer> {
    let mut rows = Vec::new();
    for path in records.list(paths::ROOT).await? {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let record: Option<Topom> = records.read(&paths::topom(&name)).await?;
        rows.push(ListRow {
            name,
            dashboard: record.unwrap_or_default().admin_addr,
        });
    }
    Answer::json(&rows)
}
