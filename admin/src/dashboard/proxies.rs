//! Proxies of the product.

use anyhow::bail;
use codis_core::json;
use codis_core::model::Proxy;

use super::{Dashboard, status};
use crate::cli::{Invocation, Options};
use crate::output::{Answer, print};
use crate::progress::Bar;

/// Carries out an action on proxies.
pub async fn run(dashboard: &Dashboard, invocation: &Invocation) -> anyhow::Result<Answer> {
    let options = &invocation.options;
    match invocation.action.verb {
        "list-proxy" => Answer::json(&dashboard.stats().await?.proxy.models),
        "proxy-status" => status::proxies(dashboard).await,
        "create-proxy" => {
            dashboard
                .put("proxy/create", &[options.needed("addr")?])
                .await
        }
        "online-proxy" => {
            dashboard
                .put("proxy/online", &[options.needed("addr")?])
                .await
        }
        "remove-proxy" => remove(dashboard, options).await,
        _ => reinit(dashboard, options).await,
    }
}

async fn remove(dashboard: &Dashboard, options: &Options) -> anyhow::Result<Answer> {
    let force = if options.has("force") { "1" } else { "0" };
    for proxy in chosen(dashboard, options).await? {
        dashboard
            .put("proxy/remove", &[&proxy.token, force])
            .await?;
    }
    Ok(Answer::Done)
}

/// Fills proxies again. With `--force` one that fails does not keep the others from it.
async fn reinit(dashboard: &Dashboard, options: &Options) -> anyhow::Result<Answer> {
    let proxies = chosen(dashboard, options).await?;
    let bar = Bar::new("proxies filled", proxies.len());
    let told = options.has("all") && !options.json();
    for proxy in &proxies {
        if told {
            let record = String::from_utf8_lossy(&json::encode(proxy)).into_owned();
            bar.aside(|| print(format!("reinit proxy: {record}\n").as_bytes()))?;
        }
        let outcome = dashboard.put("proxy/reinit", &[&proxy.token]).await;
        match outcome {
            Err(error) if options.has("force") => bar.note(&format!("{error:#}; going on")),
            other => {
                other?;
            }
        }
        bar.step();
    }
    if options.has("all") && options.json() {
        return Answer::json(&proxies);
    }
    Ok(Answer::Done)
}

/// The proxies that `--addr`, `--token`, `--pid` or `--all` names. With `--force` nobody is fine.
async fn chosen(dashboard: &Dashboard, options: &Options) -> anyhow::Result<Vec<Proxy>> {
    let mut proxies = dashboard.stats().await?.proxy.models;
    if options.has("all") {
        return Ok(proxies);
    }
    let shown = if let Some(addr) = options.text("addr") {
        proxies.retain(|proxy| proxy.admin_addr == addr);
        format!("addr = {addr}")
    } else if let Some(token) = options.text("token") {
        proxies.retain(|proxy| proxy.token == token);
        format!("token = {token}")
    } else {
        let id = options.needed_number("pid")?;
        proxies.retain(|proxy| proxy.id == id);
        format!("id = {id}")
    };
    if proxies.is_empty() && !options.has("force") {
        bail!("can't find specific proxy with {shown}; --list-proxy shows those that there are");
    }
    Ok(proxies)
}
