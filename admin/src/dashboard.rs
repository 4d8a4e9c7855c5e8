//! Actions on a dashboard.

mod groups;
mod proxies;
mod sentinels;
mod slots;
mod status;

use crate::talk::Talk;
use anyhow::Context;
use codis_core::api::Stats;
use codis_core::model::Topom;
use codis_core::xauth;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::{Invocation, Options};
use crate::output::print_json;

/// A dashboard that answered and took our secret.
pub struct Dashboard {
    client: Talk,
    addr: String,
    xauth: String,
}

/// Carries out one action on a dashboard.
///
/// # Errors
/// What the dashboard refused, or why it cannot be reached.
pub async fn run(client: Talk, invocation: &Invocation) -> anyhow::Result<()> {
    let options = &invocation.options;
    let dashboard = Dashboard::connect(client, options.needed("dashboard")?).await?;
    match invocation.action.verb {
        "" => dashboard.overview(options).await,
        "shutdown" => dashboard.put("shutdown", &[]).await,
        "reload" => dashboard.put("reload", &[]).await,
        "log-level" => {
            dashboard
                .put("loglevel", &[options.needed("log-level")?])
                .await
        }
        "slots-assign" => slots::assign(&dashboard, options).await,
        "slots-status" => slots::status(&dashboard).await,
        "list-proxy" | "create-proxy" | "online-proxy" | "remove-proxy" | "reinit-proxy"
        | "proxy-status" => proxies::run(&dashboard, invocation).await,
        "sentinel-add" | "sentinel-del" | "sentinel-resync" => {
            sentinels::run(&dashboard, invocation).await
        }
        _ => groups::run(&dashboard, invocation).await,
    }
}

impl Dashboard {
    /// Learns the product from the dashboard and checks that it takes our secret.
    async fn connect(client: Talk, addr: &str) -> anyhow::Result<Self> {
        let model: Topom = client
            .get(addr, "/api/topom/model")
            .await
            .with_context(|| {
                format!("no dashboard answers at {addr}: is codis-dashboard running there?")
            })?;
        let xauth = xauth::dashboard(&model.product_name);
        let dashboard = Self {
            client,
            addr: addr.to_owned(),
            xauth,
        };
        let _: String = dashboard.get_json("xping").await?;
        Ok(dashboard)
    }

    async fn get_json<T: DeserializeOwned>(&self, what: &str) -> anyhow::Result<T> {
        let path = format!("/api/topom/{what}/{}", self.xauth);
        self.client
            .get(&self.addr, &path)
            .await
            .with_context(|| format!("ask for {what}"))
    }

    /// The path of a call: its name, the secret, then the parameters.
    fn path(&self, call: &str, parameters: &[&str]) -> String {
        let mut path = format!("/api/topom/{call}/{}", self.xauth);
        for parameter in parameters {
            path.push('/');
            path.push_str(&escape(parameter));
        }
        path
    }

    /// A call that changes something.
    async fn put(&self, call: &str, parameters: &[&str]) -> anyhow::Result<()> {
        let path = self.path(call, parameters);
        let _: Value = self.client.put(&self.addr, &path).await.with_context(|| {
            format!("{call} {}", parameters.join(" "))
                .trim_end()
                .to_owned()
        })?;
        Ok(())
    }

    async fn stats(&self) -> anyhow::Result<Stats> {
        self.get_json("stats").await
    }

    /// The overview or a part of it, as the dashboard wrote it: another version's members stay.
    async fn overview(&self, options: &Options) -> anyhow::Result<()> {
        let overview: Value = self
            .client
            .get(&self.addr, "/topom")
            .await
            .context("ask for the overview")?;
        match options.text("part") {
            None => print_json(&overview),
            Some(part @ ("config" | "model" | "stats")) => print_json(&overview[part]),
            Some(part) => print_json(&overview["stats"][part]),
        }
    }
}

/// Escapes what may not stand in a path segment.
fn escape(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:@[]".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_cannot_leave_their_segment() {
        assert_eq!(escape("127.0.0.1:6379"), "127.0.0.1:6379");
        assert_eq!(escape("a/b c?"), "a%2Fb%20c%3F");
    }
}
