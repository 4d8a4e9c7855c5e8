//! Groups and their servers.

use anyhow::Context;

use super::{Dashboard, advised, status};
use crate::cli::{Invocation, Options};
use crate::output::Answer;

/// Carries out an action on groups.
pub async fn run(dashboard: &Dashboard, invocation: &Invocation) -> anyhow::Result<Answer> {
    let options = &invocation.options;
    match invocation.action.verb {
        "list-group" => Answer::json(&dashboard.stats().await?.group.models),
        "group-status" => status::groups(dashboard).await,
        "create-group" => dashboard.put("group/create", &[&gid(options)?]).await,
        "remove-group" => dashboard.put("group/remove", &[&gid(options)?]).await,
        "resync-group" if invocation.action.form == "all" => {
            dashboard.put("group/resync-all", &[]).await
        }
        "resync-group" => dashboard.put("group/resync", &[&gid(options)?]).await,
        "group-add" => add(dashboard, options).await,
        "group-del" => {
            dashboard
                .put("group/del", &[&gid(options)?, options.needed("addr")?])
                .await
        }
        "replica-groups" => {
            let value = if options.has("enable") { "1" } else { "0" };
            if invocation.action.form == "all" {
                return dashboard.put("group/replica-groups-all", &[value]).await;
            }
            let parameters = [&gid(options)?, options.needed("addr")?, value];
            dashboard.put("group/replica-groups", &parameters).await
        }
        "promote-server" => {
            promote(dashboard, options).await?;
            status::groups(dashboard).await
        }
        "sync-action" => {
            let call = format!("group/action/{}", invocation.action.form);
            dashboard.put(&call, &[options.needed("addr")?]).await
        }
        verb => anyhow::bail!("--{verb} is in the list of actions but nothing carries it out"),
    }
}

/// `--group-add`; with `--force` also a server that the dashboard has doubts about.
async fn add(dashboard: &Dashboard, options: &Options) -> anyhow::Result<Answer> {
    let gid = gid(options)?;
    let mut parameters = vec![gid.as_str(), options.needed("addr")?];
    parameters.extend(options.text("datacenter"));
    put_forced(dashboard, options, "group/add", &parameters).await
}

/// `--promote-server`; with `--force` also over a master that does not answer.
async fn promote(dashboard: &Dashboard, options: &Options) -> anyhow::Result<Answer> {
    let parameters = [&gid(options)?, options.needed("addr")?];
    put_forced(dashboard, options, "group/promote", &parameters).await
}

/// A call that `--force` changes.
async fn put_forced(
    dashboard: &Dashboard,
    options: &Options,
    call: &str,
    parameters: &[&str],
) -> anyhow::Result<Answer> {
    if !options.has("force") {
        return dashboard.put(call, parameters).await;
    }
    let path = format!("{}?force=1", dashboard.path(call, parameters));
    let _: serde_json::Value = advised(dashboard.put_path(&path).await)
        .with_context(|| format!("{call} {} with force", parameters.join(" ")))?;
    Ok(Answer::Done)
}

fn gid(options: &Options) -> anyhow::Result<String> {
    Ok(options.needed_number("gid")?.to_string())
}
