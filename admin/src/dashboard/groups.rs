//! Groups and their servers.

use super::{Dashboard, status};
use crate::cli::{Invocation, Options};
use crate::output::print_json;

/// Carries out an action on groups.
pub async fn run(dashboard: &Dashboard, invocation: &Invocation) -> anyhow::Result<()> {
    let options = &invocation.options;
    match invocation.action.verb {
        "list-group" => print_json(&dashboard.stats().await?.group.models),
        "group-status" => status::groups(dashboard, options).await,
        "create-group" => dashboard.put("group/create", &[&gid(options)?]).await,
        "remove-group" => dashboard.put("group/remove", &[&gid(options)?]).await,
        "resync-group" if options.has("all") => dashboard.put("group/resync-all", &[]).await,
        "resync-group" => dashboard.put("group/resync", &[&gid(options)?]).await,
        "group-add" => add(dashboard, options).await,
        "group-del" => {
            dashboard
                .put("group/del", &[&gid(options)?, options.needed("addr")?])
                .await
        }
        "replica-groups" => {
            let value = if options.has("enable") { "1" } else { "0" };
            let parameters = [&gid(options)?, options.needed("addr")?, value];
            dashboard.put("group/replica-groups", &parameters).await
        }
        "promote-server" => {
            dashboard
                .put("group/promote", &[&gid(options)?, options.needed("addr")?])
                .await?;
            status::groups(dashboard, options).await
        }
        "sync-action" => {
            let call = if options.has("create") {
                "create"
            } else {
                "remove"
            };
            let call = format!("group/action/{call}");
            dashboard.put(&call, &[options.needed("addr")?]).await
        }
        verb => anyhow::bail!("--{verb} is in the list of actions but nothing carries it out"),
    }
}

async fn add(dashboard: &Dashboard, options: &Options) -> anyhow::Result<()> {
    let (gid, addr) = (gid(options)?, options.needed("addr")?);
    match options.text("datacenter") {
        Some(datacenter) => dashboard.put("group/add", &[&gid, addr, datacenter]).await,
        None => dashboard.put("group/add", &[&gid, addr]).await,
    }
}

fn gid(options: &Options) -> anyhow::Result<String> {
    Ok(options.needed_number("gid")?.to_string())
}
