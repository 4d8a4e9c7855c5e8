//! Actions on a proxy's admin API.

use crate::talk::Talk;
use anyhow::Context;
use codis_core::api::Slot;
use codis_core::model::Proxy;
use codis_core::xauth;

use crate::cli::{Invocation, Options};
use crate::output::Answer;

/// Carries out one action on a proxy.
///
/// # Errors
/// What the proxy refused, or why it cannot be reached.
pub async fn run(client: Talk, invocation: &Invocation) -> anyhow::Result<Answer> {
    let options = &invocation.options;
    let addr = options.needed("proxy")?;
    let verb = invocation.action.verb;
    if verb.is_empty() {
        return overview(&client, addr, options).await;
    }
    let model: Proxy = client
        .get(addr, "/api/proxy/model")
        .await
        .with_context(|| {
            format!(
                "no proxy answers at {addr}: is codis-proxy running, and is this its admin port?"
            )
        })?;
    let auth = options.text("auth").unwrap_or_default();
    let xauth = xauth::proxy(&model.product_name, auth, &model.token);
    let _: String = client
        .get(addr, &format!("/api/proxy/xping/{xauth}"))
        .await
        .context("the proxy refuses our secret: give its product_auth with --auth")?;
    if verb == "fillslots" {
        return fill_slots(&client, addr, &xauth, options).await;
    }
    let path = match verb {
        "log-level" => format!("loglevel/{xauth}/{}", options.needed("log-level")?),
        "reset-stats" => format!("stats/reset/{xauth}"),
        other => format!("{other}/{xauth}"),
    };
    let _: serde_json::Value = client
        .put(addr, &format!("/api/proxy/{path}"))
        .await
        .with_context(|| format!("{verb} at proxy {addr}"))?;
    Ok(Answer::Done)
}

async fn overview(client: &Talk, addr: &str, options: &Options) -> anyhow::Result<Answer> {
    let part = options.text("part");
    if let Some(part @ ("group" | "proxy")) = part {
        anyhow::bail!("a proxy has no part `{part}`; ask a dashboard for it");
    }
    let overview: serde_json::Value = client.get(addr, "/proxy").await.with_context(|| {
        format!("no proxy answers at {addr}: is codis-proxy running, and is this its admin port?")
    })?;
    match part {
        Some(part) => Answer::json(&overview[part]),
        None => Ok(Answer::Json(overview)),
    }
}

async fn fill_slots(
    client: &Talk,
    addr: &str,
    xauth: &str,
    options: &Options,
) -> anyhow::Result<Answer> {
    let file = options.needed("fillslots")?;
    let text = std::fs::read(file).with_context(|| format!("read {file}"))?;
    let mut slots: Vec<Slot> = codis_core::json::decode(&text)
        .with_context(|| format!("{file} is not a JSON array of slots"))?;
    if options.has("locked") {
        slots.iter_mut().for_each(|slot| slot.locked = true);
    }
    let path = format!("/api/proxy/fillslots/{xauth}");
    let _: serde_json::Value = client
        .put_json(addr, &path, &slots)
        .await
        .with_context(|| format!("fill {} slots", slots.len()))?;
    Ok(Answer::Done)
}
